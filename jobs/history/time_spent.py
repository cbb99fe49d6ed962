"""Where a run's time went, by its journal: the queue, the start, steps, steps done again, evaluations, saves. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry
from callbacks.shared.mlflow_process import MLFLOW_WRITER
from jobs.history.spent import Spent, kept_share, of_others, of_training
from jobs.spec.stages import STAGES, Stage

ENDS = (events.StageFinished, events.Left)
"""The events that end an attempt that was not killed."""


@dataclass(frozen=True)
class AttemptTimes:
    """One attempt of a part of a stage."""

    stage: Stage
    part: int
    job_id: str
    attempt: int
    host: str
    started_at: float
    """Seconds since the epoch, like `ended_at`."""
    ended_at: float
    """For an attempt that was killed or still runs: the time of its last entry."""
    ending: str
    """finished, or the cause for which the attempt left, or `unknown`: the journal has no end."""
    first_step: int | None
    last_step: int | None
    """For a training: its first and last step; None: it did not begin, or the stage has no steps."""
    spent: Spent

    @property
    def name(self) -> str:
        """The name of its log and its journals."""
        return f"{self.stage}-{self.job_id}-{self.attempt}"


def attempt_times(entries: list[Entry]) -> list[AttemptTimes]:
    """All attempts, in order of their start."""
    of_attempt = _by_attempt(entries)
    ready = _Ready(of_attempt)
    began = only(entries, events.TrainingBegan)
    found = []
    for entry in entries:
        if isinstance(entry, events.StageStarted):
            name = _name(entry)
            later = [other.step for other in began if other.attempt_name != name and other.order > entry.order]
            found.append(_times(entry, of_attempt[name], ready.since(entry), later[:1]))
        ready.note(entry)
    return found


def _by_attempt(entries: list[Entry]) -> dict[str, list[Entry]]:
    """Each attempt's entries. They are grouped only once, because an evaluation can have thousands of attempts."""
    found: dict[str, list[Entry]] = {}
    of_writer: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.writer not in of_writer:
            attempt, _, name = entry.writer.rpartition("-")
            is_mlflow = name == MLFLOW_WRITER  # this process outlives its attempt
            of_writer[entry.writer] = [] if is_mlflow else found.setdefault(attempt, [])
        of_writer[entry.writer].append(entry)
    return found


def total(attempts: Sequence[AttemptTimes], stage: Stage | None = None) -> Spent:
    """The sum over all attempts. `stage`: only this stage's attempts."""
    return sum((each.spent for each in attempts if stage in (None, each.stage)), Spent())


def steps_lost(attempts: Sequence[AttemptTimes]) -> int:
    """The number of optimizer steps that were done again."""
    trained = [each for each in attempts if each.stage == "train" and each.first_step is not None]
    return sum(max(0, (one.last_step or 0) - (other.first_step or 0)) for one, other in pairwise(trained))


def main_stage(attempts: Sequence[AttemptTimes]) -> Stage:
    """The stage whose goodput counts for the run: train, or evaluate if the run does not train."""
    return "train" if any(each.stage == "train" for each in attempts) else "evaluate"


def gpu_hours(attempts: Sequence[AttemptTimes], gpus: Mapping[Stage, int]) -> float:
    """The allocated time in GPU-hours. `gpus`: the GPUs of one job of each stage."""
    return sum(each.spent.allocated * gpus.get(each.stage, 0) for each in attempts) / 3600


class _Ready:
    """The time since which a part of a stage waited only for Slurm. Built from the journal, entry by entry."""

    def __init__(self, of_attempt: Mapping[str, list[Entry]]) -> None:
        self._of_attempt = of_attempt
        self._submitted: dict[str, float] = {}
        self._finished: dict[str, float] = {}
        self._newest: dict[tuple[str, int], str] = {}

    def note(self, entry: Entry) -> None:
        match entry:
            case events.Submitted():
                self._submitted[entry.stage] = entry.time
            case events.StageFinished():
                self._finished[entry.stage] = entry.time
            case events.StageStarted():
                self._newest[entry.stage, entry.part] = _name(entry)

    def since(self, start: events.StageStarted) -> float:
        """The latest of these: the stage's submission, the end of the previous stage, the end of the previous attempt."""
        waited_for = STAGES[: STAGES.index(start.stage)][-1:]
        times = [self._submitted.get(start.stage), *(self._finished.get(other) for other in waited_for)]
        before = self._newest.get((start.stage, start.part))
        times.append(self._of_attempt[before][-1].time if before else None)
        return max((time for time in times if time is not None), default=start.time)


def _name(start: events.StageStarted) -> str:
    return f"{start.stage}-{start.job_id}-{start.attempt}"


def _times(start: events.StageStarted, mine: list[Entry], ready_since: float, following: list[int]) -> AttemptTimes:
    """One attempt. `following`: the step at which the next training began; empty: there is none."""
    last = next((entry for entry in reversed(mine) if isinstance(entry, ENDS)), mine[-1])
    began = next(iter(only(mine, events.TrainingBegan)), None)
    steps = [entry.step for entry in only(mine, events.Metrics) if "loss" in entry.values]
    reached = max([began.step, *steps]) if began else None
    kept = kept_share(began.step if began else None, reached, following)
    allocated = of_training(mine, began, last, kept) if began else of_others(start, mine, last)
    return AttemptTimes(
        stage=start.stage,
        part=start.part,
        job_id=start.job_id,
        attempt=start.attempt,
        host=start.host,
        started_at=start.time,
        ended_at=last.time,
        ending=_ending(last),
        first_step=began.step if began else None,
        last_step=reached,
        spent=Spent(queued=max(0.0, start.time - ready_since)) + allocated,
    )


def _ending(last: Entry) -> str:
    match last:
        case events.StageFinished():
            return "finished"
        case events.Left():
            return last.cause
        case _:
            return "unknown"
