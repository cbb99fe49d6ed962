"""The request to stop: whoever inherits the file sees it, and nothing is left of it."""

import subprocess
import sys
from pathlib import Path

from patience import HANGS_AFTER_SECONDS
from world import REPO_ROOT

from callbacks.shared.stop_file import STOP_FILE_ENV, StopFile, is_asked_to_stop

CHILD = """
from callbacks.shared.stop_file import is_asked_to_stop, stop_file
file = stop_file()
print(is_asked_to_stop(file), flush=True)
while not is_asked_to_stop(file):
    pass
print("asked", flush=True)
"""


def test_request_reaches_a_process_that_runs_already() -> None:
    with StopFile() as stop:
        command = [sys.executable, "-c", CHILD]
        environment = {STOP_FILE_ENV: str(stop.path), "PYTHONPATH": str(REPO_ROOT)}
        with subprocess.Popen(
            command, env=environment, pass_fds=[stop.descriptor], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout
            assert child.stdout.readline() == "False\n"
            stop.request()
            stop.request()
            assert child.stdout.readline() == "asked\n"
            assert child.wait(timeout=HANGS_AFTER_SECONDS) == 0


def test_file_of_a_stage_that_is_gone_asks_for_nothing(tmp_path: Path) -> None:
    with StopFile() as stop:
        path = stop.path
        assert not is_asked_to_stop(path)
        stop.request()
        assert is_asked_to_stop(path)
    assert not is_asked_to_stop(tmp_path / "not there")


def test_file_that_somebody_names_by_hand_asks_once_something_stands_in_it(tmp_path: Path) -> None:
    file = tmp_path / "stop"
    file.touch()
    assert not is_asked_to_stop(file)
    file.write_text("stop\n")
    assert is_asked_to_stop(file)
