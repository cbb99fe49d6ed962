"""A lease in the run folder: of two live attempts of one stage, only one works.

Two can be alive when a node loses the network: Slurm starts the job elsewhere, while the old one still runs there.
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
"""An owner that was not heard of for so long is gone. Measured by the watcher's own clock: nodes' clocks differ."""
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Lease:
    """Held by the attempt whose name stands in the file, as long as its time of modification moves."""

    path: Path
    owner: str

    def take(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Take the lease; if somebody has it who is alive, wait until he has left, or is not heard of any more.

        Args:
            meanwhile: called now and then; may raise.
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

        A file system that fails for a moment, or a file that somebody removed, is no reason to end.
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
