"""The scores of one model's predictions: metrics with intervals; confused, invented and missed names; scores by group."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from callbacks.shared.args import Target
from callbacks.shared.extraction import Case, keyword_rule_ratio, normalise, parse_case, ratios
from callbacks.shared.predictions import Row
from jobs.evaluation.statistics import Interval, Ratios, intervals

WORST = 20
LENGTH_SLICES = 4
RULE = "gen_keyword_rule_presence_f1"


@dataclass(frozen=True)
class Judged:
    """A prediction and the expected answer."""

    row: Row
    case: Case

    @property
    def expects_somebody(self) -> bool:
        return self.case.presence[0]

    @cached_property
    def invented(self) -> list[str]:
        """Generated names that are not in the article."""
        article, (expected, generated) = normalise(self.row["input"]), self.case.name_sets
        return sorted(name for name in generated - expected if name not in article)

    @cached_property
    def wrong(self) -> list[str]:
        """Generated names that are in the article, but not of an offender."""
        expected, generated = self.case.name_sets
        return sorted(generated - expected - set(self.invented))

    @cached_property
    def missed(self) -> list[str]:
        expected, generated = self.case.name_sets
        return sorted(expected - generated)

    @property
    def errors(self) -> list[str]:
        """What is wrong with the answer, worst first; empty: every field is right."""
        if self.case.generated is None:
            return ["cut off" if self.row["is_cut"] else "not the JSON of an answer"]
        kinds = (("invented", self.invented), ("not an offender", self.wrong), ("missed", self.missed))
        found = [f"{kind}: {', '.join(names)}" for kind, names in kinds if names]
        return found or ([] if self.case.is_exact else ["other fields"])

    @property
    def severity(self) -> int:
        """How bad the errors are: false accusations are worst, then missed offenders, then other fields; 0: no error."""
        names = 100 * len(self.invented) + 50 * len(self.wrong) + 10 * len(self.missed)
        return names + (20 if self.case.generated is None else 1 if self.errors else 0)


def judge(rows: Sequence[Row], target: Target) -> list[Judged]:
    return [
        Judged(row, parse_case(row["expected"], row["generated"], target, f"record {index}"))
        for index, row in enumerate(rows)
    ]


def metric_ratios(judged: Sequence[Judged], target: Target) -> tuple[list[str], Ratios]:
    """Names of the metrics; and for each record and metric, its share of the hits and of the total."""
    found = [ratios([each.case], target) | _rule(each, target) for each in judged]
    names = list(found[0]) if found else []
    parts = [[each[name] for name in names] for each in found]
    return names, np.array(parts, dtype=np.int64).reshape(len(found), len(names), 2)


def score_predictions(rows: Sequence[Row], target: Target) -> dict[str, Any]:
    """All scores of one model's predictions, as JSON.

    `metrics`: name → value, low, high (95 %), null for 0/0. `presence`: expected × generated → records. `names`: the number
    of invented names (not in the article), wrong names (in the article, but not an offender) and missed names, and of the
    records with such names. `slices`: the metrics by length and by label.
    """
    judged = judge(rows, target)
    names, parts = metric_ratios(judged, target)
    return {
        "records": len(rows),
        "metrics": dict(zip(names, map(vars, intervals(parts)), strict=True)) if rows else {},
        "presence": presence_table(judged),
        "names": {kind: _names(judged, kind) for kind in ("invented", "wrong", "missed")},
        "cut_off": sum(row["is_cut"] for row in rows),
        "slices": {"length": _by_length(judged, target), "label": _by_label(judged, target)},
        "worst": worst(judged),
    }


def presence_table(judged: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """Is there an offender: expected → generated → records. Answers that do not parse have a column of their own."""
    counts = Counter((each.expects_somebody, _said(each)) for each in judged)
    return {
        expected: {said: counts[flag, said] for said in ("somebody", "nobody", "unparsed")}
        for expected, flag in (("somebody", True), ("nobody", False))
    }


def worst(judged: Sequence[Judged], count: int = WORST) -> list[dict[str, Any]]:
    """The records with the worst errors, with article, expected answer and generated answer."""
    order = sorted(range(len(judged)), key=lambda index: (-judged[index].severity, index))
    return [
        {"record": index, "errors": judged[index].errors} | _texts(judged[index].row)
        for index in order[:count]
        if judged[index].severity
    ]


def _texts(row: Row) -> dict[str, str]:
    return {key: row[key] for key in ("input", "expected", "generated")}


def _said(each: Judged) -> str:
    if each.case.generated is None:
        return "unparsed"
    return "somebody" if each.case.generated.entries else "nobody"


def _names(judged: Sequence[Judged], kind: str) -> dict[str, int]:
    lists = [getattr(each, kind) for each in judged]
    return {"names": sum(map(len, lists)), "records": sum(map(bool, lists))}


def _rule(each: Judged, target: Target) -> dict[str, tuple[int, int]]:
    if not target.keywords:
        return {}
    return {RULE: keyword_rule_ratio(each.row["input"], each.case.expected, target)}


def _by_label(judged: Sequence[Judged], target: Target) -> list[dict[str, Any]]:
    return _slices(judged, target, [("somebody", lambda each: each.expects_somebody),
                                    ("nobody", lambda each: not each.expects_somebody)])  # fmt: skip


def _by_length(judged: Sequence[Judged], target: Target) -> list[dict[str, Any]]:
    """Four groups by the article's length in characters. Articles of equal length stay in one group."""
    lengths = sorted(len(each.row["input"]) for each in judged)
    cuts = [len(lengths) * (quarter + 1) // LENGTH_SLICES - 1 for quarter in range(LENGTH_SLICES)]
    ends = sorted({lengths[max(0, cut)] for cut in cuts} if lengths else ())
    starts = [0, *(end + 1 for end in ends[:-1])]

    def within(first: int, last: int) -> Callable[[Judged], bool]:
        return lambda each: first <= len(each.row["input"]) <= last

    spans = zip(starts, ends, strict=True) if ends else ()
    return _slices(judged, target, [(f"{first}–{last}", within(first, last)) for first, last in spans])


def _slices(
    judged: Sequence[Judged], target: Target, kinds: Sequence[tuple[str, Callable[[Judged], bool]]]
) -> list[dict[str, Any]]:
    found = []
    for name, belongs in kinds:
        members = [each for each in judged if belongs(each)]
        sums = ratios([each.case for each in members], target)
        metrics = {key: hits / all_ if all_ else None for key, (hits, all_) in sums.items()}
        found.append({"slice": name, "records": len(members), "metrics": metrics})
    return found


def metric_values(scores: dict[str, Any]) -> dict[str, Interval]:
    """The metrics of a scores file."""
    return {name: Interval(**values) for name, values in scores["metrics"].items()}
