"""How far a stage has come, and how long it will take at its recent pace. Pure."""

from dataclasses import dataclass

from callbacks.shared import events
from callbacks.shared.events import newest, only
from callbacks.shared.journal import Entry

RECENT = 50
"""The number of newest logged steps, or batches, from which the pace is computed."""


@dataclass(frozen=True)
class Pace:
    """A stage's progress, in steps or in records of an evaluation."""

    done: int | None
    target: int | None
    seconds_left: float | None
    """None: not yet known."""


def pace(entries: list[Entry], stage: str) -> Pace:
    """The pace of a running stage."""
    match stage:
        case "train":
            return _of_training(entries)
        case "evaluate":
            return _of_evaluation(entries)
        case _:
            return Pace(None, None, None)


def _of_training(entries: list[Entry]) -> Pace:
    """The pace of the newest attempt, including evaluations and saves."""
    began = newest(entries, events.TrainingBegan)
    if not began:
        return Pace(None, None, None)
    logged = [entry for entry in only(entries, events.Metrics) if entry.attempt_name == began.attempt_name]
    known = [(began.time, began.step), *((entry.time, entry.step) for entry in logged)]
    marks = known[-RECENT:]
    return _pace(marks, marks[-1][1], began.target_step)


def _of_evaluation(entries: list[Entry]) -> Pace:
    """The pace of all jobs of the evaluation together."""
    parts = {entry.part: entry for entry in only(entries, events.PartBegan)}
    if not parts:
        return Pace(None, None, None)
    done, marks = sum(entry.done for entry in parts.values()), []
    for entry in only(entries, events.Generated):
        if entry.part not in parts or entry.order >= parts[entry.part].order:
            done += entry.records
            marks.append((entry.time, done))
    return _pace(marks[-RECENT:], done, sum(entry.records for entry in parts.values()))


def _pace(marks: list[tuple[float, int]], done: int, target: int) -> Pace:
    """`marks`: pairs of a time and the amount that was done by then."""
    if len(marks) < 2 or marks[-1][1] <= marks[0][1]:
        return Pace(done, target, None)
    seconds = (marks[-1][0] - marks[0][0]) / (marks[-1][1] - marks[0][1])
    return Pace(done, target, seconds * max(0, target - done))
