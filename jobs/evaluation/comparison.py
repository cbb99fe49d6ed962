"""Compares two models on the same records: which is better, and whether there are enough records to tell."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from callbacks.shared.predictions import Row
from callbacks.shared.tasks.verdict import Scorer
from jobs.evaluation.scores import judge, metric_ratios
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
    question: str
    """What `right` counts, e.g. "presence right"."""
    right: dict[str, int]
    """The number of records that both, only `a`, only `b` or neither has right."""
    right_p_value: float
    """McNemar's exact test, two-sided."""
    headline: str
    """The metric by which models of this task are ranked."""


def compare(a: Sequence[Row], b: Sequence[Row], scorer: Scorer) -> Comparison:
    """Compare the predictions of two models, record by record.

    Raises:
        ConfigError: they are not predictions for the same records.
    """
    if problem := _mismatch(a, b):
        raise ConfigError(f"the two models were not evaluated on the same records: {problem}")
    scorer = scorer.for_records(a)
    both = [*judge(a, scorer), *judge(b, scorer)]
    names, ratios, means = metric_ratios(both, scorer)  # together: one model may have metrics that the other lacks
    ratios_a, ratios_b = ratios[: len(a)], ratios[len(a) :]
    found = map(
        MetricComparison,
        intervals(ratios_a, means=means),
        intervals(ratios_b, means=means),
        differences(ratios_a, ratios_b, means=means),
    )
    right = [each.verdict.is_right for each in both]
    counts = Counter(zip(right[: len(a)], right[len(a) :], strict=True))
    return Comparison(
        records=len(a),
        metrics={name: each for name, each in zip(names, found, strict=True) if name not in scorer.about.references},
        question=scorer.about.right,
        right={"both": counts[True, True], "a alone": counts[True, False], "b alone": counts[False, True],
               "neither": counts[False, False]},
        right_p_value=mcnemar(counts[True, False], counts[False, True]),
        headline=scorer.about.headline,
    )  # fmt: skip


def _mismatch(a: Sequence[Row], b: Sequence[Row]) -> str:
    """How the records differ; empty: they are the same."""
    if len(a) != len(b):
        return f"{len(a)} and {len(b)} records"
    for index, (one, other) in enumerate(zip(a, b, strict=True)):
        if (one["input"], one["expected"]) != (other["input"], other["expected"]):
            return f"record {index + 1} is different"
    return "" if a else "there are no records"
