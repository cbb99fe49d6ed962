"""Compares two models on the same records: which is better, and whether there are enough records to tell."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from callbacks.shared.args import Target
from callbacks.shared.predictions import Row
from jobs.evaluation.scores import RULE, Judged, judge, metric_ratios
from jobs.evaluation.statistics import Difference, Interval, differences, intervals, mcnemar
from jobs.spec.errors import ConfigError


@dataclass(frozen=True)
class MetricComparison:
    """One metric of both models, and the difference `a` minus `b`."""

    a: Interval
    b: Interval
    difference: Difference


@dataclass(frozen=True)
class Comparison:
    """Model `a` beside model `b`."""

    records: int
    metrics: dict[str, MetricComparison]
    presence: dict[str, int]
    """The question whether there is an offender: the number of records that both, only `a`, only `b` or neither has right."""
    presence_p_value: float
    """McNemar's exact test, two-sided."""


def compare(a: Sequence[Row], b: Sequence[Row], target: Target) -> Comparison:
    """Compare the predictions of two models, record by record.

    Raises:
        ConfigError: they are not predictions for the same records.
    """
    if problem := _mismatch(a, b):
        raise ConfigError(f"the two models were not evaluated on the same records: {problem}")
    judged_a, judged_b = judge(a, target), judge(b, target)
    names, ratios_a = metric_ratios(judged_a, target)
    _, ratios_b = metric_ratios(judged_b, target)
    found = map(MetricComparison, intervals(ratios_a), intervals(ratios_b), differences(ratios_a, ratios_b))
    counts = Counter(zip(map(_presence_is_right, judged_a), map(_presence_is_right, judged_b), strict=True))
    return Comparison(
        records=len(a),
        metrics={name: each for name, each in zip(names, found, strict=True) if name != RULE},
        presence={"both": counts[True, True], "a alone": counts[True, False], "b alone": counts[False, True],
                  "neither": counts[False, False]},
        presence_p_value=mcnemar(counts[True, False], counts[False, True]),
    )  # fmt: skip


def _presence_is_right(each: Judged) -> bool:
    expected, generated = each.case.presence
    return expected == generated


def _mismatch(a: Sequence[Row], b: Sequence[Row]) -> str:
    """How the records differ; empty: they are the same."""
    if len(a) != len(b):
        return f"{len(a)} and {len(b)} records"
    for index, (one, other) in enumerate(zip(a, b, strict=True)):
        if (one["input"], one["expected"]) != (other["input"], other["expected"]):
            return f"record {index} is different"
    return "" if a else "there are no records"
