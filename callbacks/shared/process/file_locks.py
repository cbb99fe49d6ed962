"""Locks on file systems that have none: libraries lock files in shared folders, and cannot be told not to.

Axolotl and `datasets` lock the folders of their data (flock), so that one rank prepares them and the others wait. NFS without
its lock service answers ENOLCK, Lustre without `-o flock` ENOSYS. The ranks of a node can wait for one another all the same.
"""

import errno
import fcntl
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})


def lock_on_this_node_where_there_are_no_locks() -> None:
    """Let this process's `fcntl.flock` lock a file of this node instead of one whose file system has no locks."""
    fcntl.flock = _StandIns(fcntl.flock)


class _StandIns:
    """`flock`, for files with and without locks."""

    def __init__(self, flock: Callable[[Any, int], None]) -> None:
        self._flock, self._open = flock, dict[int, tuple[int, Path]]()
        """By descriptor: that of the file that stands in for it, and the stand-in's path."""
        self._has_said = False

    def __call__(self, file: Any, operation: int) -> None:
        try:
            self._flock(file, operation)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            descriptor = file if isinstance(file, int) else file.fileno()
            self._lock_stand_in(descriptor, operation, error)

    def _lock_stand_in(self, descriptor: int, operation: int, error: OSError) -> None:
        path = _stand_in(descriptor)
        known, for_path = self._open.pop(descriptor, (-1, path))
        if for_path != path:  # the number belonged to a file that was closed without being unlocked
            os.close(known)
            known = -1
        if operation & fcntl.LOCK_UN:
            if known >= 0:
                os.close(known)
            return
        if known < 0:
            known = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if not self._has_said:
            self._has_said = True
            print(f"{error.strerror} on a shared file system: locks of this node stand in for its own", file=sys.stderr)
        self._open[descriptor] = known, path
        self._flock(known, operation)


def _stand_in(descriptor: int) -> Path:
    """The file of this node for an open file, the same for all processes of the user that have this file open."""
    found = os.fstat(descriptor)
    return Path(tempfile.gettempdir(), f"regrow-lock-{os.getuid()}-{found.st_dev}-{found.st_ino}")
