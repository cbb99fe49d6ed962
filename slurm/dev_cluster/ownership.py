"""Whoever starts a daemon owns its end: what a process puts up comes down, in whatever way the process ends."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from dev_cluster.processes import wait_until

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LOCK_SECONDS = 120
"""Longer than another process needs to bring a cluster up, or to take one down."""
_WAITING_SHELL = 'read released || exec "$@"'
"""`read` fails at the end of the pipe: all who held its other end have died."""


def exit_on_signals(leave: Callable[[int], object] = sys.exit) -> None:
    """From now on a signal that ends this process does so by an exception: each `with` and each `finally` is reached.

    The first signal counts; later ones do not disturb the cleaning up. What was ignored before (nohup) stays ignored.

    Args:
        leave: called with the exit status (128 + signal number); raises.
    """
    heeded = [number for number in ENDING_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def end(number: int, frame: FrameType | None) -> None:
        for each in heeded:
            signal.signal(each, signal.SIG_IGN)
        leave(128 + number)

    for number in heeded:
        signal.signal(number, end)


@contextmanager
def last_will(command: Sequence[str], keeps: Sequence[int] = ()) -> Iterator[None]:
    """Run a command if this process dies inside the block, by SIGKILL too. Who leaves the block alive cleans up himself.

    A shell in a session of its own waits at the other end of a pipe.

    Args:
        keeps: file descriptors that the shell and the command hold open.
    """
    with subprocess.Popen(
        ["sh", "-c", _WAITING_SHELL, "sh", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        pass_fds=keeps,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        cwd="/",
        start_new_session=True,
    ) as shell:
        try:
            yield
        finally:
            assert shell.stdin is not None
            with suppress(BrokenPipeError):  # somebody has killed the shell
                shell.stdin.write(b"released\n")


@contextmanager
def lock(name: str) -> Iterator[int]:
    """Hold a lock of this machine; yields its file descriptor. It is held until all who have the descriptor have closed it.

    An abstract Unix socket: it ends with its owners, and no file stays behind.

    Raises:
        TimeoutError: another process holds it.
    """
    address = "\0regrow-" + hashlib.sha256(name.encode()).hexdigest()
    with socket.socket(socket.AF_UNIX) as held:
        wait_until(lambda: _is_bound(held, address), LOCK_SECONDS, f"another process to release {name}")
        yield held.fileno()


def _is_bound(held: socket.socket, address: str) -> bool:
    with suppress(OSError):  # in use
        held.bind(address)
        return True
    return False
