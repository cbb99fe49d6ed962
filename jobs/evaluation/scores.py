"""The scores of one model's predictions: metrics with intervals; classes, kinds of errors; scores by group."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from callbacks.shared.predictions import Row
from callbacks.shared.tasks.verdict import Scorer, Verdict, judged, values
from jobs.evaluation.statistics import Interval, Means, Ratios, intervals

WORST = 20
LENGTH_SLICES = 4
MOST_CLASSES = 20
"""Rows of a table of classes, and groups of a table by class; further classes are left out."""


@dataclass(frozen=True)
class Judged:
    """A prediction and the verdict on it."""

    row: Row
    verdict: Verdict

    @property
    def errors(self) -> Sequence[str]:
        return self.verdict.errors

    @property
    def severity(self) -> float:
        return self.verdict.severity


def judge(rows: Sequence[Row], scorer: Scorer) -> list[Judged]:
    return [Judged(row, judged(scorer, row, f"record {number}")) for number, row in enumerate(rows, 1)]


def metric_ratios(each: Sequence[Judged], scorer: Scorer) -> tuple[list[str], Ratios, Means]:
    """Names of the metrics; for each record and metric, its share of numerator and denominator; the means, which come last."""
    shares = [one.verdict.shares for one in each]
    known = [name for name in scorer.about.metrics if name not in scorer.about.means]
    names = list(dict.fromkeys([*known, *(name for share in shares for name in share)]))
    parts = [[share.get(name, (0, 0)) for name in names] for share in shares]
    means = [
        [index for index, name in enumerate(names) if name.startswith(prefix)] for prefix in scorer.about.means.values()
    ]
    return [*names, *scorer.about.means], np.array(parts, dtype=np.float64).reshape(len(each), len(names), 2), means


def score_predictions(rows: Sequence[Row], scorer: Scorer) -> dict[str, Any]:
    """All scores of one model's predictions, as JSON.

    `metrics`: name → value, low, high (95 %), null for 0/0. `headline`: the metric that ranks models. `classes`: expected ×
    generated class → records; they answer the `question`. `counts`: each kind of error → how many there are, and in how many
    records. `slices`: the metrics by length and by expected class.
    """
    scorer = scorer.for_records(rows)
    each = judge(rows, scorer)
    names, parts, means = metric_ratios(each, scorer)
    return {
        "records": len(rows),
        "metrics": dict(zip(names, map(vars, intervals(parts, means=means)), strict=True)) if rows else {},
        "headline": scorer.about.headline,
        "question": scorer.about.question,
        "classes": class_table(each, scorer) if scorer.about.question else {},
        "counts": {kind: _counts(each, kind) | {"meaning": meaning} for kind, meaning in scorer.about.kinds.items()},
        "cut_off": sum(bool(row.get("is_cut")) for row in rows),
        "slices": {"length": _by_length(each, scorer), "class": _by_class(each, scorer)},
        "worst": worst(each),
    }


def class_table(each: Sequence[Judged], scorer: Scorer) -> dict[str, dict[str, int]]:
    """Expected class → generated class → records."""
    counts = Counter((one.verdict.expected, one.verdict.said) for one in each)
    expected, said = scorer.about.classes
    rows, columns = expected or _frequent(counts, 0), said or _frequent(counts, 1)
    return {row: {column: counts[row, column] for column in columns} for row in rows[:MOST_CLASSES]}


def _frequent(counts: Counter[tuple[str, str]], side: int) -> list[str]:
    """The classes of one side, the most frequent first."""
    found: Counter[str] = Counter()
    for pair, count in counts.items():
        found[pair[side]] += count
    return [name for name, _ in found.most_common(MOST_CLASSES)]


def worst(each: Sequence[Judged], count: int = WORST) -> list[dict[str, Any]]:
    """The records with the worst errors, with input, expected answer and generated answer; records count from 1."""
    order = sorted(range(len(each)), key=lambda index: (-each[index].severity, index))
    return [
        {"record": index + 1, "errors": list(each[index].errors)} | _texts(each[index].row)
        for index in order[:count]
        if each[index].severity
    ]


def _texts(row: Row) -> dict[str, str]:
    return {key: row[key] for key in ("input", "expected", "generated")}


def _counts(each: Sequence[Judged], kind: str) -> dict[str, int]:
    found = [one.verdict.counts.get(kind, 0) for one in each]
    return {"number": sum(found), "records": sum(map(bool, found))}


def _by_class(each: Sequence[Judged], scorer: Scorer) -> list[dict[str, Any]]:
    if not scorer.about.question:
        return []
    classes = scorer.about.classes[0] or _frequent(Counter((one.verdict.expected, "") for one in each), 0)

    def belongs(name: str) -> Callable[[Judged], bool]:
        return lambda one: one.verdict.expected == name

    return _slices(each, scorer, [(name, belongs(name)) for name in classes[:MOST_CLASSES]])


def _by_length(each: Sequence[Judged], scorer: Scorer) -> list[dict[str, Any]]:
    """Four groups by the input's length in characters. Inputs of equal length stay in one group."""
    lengths = sorted(len(one.row["input"]) for one in each)
    cuts = [len(lengths) * (quarter + 1) // LENGTH_SLICES - 1 for quarter in range(LENGTH_SLICES)]
    ends = sorted({lengths[max(0, cut)] for cut in cuts} if lengths else ())
    starts = [0, *(end + 1 for end in ends[:-1])]

    def within(first: int, last: int) -> Callable[[Judged], bool]:
        return lambda one: first <= len(one.row["input"]) <= last

    spans = zip(starts, ends, strict=True) if ends else ()
    return _slices(each, scorer, [(f"{first}–{last}", within(first, last)) for first, last in spans])


def _slices(
    each: Sequence[Judged], scorer: Scorer, kinds: Sequence[tuple[str, Callable[[Judged], bool]]]
) -> list[dict[str, Any]]:
    """The metrics of each group. The same metrics stand in all of them, without those that do not depend on the answers."""
    found = []
    for name, belongs in kinds:
        members = [one for one in each if belongs(one)]
        metrics = {key: value for key, value in values(scorer, [one.verdict for one in members]).items()
                   if key in scorer.about.metrics and key not in scorer.about.references}  # fmt: skip
        found.append({"slice": name, "records": len(members), "metrics": metrics})
    return found


def metric_values(scores: dict[str, Any]) -> dict[str, Interval]:
    """The metrics of a scores file."""
    return {name: Interval(**values) for name, values in scores["metrics"].items()}
