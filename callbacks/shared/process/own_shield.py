"""Stop signals must not end a stage's processes, but must still end the processes that those start.

A stage starts its processes with the stop signals blocked, since Slurm may send them to every process of a job. Whatever
inherits this cannot be ended by its own parent: a `multiprocessing.Pool` with an error would wait for its workers for ever.
"""

import _posixsubprocess
import signal
import subprocess
from collections.abc import Callable
from functools import partial, wraps
from importlib import import_module
from typing import Any

STOP_SIGNALS = frozenset({signal.SIGUSR2, signal.SIGTERM})
DATALOADER_WORKER = "torch.utils.data._utils.worker"
"""The module of a DataLoader worker's function. Such a worker stays shielded: the training fails without it."""


def shield_only_this_process() -> None:
    """Give the stop signals back to the processes that this one starts from now on, DataLoader workers excepted.

    Call it first in a process that a stage has started; in any other process, whose signals are not blocked, it does nothing.
    """
    if not signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= STOP_SIGNALS:
        return
    for number in STOP_SIGNALS:  # a library may unblock them: multiprocessing's resource tracker does (CPython 3.11)
        signal.signal(number, lambda number, frame: None)
    for package in ("multiprocessing", "multiprocess"):  # the second one is that of `datasets`
        try:
            util, process = import_module(f"{package}.util"), import_module(f"{package}.process")
        except ImportError:
            continue
        util.register_after_fork(_give_back, partial(_after_fork, process.current_process))
    for module, name in ((_posixsubprocess, "fork_exec"), (subprocess, "_fork_exec")):
        setattr(module, name, _unshielded(getattr(module, name)))


def _after_fork(current_process: Callable[[], Any], give_back: Callable[[], None]) -> None:
    """In a child process of multiprocessing, before its work begins."""
    if getattr(getattr(current_process(), "_target", None), "__module__", None) != DATALOADER_WORKER:
        give_back()


def _give_back() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def _unshielded(fork_exec: Callable[..., int]) -> Callable[..., int]:
    """The function that starts another program, which then does not inherit the blocked signals."""

    @wraps(fork_exec)
    def start(*arguments: Any) -> int:
        before = signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        try:
            return fork_exec(*arguments)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    return start
