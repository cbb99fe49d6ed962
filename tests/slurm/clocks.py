"""Nodes whose clocks are wrong: jobs begin under libfaketime, which changes what a process reads of the clock."""

from itertools import pairwise
from pathlib import Path

from disturbed_run import Run

CLOCK_SECONDS = 600
_LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), Path("libfaketime.so.1"))
WRONG_CLOCKS = (
    f"case $SLURM_RESTART_COUNT in 1|3) export FAKETIME=-{CLOCK_SECONDS};; *) export FAKETIME=+{CLOCK_SECONDS};; esac; "
    f"export NO_FAKE_STAT=1 FAKETIME_DONT_FAKE_MONOTONIC=1 LD_PRELOAD={_LIBRARY}"
)
"""A shell line. Each attempt's clock is wrong by so much, to the other side than that of the attempt before it."""


def clocks_were_apart(run: Run) -> None:
    """Assert that each attempt read another clock than the one before it; without the library, nothing would be tried."""
    run.wait_for_attempts(4)
    times = [entry.time for entry in run.entries("stage_started", stage="train")]
    apart = [round((later - earlier) / CLOCK_SECONDS) for earlier, later in pairwise(times)]
    assert apart == [-2, 2, -2], f"attempts began at {times}: is the package faketime installed?"
