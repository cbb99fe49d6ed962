"""A lease: of several attempts that are alive, only its owner works. It needs no locks of the file system.

Two attempts of a stage can be alive if a node loses the network: Slurm starts the job on another node while the old attempt
still runs. And the jobs of several runs may want to make the same prepared folder.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep, time_ns

from callbacks.shared.from_stage import LEASE_NAME_BYTES

HEARTBEAT_SECONDS = 2.0
STALE_SECONDS = 5 * HEARTBEAT_SECONDS
"""An owner without a sign of life for this long is gone. The watcher uses its own clock, because nodes' clocks differ."""
POLL_SECONDS = 0.25
SLOW_SECONDS = 1.0
"""If a look takes longer, the file server was away, or this process slept; perhaps so did the owner. So the wait begins anew."""


@dataclass(frozen=True)
class Lease:
    """The attempt whose name is in the file holds the lease, as long as the bytes after the name change.

    The file keeps its place and its length: a node may know for a minute what a file was, its time and its length among that,
    but what it reads after it has opened the file is new.
    """

    path: Path
    owner: str

    def take(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Take the lease. If a live attempt holds it, wait until that attempt releases it or gives no more signs of life.

        Args:
            meanwhile: called again and again while waiting; may raise.
        """
        while self.holder() != self.owner and not self._is_created():
            beat, deadline = self._beat(), monotonic() + STALE_SECONDS
            while beat is not None and monotonic() < deadline:
                asked_at = monotonic()
                sleep(POLL_SECONDS)
                meanwhile()
                now = self._beat()
                if now != beat or monotonic() - asked_at > POLL_SECONDS + SLOW_SECONDS:
                    beat, deadline = now, monotonic() + STALE_SECONDS
            if beat is not None:
                self._write(self._own_name + _sign_of_life(), at=0)
                sleep(2 * POLL_SECONDS)  # of several that waited, the last to write has it
            else:
                sleep(POLL_SECONDS / 10)  # this node may still believe that there is no file
        self.is_kept()

    @property
    def _own_name(self) -> bytes:
        return self.owner.encode().ljust(LEASE_NAME_BYTES)[:LEASE_NAME_BYTES]

    def _is_created(self) -> bool:
        """Write the file if there is none; False: there is one. Of several processes, only one creates it."""
        try:
            with self.path.open("xb", buffering=0) as file:
                file.write(self._own_name + _sign_of_life())
        except FileExistsError:
            return False
        return True

    def is_kept(self) -> bool:
        """Give a sign of life; False: another attempt has taken the lease, and this one must end.

        A file system that fails for a moment, or a file that was removed, is no reason to end.
        """
        with suppress(OSError):
            holder = self.holder()
            if holder is None:
                self._is_created()
            elif holder != self.owner:
                return False
            else:
                self._write(_sign_of_life(), at=LEASE_NAME_BYTES)  # never the name, which may be another's by now
        return True

    def _write(self, data: bytes, at: int) -> None:
        with suppress(FileNotFoundError), self.path.open("r+b", buffering=0) as file:
            file.seek(at)
            file.write(data)

    @contextmanager
    def beating(self) -> Iterator[Callable[[], bool]]:
        """Give signs of life from a thread, for the time of the block: for work in this process.

        Yields:
            Whether the lease is still kept.
        """
        lost, ended = Event(), Event()

        def beat() -> None:
            while not lost.is_set() and not ended.wait(HEARTBEAT_SECONDS):
                if not self.is_kept():
                    lost.set()

        thread = Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield lambda: not lost.is_set()
        finally:
            ended.set()
            thread.join()

    def release(self) -> None:
        if self.holder() == self.owner:
            self.path.unlink(missing_ok=True)

    def holder(self) -> str | None:
        """The name in the file; None: there is no file. Empty: whoever made it has not written yet."""
        content = self._beat()
        return content if content is None else content[:LEASE_NAME_BYTES].decode(errors="replace").rstrip()

    def _beat(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None


def _sign_of_life() -> bytes:
    """Other bytes at each call."""
    return b"%020d" % time_ns()
