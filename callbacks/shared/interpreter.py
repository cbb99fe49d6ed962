"""What Python itself takes of a process that needs torch: seconds at its start, seconds at its end. Light."""

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def uncollected() -> Iterator[None]:
    """For a block of imports, at the start of a process: without the garbage collector.

    Modules stay as long as the process. The collector would look through all of them again and again while they are being
    made, and at each full collection afterwards: a fourth of the time that importing Axolotl takes (Python 3.11). Where all
    is imported already, nothing is exempted: it would be garbage as well.
    """
    before = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if len(sys.modules) > before:
            gc.freeze()
            atexit.register(gc.unfreeze)  # bindings still there at the end are reported as leaks, on stderr (nanobind)


def leave_now(code: int) -> NoReturn:
    """End this process at once, from whatever thread: output is flushed, exit handlers do not run, nothing is taken apart.

    The only place that ends a process without the interpreter, whose own end takes seconds once torch or CUDA is there: time
    that a grace period may not have, and that other ranks would wait for.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_to_the_end(main: Callable[[], None]) -> None:
    """Run a process's `main`; when it returns or exits, its threads are waited for, its exit handlers run, and there it ends.

    What else the interpreter does, taking every module apart, takes seconds once torch is there (one with MLflow), and is of
    no use. To be called before much is imported: handlers run in reverse order, and those that were there before do not run.
    Where `main` raises anything else, the process ends as any other.
    """
    code: int | None = None

    def end() -> None:
        if code is not None:
            leave_now(code)

    atexit.register(end)
    try:
        main()
        code = 0
    except SystemExit as leaving:
        if isinstance(leaving.code, int):
            code = leaving.code
        raise
