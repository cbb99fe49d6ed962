"""The verdict on one answer, the protocol of those who give it, and the metrics of many verdicts. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Ratio = tuple[float, float]
"""Numerator and denominator of a metric. Both are summed over the records before they are divided."""
Row = Mapping[str, Any]
"""A prediction: `input`, `expected` and `generated`, all text; `is_cut` where it is known."""


@dataclass(frozen=True)
class Verdict:
    """What is said of one answer."""

    shares: Mapping[str, Ratio]
    """Metric → this record's share of its numerator and denominator. A metric that does not concern the record may be missing."""
    is_right: bool
    """The yes or no by which two models are compared record by record."""
    errors: Sequence[str] = ()
    """What is wrong with the answer, worst first; empty: nothing."""
    severity: float = 0.0
    """How bad the errors are; 0: there are none."""
    expected: str = ""
    """The class of the expected answer; empty: the task has no classes."""
    said: str = ""
    """The class of the generated answer."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How much of each kind of error there is."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Further columns of the predictions file."""


@dataclass
class About:
    """What readers of the scores need to know about a task."""

    headline: str
    """The metric by which models are ranked, unless the config's `metric_for_best_model` names another."""
    metrics: Sequence[str]
    """The metrics that there always are, even if they are 0/0."""
    labels: Mapping[str, str]
    """Metric → its label, of those that are shown for each evaluated step, in order."""
    right: str = "right"
    """What `Verdict.is_right` says, e.g. "presence right"."""
    question: str = ""
    """What the classes answer, e.g. "is there an offender"; empty: there are no classes."""
    classes: tuple[Sequence[str], Sequence[str]] = ((), ())
    """The expected and the generated classes, in order; empty: those that occur, the most frequent first."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Each kind of `Verdict.counts` → what it means."""
    means: Mapping[str, str] = field(default_factory=dict)
    """A metric → the prefix of the metrics of which it is the unweighted mean."""
    references: Sequence[str] = ()
    """Metrics that do not depend on the model's answers."""


class Scorer(Protocol):
    """Scores the answers of one kind of task."""

    about: About

    def for_records(self, rows: Sequence[Row]) -> "Scorer":
        """The scorer for these records: what it does not know from the config, it learns from their expected answers."""
        return self

    def judge(self, row: Row) -> Verdict:
        """Judge one answer.

        Raises:
            ValueError: the expected text is not an answer. The message does not show the text, which may be private.
        """
        ...


def totals(verdicts: Iterable[Verdict]) -> dict[str, Ratio]:
    """Each metric's numerator and denominator, summed over the verdicts."""
    sums: dict[str, Ratio] = {}
    for verdict in verdicts:
        for name, (hits, of) in verdict.shares.items():
            before = sums.get(name, (0, 0))
            sums[name] = before[0] + hits, before[1] + of
    return sums


def values(scorer: Scorer, verdicts: Sequence[Verdict]) -> dict[str, float | None]:
    """The metrics of the verdicts; None: 0/0."""
    found: dict[str, float | None] = dict.fromkeys(scorer.about.metrics)
    found |= {name: hits / of if of else None for name, (hits, of) in totals(verdicts).items()}
    for name, prefix in scorer.about.means.items():
        parts = [value for key, value in found.items() if key.startswith(prefix) and value is not None]
        found[name] = sum(parts) / len(parts) if parts else None
    return found


def judged(scorer: Scorer, row: Row, label: str) -> Verdict:
    """The verdict on a row. `label` begins the message of a ValueError, e.g. "record 7"."""
    try:
        return scorer.judge(row)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error
