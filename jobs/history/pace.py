"""How far a stage has come, and how long it will take at the pace of late. Pure."""

from dataclasses import dataclass

from callbacks.shared.journal import Entry, attempt_of

RECENT = 50
"""Logged steps, or batches, that make up the pace."""


@dataclass(frozen=True)
class Pace:
    """In steps, or in records of an evaluation."""

    done: int | None
    target: int | None
    seconds_left: float | None
    """None: nothing is known yet."""


def pace(entries: list[Entry], stage: str) -> Pace:
    """Of a stage that runs."""
    match stage:
        case "train":
            return _of_training(entries)
        case "evaluate":
            return _of_evaluation(entries)
        case _:
            return Pace(None, None, None)


def _of_training(entries: list[Entry]) -> Pace:
    """At the pace of the newest attempt, evaluations and saves included."""
    began = [entry for entry in entries if entry["event"] == "training_began"]
    if not began:
        return Pace(None, None, None)
    attempt, target = attempt_of(began[-1]), int(began[-1]["target_step"])
    logged = [entry for entry in entries if entry["event"] == "metrics" and attempt_of(entry) == attempt]
    marks = [(float(entry["time"]), int(entry["step"])) for entry in [began[-1], *logged][-RECENT:]]
    return _pace(marks, marks[-1][1], target)


def _of_evaluation(entries: list[Entry]) -> Pace:
    """All jobs of the evaluation together."""
    parts = {entry["part"]: entry for entry in entries if entry["event"] == "part_began"}
    if not parts:
        return Pace(None, None, None)
    done, marks = sum(int(entry["done"]) for entry in parts.values()), []
    began_at = {part: float(entry["time"]) for part, entry in parts.items()}
    for entry in entries:
        if entry["event"] == "generated" and entry["time"] >= began_at.get(entry["part"], 0.0):
            done += int(entry["records"])
            marks.append((float(entry["time"]), done))
    return _pace(marks[-RECENT:], done, sum(int(entry["records"]) for entry in parts.values()))


def _pace(marks: list[tuple[float, int]], done: int, target: int) -> Pace:
    """`marks`: when how much was done."""
    if len(marks) < 2 or marks[-1][1] <= marks[0][1]:
        return Pace(done, target, None)
    seconds = (marks[-1][0] - marks[0][0]) / (marks[-1][1] - marks[0][1])
    return Pace(done, target, seconds * max(0, target - done))
