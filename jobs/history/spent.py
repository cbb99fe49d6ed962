"""What the time of one attempt was spent on, in seconds of each kind. Pure."""

from dataclasses import asdict, dataclass, fields

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry

STEPPING = (events.Metrics, events.Saved, events.Stopped, events.TrainingEnded)
"""The events of a training from its first step to its last."""
RARE = frozenset({"suspended"})
"""Kinds of spent time that are shown only if a run has them."""


@dataclass(frozen=True)
class Spent:
    """Seconds of each kind."""

    queued: float = 0.0
    """Time until the start, from the moment when the attempt waited only for Slurm. It is not allocated."""
    starting: float = 0.0
    """Loading of imports, model, data and checkpoint, until the first step or an evaluation's first batch."""
    productive: float = 0.0
    """Steps that count, batches of answers, and all the work of a stage without steps."""
    replayed: float = 0.0
    """Steps that a later attempt did again."""
    evaluating: float = 0.0
    """Evaluations during the training."""
    saving: float = 0.0
    leaving: float = 0.0
    """From the last step to the end of the attempt."""
    suspended: float = 0.0
    """Slurm had suspended the job. This time is not allocated either."""

    @property
    def allocated(self) -> float:
        """All time except that in the queue and of suspensions: what the job is charged for."""
        return float(sum(asdict(self).values())) - self.queued - self.suspended

    @property
    def goodput(self) -> float | None:
        """The productive share of the allocated time; None: no time was allocated."""
        return self.productive / self.allocated if self.allocated else None

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


class _Awake:
    """The time in which an attempt's processes were not suspended."""

    def __init__(self, mine: list[Entry]) -> None:
        self._suspended = [(entry.time - entry.seconds, entry.time) for entry in only(mine, events.Suspended)]

    def suspended(self, start: float, end: float) -> float:
        """Seconds between two times in which they were suspended."""
        return sum(max(0.0, min(end, until) - max(start, since)) for since, until in self._suspended)

    def between(self, start: float, end: float) -> float:
        """Seconds between two times without those of suspensions."""
        return end - start - self.suspended(start, end)

    def before(self, end: float, seconds: float) -> float:
        """Of the last `seconds` before a time, those without suspensions."""
        return self.between(end - seconds, end)


def of_others(start: events.StageStarted, mine: list[Entry], last: Entry) -> Spent:
    """The time of a stage without steps: for an evaluation, its batches are productive; for others, all their time."""
    began, awake = next((entry.time for entry in only(mine, events.PartBegan)), None), _Awake(mine)
    suspended = awake.suspended(start.time, last.time)
    if start.stage not in ("evaluate", "train"):
        return Spent(productive=awake.between(start.time, last.time), suspended=suspended)
    if began is None:
        return Spent(starting=awake.between(start.time, last.time), suspended=suspended)
    productive = sum(awake.before(entry.time, entry.seconds or 0.0) for entry in only(mine, events.Generated))
    return Spent(
        starting=awake.between(start.time, began),
        productive=productive,
        leaving=awake.between(began, last.time) - productive,
        suspended=suspended,
    )


def of_training(mine: list[Entry], began: events.TrainingBegan, last: Entry, kept: float) -> Spent:
    """The time of a training. `kept`: the share of its steps that no later attempt did again."""
    end = max((entry.time for entry in mine if isinstance(entry, STEPPING)), default=began.time)
    awake, metrics = _Awake(mine), only(mine, events.Metrics)
    evaluating = sum(
        awake.before(entry.time, entry.values.get(name, 0.0))
        for entry in metrics
        for name in ("eval_runtime", "gen_seconds")
    )
    saving = sum(awake.before(entry.time, entry.seconds) for entry in only(mine, events.Saved))
    stepped = max(0.0, awake.between(began.time, end) - evaluating - saving)
    return Spent(
        starting=awake.between(mine[0].time, began.time),
        productive=kept * stepped,
        replayed=(1 - kept) * stepped,
        evaluating=evaluating,
        saving=saving,
        leaving=awake.between(end, last.time),
        suspended=awake.suspended(mine[0].time, last.time),
    )


def kept_share(first: int | None, reached: int | None, following: list[int]) -> float:
    """The share of an attempt's steps that the next attempt did not do again."""
    if first is None or reached is None or reached <= first or not following:
        return 1.0
    return min(1.0, max(0.0, (following[0] - first) / (reached - first)))
