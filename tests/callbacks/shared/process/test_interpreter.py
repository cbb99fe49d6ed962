"""Imports without the collector, and an end without teardown: neither changes what a process does."""

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from callbacks.shared.process.interpreter import uncollected


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_collector_is_off_for_the_block_alone_and_spares_what_was_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    before = gc.get_freeze_count()
    with uncollected():
        assert not gc.isenabled()
        import colorsys  # noqa: F401
    assert gc.isenabled()
    assert gc.get_freeze_count() > before


def test_block_that_imports_nothing_new_spares_nothing() -> None:
    before = gc.get_freeze_count()
    with uncollected():
        import subprocess  # noqa: F401
    assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_collector_is_back_after_an_import_that_fails() -> None:
    with pytest.raises(ModuleNotFoundError), uncollected():
        import a_module_that_is_not_there  # noqa: F401
    assert gc.isenabled()


PROGRAM = """
import atexit, sys, threading, time
from callbacks.shared.process.interpreter import run_to_the_end

class Global:
    def __del__(self):
        sys.__stdout__.write("taken apart\\n")

def main():
    atexit.register(print, "exit handler")
    threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
    print("main")
    {ending}

kept = Global()
run_to_the_end(main)
"""


@pytest.mark.parametrize(
    ("ending", "code", "printed"),
    [
        ("return", 0, ["main", "thread", "exit handler"]),
        ("sys.exit(3)", 3, ["main", "thread", "exit handler"]),
        ("raise ValueError", 1, ["main", "thread", "exit handler", "taken apart"]),
    ],
)
def test_process_ends_behind_its_threads_and_exit_handlers(ending: str, code: int, printed: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(ending=ending)], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()) == (code, printed), done.stderr
