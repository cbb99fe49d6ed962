"""The files that the probe's libraries write to temporary places are removed, even if a process was killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from patience import HANGS_AFTER_SECONDS
from world import REPO_ROOT, World

from jobs.check.shared.scratch import scratch

USER = """
import sys
from pathlib import Path
from jobs.check.shared.scratch import scratch
with scratch() as place:
    (place.folder / "of-a-library").mkdir(exist_ok=True)
    (place.folder / sys.argv[1]).write_text("x")
    print("ready", flush=True)
    sys.stdin.read()
"""
"""Only a process that hangs takes so long."""
User = Callable[[str], subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def start() -> Iterator[User]:
    """Start a process, and wait until it has written a file to the scratch folder. It ends when its stdin is closed."""
    with ExitStack() as stack:

        def started(name: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", USER, name]
            process = stack.enter_context(
                subprocess.Popen(command, cwd=REPO_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            return process

        yield started


def left_by(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    process.stdin.close()
    return process.wait(HANGS_AFTER_SECONDS)


def test_folder_is_empty_after_use(start: User) -> None:
    assert left_by(start("one")) == 0
    with scratch() as place:
        assert list(place.folder.iterdir()) == []


def test_what_a_killed_process_has_left_is_removed_by_the_next_one(start: User) -> None:
    killed = start("one")
    killed.send_signal(signal.SIGKILL)
    killed.wait(HANGS_AFTER_SECONDS)
    with scratch() as place:
        assert list(place.folder.iterdir()) == []


def test_another_ones_files_stay_until_it_has_left(start: User) -> None:
    with scratch() as place:
        other = start("one")
        assert left_by(start("two")) == 0
        assert (place.folder / "one").exists()
    assert (place.folder / "one").exists()
    assert left_by(other) == 0
    assert list(place.folder.iterdir()) == []


@pytest.mark.train
def test_check_leaves_nothing_but_its_answers(world: World, tmp_path: Path) -> None:
    """The real libraries run with their own home and temporary folder; no variable points them to another place."""
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    leading = ("XDG_", "HF_HOME", "TRITON", "TORCH", "WANDB", "MPL")
    kept = {key: value for key, value in world.environment.items() if not key.startswith(leading)}
    bare = World(world.folder, kept | {"HOME": str(home), "TMPDIR": str(temporary)})
    settings = [word for setting in bare.settings for word in ("--set", setting)]
    config = str(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml")
    done = bare.regrow("check", config, "--cluster", "local", "--json", *settings)
    assert json.loads(done.stdout)["parameters"]["trainable"], done.stderr
    assert list(temporary.rglob("*")) == []
    cache = home / ".cache" / "regrow" / "check"
    files = {path for path in home.rglob("*") if path.is_file()}
    assert {path for path in files if path.suffix != ".json"} == {cache / "scratch.lock"}
    assert {path.parent for path in files} == {cache}
    assert list((cache / "scratch").iterdir()) == []
