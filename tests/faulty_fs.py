"""A file system that fails as shared ones do, mounted with FUSE: the files of another folder, seen through faults.

The faults stand in a file, which a test may change at any time.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from dev_cluster.processes import wait_until
from patience import HANGS_AFTER_SECONDS

SERVER = Path(__file__).with_name("faulty_fs_server.py")


@dataclass(frozen=True)
class Faults:
    """What is wrong with the file system at the moment."""

    locks: str = ""
    """The error of every lock, e.g. ENOLCK; empty: there are locks."""
    writes: str = ""
    """The error of some writes; empty: all succeed."""
    first: int = 1
    """The first write that fails, counted from 1 since the faults were set."""
    count: int = 10**9
    """How many writes fail."""
    delay: float = 0.0
    """Seconds that each call takes, except a read or a write, which a node's cache takes off the server."""
    clock: float = 0.0
    """Seconds by which the server's clock is ahead of this machine's."""
    stopped: bool = False
    """Every call waits until this is False again."""


class FaultyMount:
    """The mounted file system, from the side of a test."""

    def __init__(self, path: Path, backing: Path, attribute_seconds: float = 0.0) -> None:
        """`path`: the mount point. `backing`: the folder whose files it shows. `attribute_seconds`: how long this machine
        believes what it knows of a file, or that there is none, without asking."""
        self.path, self.backing, self._faults = path, backing, path.with_name(f"{path.name}.json")
        for each in (self.path, self.backing):
            each.mkdir(parents=True, exist_ok=True)
        self.set(Faults())
        command = [
            sys.executable,
            str(SERVER),
            str(self.backing),
            str(self.path),
            str(self._faults),
            str(attribute_seconds),
        ]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(command, env=environment, preexec_fn=_end_with_parent)
        wait_until(lambda: self.path.is_mount() or self._process.poll() is not None, HANGS_AFTER_SECONDS, "the mount")
        assert self._process.poll() is None

    def set(self, faults: Faults) -> None:
        """Change the faults; the writes are counted anew."""
        new = self._faults.with_suffix(".new")
        new.write_text(json.dumps(asdict(faults)))
        new.replace(self._faults)

    def close(self) -> None:
        self.set(Faults())
        subprocess.run(["fusermount3", "-u", "-z", str(self.path)], check=False)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()


def _end_with_parent() -> None:
    """SIGTERM, at which FUSE unmounts, when the test's process ends."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
