"""When each step of a training began, as `training_plugins.StepLogPlugin` has noted it: one stopwatch for every way to train."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STEP_LOG_ENV = "REGROW_BENCH_STEP_LOG"
"""Environment variable: a folder; each process that trains gets a file there."""


@dataclass(frozen=True)
class LoggedAttempt:
    """What one process has logged."""

    times: Sequence[float]
    """When each of its steps began, seconds since the epoch; the last is the end of the training, if it came to that."""
    steps: Sequence[int]
    """The step that was completed by each of these moments."""

    @property
    def durations(self) -> list[float]:
        """Of the steps, seconds, each with all that is logged and saved after it."""
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]


def logged_attempts(folder: Path) -> list[LoggedAttempt]:
    """All processes that have trained, in the order of their first step."""
    logs = [[json.loads(line) for line in path.read_text().splitlines()] for path in folder.glob("*.jsonl")]
    attempts = [LoggedAttempt(*zip(*lines, strict=True)) for lines in logs if lines]
    return sorted(attempts, key=lambda attempt: attempt.times[0])
