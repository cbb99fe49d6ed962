"""Model text → JSON → flat fields → scores. Pure and light: the evaluation callback and the batch evaluation use it.

Over 250 lines: the parser decides what an answer is, and each metric is defined by what does not parse: they are read together.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from callbacks.shared.args import ExtractionTask
from callbacks.shared.tasks.answers import after_thoughts

Scalar = str | float | bool | None
"""A flat JSON value; `float` takes in `int`."""
Ratio = tuple[int, int]
"""Numerator and denominator of a metric; an F1 is 2·TP over 2·TP + FP + FN."""

_JSON_START = re.compile(r"\{|\[(?=[ \t\n\r]*\{)")
# `{so}`: braces around no quote and no brace cannot hold an answer, JSON or not.
_BRACED_PROSE = re.compile(r'\{[^{}"]*\}')


@dataclass(frozen=True)
class Answer:
    """A parsed answer: its entries in order; no entries mean that there is no offender."""

    names: tuple[str, ...]
    """The normalised name of each entry."""
    entries: tuple[Mapping[str, str], ...]
    """Field → normalised value; every entry has the same fields in the same order."""

    @property
    def sorted_rows(self) -> list[tuple[str, ...]]:
        """The values of the entries as a multiset: the same for any order of the entries."""
        return sorted(tuple(entry.values()) for entry in self.entries)


@dataclass(frozen=True)
class Case:
    """An expected and a generated answer; `generated` is None if the text did not parse."""

    expected: Answer
    generated: Answer | None

    @property
    def presence(self) -> tuple[bool, bool]:
        """Whether there is an entry: expected, generated. A text that did not parse counts as the wrong answer."""
        expected = bool(self.expected.entries)
        return expected, bool(self.generated.entries) if self.generated else not expected

    @property
    def name_sets(self) -> tuple[set[str], set[str]]:
        """The sets of names: expected, generated. A text that did not parse names nobody."""
        return set(self.expected.names), set(self.generated.names if self.generated else ())

    @property
    def is_exact(self) -> bool:
        """Whether the entries are equal in all fields, as multisets. A text that did not parse is not equal."""
        return self.generated is not None and self.expected.sorted_rows == self.generated.sorted_rows

    def matched_entries(self) -> Iterator[tuple[Mapping[str, str], Mapping[str, str]]]:
        """Pairs of an expected and a generated entry with one name; the nth of a name is paired with the nth of that name."""
        rest = list(zip(self.generated.names, self.generated.entries, strict=True)) if self.generated else []
        for name, entry in zip(self.expected.names, self.expected.entries, strict=True):
            found = next((index for index, (other, _) in enumerate(rest) if other == name), None)
            if found is not None:
                yield entry, rest.pop(found)[1]


def normalise(value: Scalar) -> str:
    """The form in which values are compared: NFKC without whitespace; 35, 35.0 and "35" are equal, null is ""."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    # NFKC turns U+3000 into a space, and a removed space can bring a combining mark to its letter: hence on both sides.
    return unicodedata.normalize("NFKC", "".join(unicodedata.normalize("NFKC", str(value)).split()))


def to_csv_fields(entry: Mapping[str, Scalar], target: ExtractionTask) -> dict[str, str]:
    """An entry as flat strings: the target's fields (the name is one, listed or not); missing and null are ""."""
    return {field: normalise(entry.get(field)) for field in (*target.fields, target.name_field)}


def parse_answer(text: str, target: ExtractionTask) -> Answer | None:
    """The answer in a model's output: after its thoughts, the last whole object that has the list field, however wrapped, amid
    prose or fences.

    None if there is no such object, if it follows or is inside broken or cut-off JSON, or if it does not have the target's
    form: a list of flat objects, each with a name. Never raises. JSON is RFC 8259, and stricter than
    `json.loads`: no NaN, no duplicate keys, no lone surrogates, no number beyond Python's limits.
    """
    owners = (_first_owner(value, target.list_field) for value in whole_values(after_thoughts(text)))
    last = next(reversed([owner for owner in owners if owner is not None]), None)
    return _answer(last[target.list_field], target) if last is not None else None


def parse_case(expected: str, generated: str, target: ExtractionTask) -> Case:
    """Parse both texts of a case. ValueError if the expected text is not an answer."""
    return Case(_parse_expected(expected, target), parse_answer(generated, target))


def case_columns(case: Case) -> dict[str, object]:
    """A case in the columns of a predictions file; `presence_generated` is null if the text did not parse."""
    parsed = case.generated is not None
    return {
        "parsed": parsed,
        "presence_expected": case.presence[0],
        "presence_generated": case.presence[1] if parsed else None,
        "names_expected": sorted(case.name_sets[0]),
        "names_generated": sorted(case.name_sets[1]),
        "exact": case.is_exact,
    }


def presence_f1(cases: Sequence[Case]) -> Ratio:
    """Binary F1 of "there is at least one offender"; an answer that does not parse counts as the wrong class."""
    return _f1(case.presence for case in cases)


def name_set_f1(cases: Sequence[Case]) -> Ratio:
    """Micro F1 over the records' sets of normalised names; two empty sets add nothing, no parse is the empty set."""
    sets = [case.name_sets for case in cases]
    return _f1((name in expected, name in generated) for expected, generated in sets for name in expected | generated)


def json_parse_rate(cases: Sequence[Case]) -> Ratio:
    """Share of the records whose generated text parses to an answer of the target's form."""
    return sum(case.generated is not None for case in cases), len(cases)


def all_fields_exact_match_rate(cases: Sequence[Case]) -> Ratio:
    """Share of the records whose offenders equal the expected ones in all fields, without order; no parse, no match."""
    return sum(case.is_exact for case in cases), len(cases)


def field_match_rate(cases: Sequence[Case], field: str) -> Ratio:
    """Share of the offenders matched by name within their record whose field equals the expected one."""
    pairs = [pair for case in cases for pair in case.matched_entries()]
    return sum(expected[field] == generated[field] for expected, generated in pairs), len(pairs)


METRICS: Mapping[str, Callable[[Sequence[Case]], Ratio]] = {
    "gen_offender_presence_f1": presence_f1,
    "gen_offender_name_set_f1": name_set_f1,
    "gen_json_parse_rate": json_parse_rate,
    "gen_all_fields_exact_match_rate": all_fields_exact_match_rate,
}
"""Each function's docstring defines its metric. In addition there is `gen_field_match_rate/<field>` for each field."""


def ratios(cases: Sequence[Case], target: ExtractionTask) -> dict[str, Ratio]:
    """Every metric as numerator and denominator. Both are sums over the cases, so the ratios of parts can be added."""
    # Matched entries have equal names: the name's own rate would always be 1.
    fields = [field for field in target.fields if field != target.name_field]
    rates = {f"gen_field_match_rate/{field}": field_match_rate(cases, field) for field in fields}
    return {name: metric(cases) for name, metric in METRICS.items()} | rates


def keyword_rule_ratio(article: str, expected: Answer, target: ExtractionTask) -> Ratio:
    """The share of one article in the presence F1 of the rule "any keyword is in the article"."""
    return _f1([(bool(expected.entries), any(keyword in article for keyword in target.keywords))])


def whole_values(text: str) -> Iterator[object]:
    """The JSON objects of a text, in order, up to the first that is broken or cut off; never looks inside that one."""
    start = _JSON_START.search(text)
    while start:
        if prose := _BRACED_PROSE.match(text, start.start()):
            end = prose.end()
        else:
            try:
                value, end = _decode(text, start.start())
            except (ValueError, RecursionError):
                return
            yield value
        start = _JSON_START.search(text, end)


def _decode(text: str, start: int) -> tuple[object, int]:
    """The JSON value at a position, and its end. ValueError or RecursionError if it is not strict JSON."""
    value, end = _DECODER.raw_decode(text, start)
    # Python reads NaN, 1e999 and "\ud800"; what cannot be written back as UTF-8 JSON was not JSON.
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return value, end


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of these pairs. ValueError if a key occurs twice; `json` would silently keep the last one."""
    keys = dict(pairs)
    if len(keys) < len(pairs):
        raise ValueError("duplicate key")
    return keys


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _first_owner(value: object, list_field: str) -> dict[str, object] | None:
    """The first object, outer before inner, that has the list field. No recursion: the value may be deep."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if list_field in value:
                return value
            pending.extend(reversed(value.values()))
        elif isinstance(value, list):
            pending.extend(reversed(value))
    return None


def _answer(entries: object, target: ExtractionTask) -> Answer | None:
    """The list of an answer as flat fields; None if it is not a list of flat objects with names."""
    if not isinstance(entries, list) or not all(_is_entry(entry, target) for entry in entries):
        return None
    rows = tuple(to_csv_fields(entry, target) for entry in entries)
    return Answer(tuple(row[target.name_field] for row in rows), rows)


def _is_entry(entry: object, target: ExtractionTask) -> bool:
    """Whether an entry is a flat object, and its name a string that is not blank."""
    if not isinstance(entry, dict) or any(isinstance(value, dict | list) for value in entry.values()):
        return False
    name = entry.get(target.name_field)
    return isinstance(name, str) and normalise(name) != ""


def _parse_expected(text: str, target: ExtractionTask) -> Answer:
    """The expected answer. ValueError if the text is not an answer; the text is not shown, because it may be private."""
    answer = parse_answer(text, target)
    if answer is None:
        form = f'{{"{target.list_field}": [{{"{target.name_field}": "…", …}}]}}'
        raise ValueError(
            f"the expected text ({len(text)} characters) is not an answer of the form {form}, all flat. "
            "Correct the record, or set `regrow.task` to the form of the data."
        )
    return answer


def _f1(pairs: Iterable[tuple[bool, bool]]) -> Ratio:
    """F1 of (expected, generated) verdicts as 2·TP over 2·TP + FP + FN."""
    counts = Counter(pairs)
    hits = 2 * counts[True, True]
    return hits, hits + counts[True, False] + counts[False, True]
