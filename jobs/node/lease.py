"""A lease in the run folder: if two attempts of one stage are alive, only one of them works.

Two can be alive if a node loses the network: Slurm starts the job on another node while the old attempt still runs.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from callbacks.shared.manifest import write_atomically

HEARTBEAT_SECONDS = 2.0
STALE_SECONDS = 5 * HEARTBEAT_SECONDS
"""An owner without a sign of life for this long is gone. The watcher uses its own clock, because nodes' clocks differ."""
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Lease:
    """The attempt whose name is in the file holds the lease, as long as the file's modification time changes."""

    path: Path
    owner: str

    def take(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Take the lease. If a live attempt holds it, wait until that attempt releases it or gives no more signs of life.

        Args:
            meanwhile: called again and again while waiting; may raise.
        """
        beat, deadline = self._beat(), monotonic() + STALE_SECONDS
        while beat is not None and self.holder() != self.owner and monotonic() < deadline:
            sleep(POLL_SECONDS)
            meanwhile()
            if (now := self._beat()) != beat:
                beat, deadline = now, monotonic() + STALE_SECONDS
        write_atomically(self.path, self.owner)

    def is_kept(self) -> bool:
        """Give a sign of life; False: another attempt has taken the lease, and this one must end.

        A file system that fails for a moment, or a file that was removed, is no reason to end.
        """
        with suppress(OSError):
            holder = self.holder()
            if holder is None:
                write_atomically(self.path, self.owner)
            elif holder != self.owner:
                return False
            else:
                os.utime(self.path)
        return True

    def release(self) -> None:
        if self.holder() == self.owner:
            self.path.unlink(missing_ok=True)

    def holder(self) -> str | None:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def _beat(self) -> int | None:
        try:
            return self.path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
