"""The processes that a stage starts together in the background. They end with the stage.

The stage waits for signals; it has no signal handlers.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from time import monotonic

from callbacks.shared.process.own_shield import STOP_SIGNALS
from jobs.node.commands import Command
from jobs.spec.paths import REPO_ROOT, child_environment

WATCHED = STOP_SIGNALS | {signal.SIGCHLD}
KILLED_SECONDS = 10.0
"""How long processes may need to end after SIGKILL. Slurm's own default for this is longer (UnkillableStepTimeout, 60 s)."""
SIGNALFD_BYTES = 128
"""The size of a struct signalfd_siginfo; its first four bytes are the signal's number."""


def watch_signals() -> None:
    """Block the signals that `next_signal` waits for, in this process and in every process that it starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)


def next_signal(seconds: float) -> signal.Signals | None:
    """Wait for the next watched signal; None: none came within `seconds`.

    Python's sigtimedwait must not wait here: if the process is suspended meanwhile until the time is over, it returns a signal
    that never came (CPython 3.11).
    """
    descriptor = _signalfd(WATCHED)
    try:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        return signal.Signals(int.from_bytes(os.read(descriptor, SIGNALFD_BYTES)[:4], sys.byteorder)) if ready else None
    finally:
        os.close(descriptor)


def _signalfd(numbers: Iterable[signal.Signals]) -> int:
    """A file descriptor from which these blocked signals can be read (signalfd(2))."""
    libc, mask = ctypes.CDLL(None, use_errno=True), (ctypes.c_ulong * 16)()  # sigset_t has 1024 bits
    libc.sigemptyset(mask)
    for number in numbers:
        libc.sigaddset(mask, number)
    descriptor: int = libc.signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "signalfd")
    return descriptor


def pending_stop() -> signal.Signals | None:
    """A stop signal that has already come; None: none has."""
    found = signal.sigtimedwait(STOP_SIGNALS, 0)
    return signal.Signals(found.si_signo) if found else None


class Children:
    """Processes that were started together. Each leads a process group of its own, and dies with its parent."""

    def __init__(self, commands: Sequence[Command], output: int) -> None:
        self._processes = [_start(command, output) for command in commands]

    def first_failure(self) -> tuple[int, int] | None:
        """Index and return code of a process that has failed; None: no process has failed."""
        codes = [process.poll() for process in self._processes]
        return next(((index, code) for index, code in enumerate(codes) if code), None)

    def are_running(self) -> bool:
        return any(process.poll() is None for process in self._processes)

    def end(self) -> None:
        """Kill the processes that still run, and every process that they have started.

        A process in a call of a dead file server or of a driver ends when the call returns. That may be never, so it is not
        waited for beyond a limit: it does nothing more, and the job must still come back.
        """
        running = [process for process in self._processes if process.poll() is None]
        for process in running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        deadline = monotonic() + KILLED_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - monotonic()))
            except subprocess.TimeoutExpired:
                print(f"process {process.pid} is killed, but a system call keeps it", flush=True)


def _start(command: Command, output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command.arguments,
        env=child_environment(command.environment),
        cwd=REPO_ROOT,  # a config's relative paths are relative to this folder
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=command.descriptors,
        preexec_fn=_before_exec,
    )


def _before_exec() -> None:
    """Die with the parent (PR_SET_PDEATHSIG, prctl(2)). Receive SIGCHLD, which the parent's mask would block."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
