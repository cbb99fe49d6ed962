"""The outcome of a training of `make bench-preempt`, from its step log, Slurm's accounting and its adapter."""

import hashlib
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from dev_cluster.processes import wait_until
from preemption_ways import STEPS, Place, Started
from step_log import LoggedAttempt, logged_attempts


@dataclass(frozen=True)
class Outcome:
    """The outcome of one training."""

    completed: bool
    steps_lost: int
    """Completed steps that were done again, or that were missing at the end."""
    wall: float
    """Seconds from the first start of the job to its end."""
    allocated: float
    """Seconds with a node, over all attempts."""
    productive: float
    """Seconds of steps that counted."""
    adapter: str
    """The adapter's sha256; empty: there is none."""
    back: list[float]
    """For each preemption: seconds until the next attempt's first step, including Slurm's own wait."""
    idle: list[float]
    """For each pair of successive attempts: seconds from the last step of the first to the first step of the second."""


def outcome_of(place: Place, started: Started, faults: Sequence[float]) -> Outcome:
    attempts = logged_attempts(place.folder / "steps")
    ends = sacct_times(place, started.job_id)
    if not attempts:
        raise RuntimeError(f"{place.folder.name} has not trained:\n{last_words(place.folder)}")
    starts = [attempt.times[0] for attempt in attempts]
    lost, reached = lost_steps(attempts), max(attempts[-1].steps)
    step = statistics.median(duration for attempt in attempts for duration in attempt.durations)
    allocated = sum(end - start for start, end in ends)
    digest = hashlib.sha256(started.adapter.read_bytes()).hexdigest() if started.adapter.exists() else ""
    return Outcome(
        completed=reached == STEPS and bool(digest),
        steps_lost=lost + STEPS - reached,
        wall=ends[-1][1] - ends[0][0],
        allocated=allocated,
        productive=step * reached,
        adapter=digest,
        back=[after - fault for fault, after in zip(faults, starts[1:], strict=False)],
        idle=[after.times[0] - before.times[-1] for before, after in pairwise(attempts)],
    )


def last_words(folder: Path) -> str:
    """The ends of the logs in the folder."""
    logs = [
        path for path in folder.rglob("*") if path.is_file() and (path.name == "log" or path.suffix in (".log", ".out"))
    ]
    return "\n".join(f"{path}:\n{path.read_text(errors='replace')[-2000:]}" for path in logs)


def lost_steps(attempts: Sequence[LoggedAttempt]) -> int:
    """The number of completed steps that a later attempt did again."""
    return sum(max(0, max(before.steps) - after.steps[0]) for before, after in pairwise(attempts))


def sacct_times(place: Place, job_id: str) -> list[tuple[float, float]]:
    """Start and end of each of the job's attempts, seconds since the epoch; waits for the accounting."""
    command = ("sacct", "--noheader", "--parsable2", "--allocations", "--duplicates", f"--jobs={job_id}",
               "--format=Start,End")  # fmt: skip

    def rows() -> list[list[str]]:
        done = subprocess.run(
            command, env=place.environment | {"SLURM_TIME_FORMAT": "%s"}, check=True, stdout=subprocess.PIPE, text=True
        )
        return [line.split("|") for line in done.stdout.splitlines()]

    wait_until(lambda: all(end.isdigit() for _, end in rows()), 60, "the accounting")
    return sorted((float(start), float(end)) for start, end in rows() if start.isdigit())
