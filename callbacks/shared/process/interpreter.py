"""Saves the seconds that Python itself takes at the start and at the end of a process with torch. Light."""

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def uncollected() -> Iterator[None]:
    """Run a block of imports without the garbage collector, at the start of a process.

    Modules live as long as the process. The collector would look through all of them again and again during the imports,
    and at each full collection afterwards: a quarter of the time that importing Axolotl takes (Python 3.11). If the block
    imports no new module, nothing is exempted from later collections: it could be garbage.
    """
    before = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if len(sys.modules) > before:
            gc.freeze()
            atexit.register(gc.unfreeze)  # nanobind reports bindings that still exist at the end as leaks, on stderr


def leave_now(code: int) -> NoReturn:
    """End this process at once, from any thread. Output is flushed; exit handlers do not run, and nothing is cleaned up.

    This is the only place that ends a process without the interpreter's own end. That end takes seconds once torch or CUDA
    is loaded: a grace period may not have them, and other ranks would wait for them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_to_the_end(main: Callable[[], None]) -> None:
    """Run a process's `main`. When it returns or exits: wait for its threads, run its exit handlers, and end there.

    The interpreter would then take every module apart. That is useless, and takes seconds once torch is loaded (one second
    with MLflow). Call this before most imports: exit handlers run in reverse order, and those registered earlier do not run.
    If `main` raises another exception, the process ends like any other.
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
