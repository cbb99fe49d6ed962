"""pydantic's errors in the words of those who wrote the value: what was found, and what to write instead."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from jobs.spec.errors import did_you_mean

Key = tuple[str, ...]
Detail = Mapping[str, Any]
"""One entry of `ValidationError.errors()`."""
UNKNOWN_KEY = "unknown key"
MOST_NEIGHBOURS = 3
MOST_CHARACTERS = 80
"""Of a found value that is shown; the rest is cut off."""

KINDS: dict[str, str] = {
    "bool": "true or false", "int": "a whole number", "float": "a number", "decimal": "a number", "string": "text",
    "str": "text", "path": "a path", "bytes": "text", "list": "a list", "tuple": "a list", "set": "a list",
    "frozen_set": "a list", "iterable": "a list", "dict": "a mapping (`key: value`)", "mapping": "a mapping (`key: value`)",
    "model": "a mapping (`key: value`)", "dataclass": "a mapping (`key: value`)", "none": "null", "url": "a URL",
    "date": "a date", "datetime": "a date and time", "time": "a time of day", "timedelta": "a duration",
}  # fmt: skip
"""The first word of an error's type (`int_parsing`) → what is expected."""
BOUNDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "int_from_float": lambda ctx: "a whole number",
    "finite_number": lambda ctx: "a finite number",
    "greater_than": lambda ctx: f"a number above {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"a number, {ctx['ge']:g} or more",
    "less_than": lambda ctx: f"a number below {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"a number, {ctx['le']:g} or less",
    "multiple_of": lambda ctx: f"a multiple of {ctx['multiple_of']:g}",
    "string_pattern_mismatch": lambda ctx: f"text that matches `{ctx['pattern']}`",
    "string_too_short": lambda ctx: f"text of {ctx['min_length']} characters or more",
    "string_too_long": lambda ctx: f"text of {ctx['max_length']} characters or fewer",
    "too_short": lambda ctx: f"{ctx['min_length']} items or more",
    "too_long": lambda ctx: f"{ctx['max_length']} items or fewer",
    "union_tag_invalid": lambda ctx: f"{ctx['discriminator']}: {ctx['expected_tags']}",
    "union_tag_not_found": lambda ctx: f"a mapping with {ctx['discriminator']}",
}
"""The type of an error → what is expected, from the error's context."""


@dataclass(frozen=True)
class WrongValue:
    """One value that does not fit."""

    key: Key
    """Its path in the content, list items by their index; empty: no single key is to blame."""
    found: str
    fix: str
    """What to write; empty: `found` says it, in the words of a validator."""


def wrong_values(error: ValidationError, content: Any) -> list[WrongValue]:
    """What is wrong, one entry a key, in the order in which pydantic found it.

    Args:
        content: what was validated.
    """
    by_key: dict[Key, list[Detail]] = defaultdict(list)
    for detail in _best_fitting(error.errors(include_url=False), content):
        by_key[_walk(detail, content)[0]].append(detail)
    return [_wrong_value(key, details) for key, details in by_key.items()]


def _wrong_value(key: Key, details: Sequence[Detail]) -> WrongValue:
    first = details[0]
    if first["type"] == "extra_forbidden":
        return WrongValue(key, UNKNOWN_KEY, "remove it")
    if first["type"] == "missing":
        return WrongValue(key, "is missing", "add this key")
    found = f"found {shown(first['input'])}"
    for detail in details:
        if detail["type"] in ("value_error", "assertion_error"):
            said = str(detail.get("ctx", {}).get("error", "")) or detail["msg"]
            return _of_validator(key, said, first["input"])
    known = dict.fromkeys(word for detail in details for word in _known(detail))
    kinds = dict.fromkeys(kind for detail in details if (kind := _kind(detail)))
    return WrongValue(key, found, _fix(first["input"], list(known), list(kinds)))


def _of_validator(key: Key, said: str, value: Any) -> WrongValue:
    """What a validator says; the value is added where it leaves it out."""
    one_of = re.search(r"(?:one of|must be|choose from)\W+(.*)", said, re.DOTALL | re.IGNORECASE)
    known = re.findall(r"[`'\"]([\w.-]+)[`'\"]", one_of[1]) if one_of else []
    hint = did_you_mean(value, known, MOST_NEIGHBOURS) if isinstance(value, str) else ""
    names_value = not key or str(value) in said
    return WrongValue(key, said if names_value else f"found {shown(value)}: {said}", hint)


def fix_for(value: Any, known: Iterable[str]) -> str:
    """What to write instead of `value`, where only these words are known."""
    return _fix(value, sorted(known), [])


def _fix(value: Any, known: Sequence[str], kinds: Sequence[str]) -> str:
    if isinstance(value, str) and (hint := did_you_mean(value, known, MOST_NEIGHBOURS)):
        return hint
    return f"write {either([*(f'`{word}`' for word in known), *kinds]) or 'a value of another kind'}"


def either(words: Sequence[str]) -> str:
    """`a, b or c`."""
    *others, last = words or [""]
    if last.startswith("true or"):
        return ", ".join(words)
    return f"{', '.join(others)} or {last}" if others else last


def shown(value: Any) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def _known(detail: Detail) -> list[str]:
    """The words that a literal or an enum admits."""
    if detail["type"] not in ("literal_error", "enum"):
        return []
    expected = re.sub(r" or (?=\S+$)", ", ", str(detail["ctx"]["expected"]))
    return [quoted or plain for quoted, plain in re.findall(r"'((?:[^'\\]|\\.)*)'|([^\s,']+)", expected)]


def _kind(detail: Detail) -> str:
    """The kind of value that is expected; empty: it is among the known words, or nobody can say."""
    if (kind := detail["type"]) in BOUNDS:
        return BOUNDS[kind](detail.get("ctx", {}))
    return next((KINDS[word] for word in (kind.rpartition("_")[0], kind.partition("_")[0]) if word in KINDS), "")


def _walk(detail: Detail, content: Any) -> tuple[Key, tuple[tuple[Key, str], ...]]:
    """The path of a detail's key; and the names of the unions' members on the way, which stand nowhere in the content, each with
    the path that it belongs to."""
    path: Key = ()
    members: list[tuple[Key, str]] = []
    location = detail["loc"]
    for depth, part in enumerate(location):
        is_last = depth == len(location) - 1
        if _has(content, part):
            content = content[part]
        elif not (is_last and detail["type"] == "missing"):
            members.append((path, str(part)))
            continue
        path = (*path, str(part))
    return path, tuple(members)


def _has(content: Any, part: int | str) -> bool:
    """Whether a key or an index is in a mapping or a list."""
    if isinstance(content, list | tuple):
        return isinstance(part, int) and part < len(content)
    return isinstance(content, Mapping) and part in content


def _best_fitting(details: Iterable[Detail], content: Any) -> list[Detail]:
    """The details without those of union members that were not meant: pydantic names the faults of all members."""
    found = [(detail, *_walk(detail, content)) for detail in details]
    for depth in range(max((len(members) for _, _, members in found), default=0)):
        faults: dict[Any, dict[str, list[tuple[Key, str]]]] = defaultdict(lambda: defaultdict(list))
        for detail, key, members in found:
            if len(members) > depth:
                faults[members[:depth], members[depth][0]][members[depth][1]].append((key, detail["type"]))
        ranks = {
            union: {name: _misfit(union[1], of_member) for name, of_member in by_name.items()}
            for union, by_name in faults.items()
        }
        found = [
            (detail, key, members)
            for detail, key, members in found
            if len(members) <= depth
            or (rank := ranks[members[:depth], members[depth][0]])[members[depth][1]] == min(rank.values())
        ]
    return [detail for detail, _, _ in found]


def _misfit(union: Key, faults: Sequence[tuple[Key, str]]) -> tuple[bool, bool, int]:
    """How badly a member of a union fits: another form altogether; another word where it has its mark; faults.

    Args:
        union: where the union stands.
        faults: the key and the type of each fault of the member.
    """
    has_other_form = any(key == union for key, _ in faults)
    has_other_mark = any(key != union and kind == "literal_error" for key, kind in faults)
    return has_other_form, has_other_mark, len(faults)
