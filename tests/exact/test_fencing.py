"""An attempt that was frozen in a save, and wakes up after its successor has finished, changes nothing."""

import hashlib
import signal
from pathlib import Path

from dev_cluster.processes import wait_until
from patience import HANGS_AFTER_SECONDS
from properties import BASE
from trainings import Trainings


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, with a digest; without Axolotl's own log, which all attempts write."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "debug.log"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_attempt_that_wakes_up_in_a_save_changes_nothing(trainings: Trainings) -> None:
    whole = trainings.train("fenced-whole", BASE)
    frozen = trainings.begin(config := trainings.config("fenced", BASE), "freeze@12")
    try:
        wait_until(frozen.is_frozen, HANGS_AFTER_SECONDS, "the attempt to freeze in its save")
        successor = trainings.attempt(config)
        assert (successor.code, successor.weights) == (0, whole.weights)
        assert (successor.records.steps, successor.records.problems) == (24, ())
        before = contents(successor.folder)
        frozen.signal(signal.SIGCONT)
        wait_until(
            lambda: "another attempt works on this run" in frozen.log.read_text(), HANGS_AFTER_SECONDS, "it to notice"
        )
        assert contents(successor.folder) == before
    finally:
        frozen.signal(signal.SIGKILL)
        frozen.outcome()
