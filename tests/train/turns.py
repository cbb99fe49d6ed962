"""Turns: a training that logs, or does not, block by block; seen by who makes it take them. See quiet_logging.py."""

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, median

TURNS_ENV = "REGROW_TEST_TURNS"
"""Environment variable: a folder for the two files."""
QUIET, STEPS = "quiet", "steps"
SILENT = ("none", "catching up")
"""While this is the case, nothing is logged; in the second, what was logged may still be on its way."""
SETTLING = 5
"""Steps of a block that do not count: what was held back is logged then."""


class Turns:
    """What the training is told, and how long its steps have taken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._quiet, self._steps = folder / QUIET, folder / STEPS
        self._blocks: list[tuple[str, float, float]] = []
        """What was the case, and from when to when."""

    def take(self, what: str, steps: int) -> None:
        """Let so many steps pass."""
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
        """Until so many more have begun."""
        enough, until = self._count() + steps, time.monotonic() + 120
        while self._count() < enough:
            assert time.monotonic() < until, f"{self._count()} steps, of {enough}"
            time.sleep(0.1)

    def times(self) -> list[float]:
        """When each step began, seconds since the epoch."""
        return [float(line) for line in self._steps.read_text().splitlines()] if self._steps.exists() else []

    def _count(self) -> int:
        return self._steps.read_bytes().count(b"\n") if self._steps.exists() else 0

    def ratios(self, what: str) -> list[float]:
        """A block's mean step beside that of its neighbours without logging, of each such block."""
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
        """The median of the blocks' means."""
        times = self.times()
        return 1000 * median(_mean_step(times, began, ended) for name, began, ended in self._blocks if name == what)


def _mean_step(times: Sequence[float], began: float, ended: float) -> float:
    """Seconds; what is done for many steps at once, beside the training, is in it."""
    steps = [after - before for before, after in pairwise(times) if began <= before and after <= ended]
    return mean(steps[SETTLING:])
