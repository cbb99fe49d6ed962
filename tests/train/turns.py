"""Turns: switches a training's logging on and off, block by block, from outside the training. See quiet_logging.py."""

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, median

TURNS_ENV = "REGROW_TEST_TURNS"
"""Environment variable with the folder of the two files."""
QUIET, STEPS = "quiet", "steps"
SILENT = ("none", "catching up")
"""States in which nothing is logged. In the second, earlier logs may still be on their way."""
SETTLING = 5
"""Steps at the start of a block that do not count: in them, the logs that were held back are written."""


class Turns:
    """Tells the training whether to log, and reads how long its steps took."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._quiet, self._steps = folder / QUIET, folder / STEPS
        self._blocks: list[tuple[str, float, float]] = []
        """The state of each block, with its start and its end, seconds since the epoch."""

    def take(self, what: str, steps: int) -> None:
        """Put the training into a state for this many steps."""
        if what in SILENT:
            self._quiet.touch()
        else:
            self._quiet.unlink(missing_ok=True)
        began = time.time()
        self.wait_for(steps)
        self._blocks.append((what, began, time.time()))

    def end(self) -> None:
        self._quiet.unlink(missing_ok=True)

    def wait_for(self, steps: int) -> None:
        """Wait until this many more steps have begun."""
        from patience import HANGS_AFTER_SECONDS  # a training imports this module too, without the tests' folder

        enough, until = self._count() + steps, time.monotonic() + HANGS_AFTER_SECONDS
        while self._count() < enough:
            assert time.monotonic() < until, f"{self._count()} steps, of {enough}"
            time.sleep(0.1)

    def times(self) -> list[float]:
        """When each step began, seconds since the epoch."""
        return [float(line) for line in self._steps.read_text().splitlines()] if self._steps.exists() else []

    def _count(self) -> int:
        return self._steps.read_bytes().count(b"\n") if self._steps.exists() else 0

    def ratios(self, what: str) -> list[float]:
        """For each block in this state: its mean step time, divided by that of its neighbours without logging."""
        times = self.times()
        means = [_mean_step(times, began, ended) for _, began, ended in self._blocks]
        found = []
        for index, (name, _, _) in enumerate(self._blocks):
            beside = [
                means[other]
                for other in (index - 1, index + 1)
                if 0 <= other < len(means) and self._blocks[other][0] == "none"
            ]
            if name == what and beside:
                found.append(means[index] / (sum(beside) / len(beside)))
        return found

    def milliseconds(self, what: str) -> float:
        """The median of the mean step times of the blocks in this state."""
        times = self.times()
        return 1000 * median(_mean_step(times, began, ended) for name, began, ended in self._blocks if name == what)


def _mean_step(times: Sequence[float], began: float, ended: float) -> float:
    """The mean time of a step, seconds. It includes work that the process does for many steps at once."""
    steps = [after - before for before, after in pairwise(times) if began <= before and after <= ended]
    return mean(steps[SETTLING:])
