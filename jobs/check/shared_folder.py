"""What a run needs of the file system that has its folder, tried there: create, replace, fsync, locks, the server's clock.

The check tries it on the login node, and the prepare stage on a node: they may see different mounts.
"""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from callbacks.shared.manifest import fsync
from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.spec.run_spec import RunSpec

CLOCKS_AGREE_SECONDS = 60
"""A smaller difference is common, and changes nothing that a user would see."""


@dataclass(frozen=True)
class Tried:
    """What a folder's file system does."""

    refused: str = ""
    """What it does not do, with its error; empty: all that a run needs."""
    without_locks: str = ""
    """The error of a lock; empty: it has locks."""
    clock_ahead: float = 0.0
    """Seconds by which the server's clock is ahead of this machine's; negative: behind."""


def tried(folder: Path) -> Tried:
    """Try it in a temporary folder, there or in the nearest parent that exists."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        place = Path(tempfile.mkdtemp(prefix=".regrow-trial-", dir=there))
    except OSError as error:
        return Tried(f"no folder can be made in {there}: {error.strerror}")
    try:
        return _tried_in(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _tried_in(place: Path) -> Tried:
    file, what = place / "file", "create a file"
    try:
        before = time.time()
        with file.open("xb", buffering=0) as first:
            first.write(b"old")
            what = "write a file to the disk (fsync)"
            os.fsync(first)
            ahead = os.fstat(first.fileno()).st_mtime - before
        what = "create a file only if there is none (O_EXCL)"
        if not _exists_already(file):
            return Tried(f"it cannot {what}: it made the file twice")
        what = "replace a file by another (rename)"
        (place / "new").write_bytes(b"new")
        (place / "new").replace(file)
        if (read := file.read_bytes()) != b"new":
            return Tried(f"it cannot {what}: afterwards the file has {read!r}")
        what = "write a folder to the disk (fsync)"
        fsync(place)
        return Tried(without_locks=_lock_error(file), clock_ahead=ahead)
    except OSError as error:
        return Tried(f"it cannot {what}: {error.strerror}")


def _exists_already(file: Path) -> bool:
    try:
        file.open("xb").close()
    except FileExistsError:
        return True
    return False


def _lock_error(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return ""


def shared_folder_findings(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Findings about the file system of runs_root, as this machine sees it."""
    place, folder = places.profile("runs_root"), Path(spec.profile.runs_root)
    found = tried(folder)
    if found.refused:
        yield Finding.error(
            "site.runs-root",
            place,
            found=f"{folder}: {found.refused}",
            cost="no checkpoint could be saved, or none would be safe",
            fix="make room or get the right to write there, or name a folder on another file system",
        )
    if found.without_locks:
        yield Finding.note(
            "site.no-locks",
            place,
            found=f"{folder}: its file system has no locks ({found.without_locks})",
            cost="none for regrow; the ranks of a node use locks of the node, so that Axolotl works",
            fix="nothing to do; locks come with the mount option flock (Lustre) or the lock service (NFS)",
        )
    if abs(found.clock_ahead) > CLOCKS_AGREE_SECONDS:
        side = "ahead of" if found.clock_ahead > 0 else "behind"
        yield Finding.note(
            "site.clock",
            place,
            found=f"{folder}: the clock of its file server is {abs(found.clock_ahead):.0f} s {side} this machine's",
            cost="none for regrow, which compares no file's time with a clock; `ls -l` shows times that are wrong",
            fix="tell the site's administrators",
        )
