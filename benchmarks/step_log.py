"""Reads when each step of a training began, as `training_plugins.StepLogPlugin` wrote it: the same for every way to train."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STEP_LOG_ENV = "REGROW_BENCH_STEP_LOG"
"""Environment variable with a folder, in which each process that trains writes a file."""


@dataclass(frozen=True)
class LoggedAttempt:
    """The log of one process."""

    times: Sequence[float]
    """When each step began, seconds since the epoch. The last value is the end of the training, if the process reached it."""
    steps: Sequence[int]
    """The last step that was completed at each of these times."""

    @property
    def durations(self) -> list[float]:
        """Seconds that each step took, including what was logged and saved after it."""
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]


def logged_attempts(folder: Path) -> list[LoggedAttempt]:
    """The logs of all processes that have trained, in the order of their first step."""
    logs = [[json.loads(line) for line in path.read_text().splitlines()] for path in folder.glob("*.jsonl")]
    attempts = [LoggedAttempt(*zip(*lines, strict=True)) for lines in logs if lines]
    return sorted(attempts, key=lambda attempt: attempt.times[0])
