"""The process behind tests/faulty_fs.py: `python faulty_fs_server.py BACKING MOUNT_POINT FAULTS_JSON ATTRIBUTE_SECONDS`."""

import errno
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import mfusepy
from faulty_fs import Faults

STATS = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_ino", "st_blocks", "st_blksize")
TIMES = ("st_atime", "st_mtime", "st_ctime")
LOOK_SECONDS = 0.02
UTIME_NOW, UTIME_OMIT = 2**30 - 1, 2**30 - 2
"""What FUSE gives for a time that is to be set to now, or not to be changed (utimensat(2))."""


class Faulty(mfusepy.Operations):  # type: ignore[misc]
    """Files of another folder, seen through the faults."""

    use_ns = True

    def __init__(self, backing: Path, faults: Path) -> None:
        self._backing, self._file = backing, faults
        self._lock, self._known, self._now, self._written = threading.Lock(), -1, Faults(), 0

    def _faults(self) -> Faults:
        with self._lock:
            if (changed := self._file.stat().st_mtime_ns) != self._known:
                self._known, self._now, self._written = changed, Faults(**json.loads(self._file.read_text())), 0
            return self._now

    def _at(self, path: str, is_delayed: bool = True) -> str:
        """The path behind; every call goes through here, and meets the faults that all calls have."""
        now = self._faults()
        time.sleep(now.delay if is_delayed else 0)
        while now.stopped:
            time.sleep(LOOK_SECONDS)
            now = self._faults()
        return f"{self._backing}{path}"

    def _count_write(self) -> None:
        now = self._faults()
        with self._lock:
            self._written += 1
            fails = now.writes and now.first <= self._written < now.first + now.count
        if fails:
            raise mfusepy.FuseOSError(getattr(errno, now.writes))

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = os.lstat(self._at(path))
        ahead = int(self._now.clock * 10**9)
        return {name: getattr(found, name) for name in STATS} | {
            name: getattr(found, f"{name}_ns") + ahead for name in TIMES
        }

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *os.listdir(self._at(path))]

    def open(self, path: str, flags: int) -> int:
        return os.open(self._at(path), flags & ~os.O_APPEND)

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self._count_write()
        return os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        self._at(path, is_delayed=False)
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._at(path, is_delayed=False)
        self._count_write()
        return os.pwrite(fh, data, offset)

    def flush(self, path: str, fh: int) -> int:
        self._at(path)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._at(path)
        self._count_write()
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        return self.fsync(path, datasync, fh)

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(self._at(path), length)
        return 0

    def unlink(self, path: str) -> int:
        os.unlink(self._at(path))
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self._at(path), mode)
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self._at(path))
        return 0

    def rename(self, old: str, new: str) -> int:
        self._count_write()
        os.rename(self._at(old), self._at(new))
        return 0

    def symlink(self, target: str, source: str) -> int:
        os.symlink(source, self._at(target))
        return 0

    def readlink(self, path: str) -> str:
        return os.readlink(self._at(path))

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self._at(path), mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        os.chown(self._at(path), uid, gid)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        old, now = os.stat(self._at(path)), time.time_ns()
        access, change = (
            {UTIME_NOW: now, UTIME_OMIT: before}.get(wanted, wanted)
            for wanted, before in zip(times or (now, now), (old.st_atime_ns, old.st_mtime_ns), strict=True)
        )
        os.utime(self._at(path), ns=(access, change))
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._at(path))
        return {key: getattr(found, key) for key in dir(found) if key.startswith("f_") and key != "f_fsid"}

    def flock(self, path: str, fh: int, op: int) -> int:
        return self._locked()

    def lock(self, path: str, fh: int, cmd: int, lock: Any) -> int:
        return self._locked()

    def _locked(self) -> int:
        if refused := self._faults().locks:
            raise mfusepy.FuseOSError(getattr(errno, refused))
        return 0


if __name__ == "__main__":
    backing, mount_point, faults, seconds = sys.argv[1:]
    timeouts = dict.fromkeys(("attr_timeout", "entry_timeout", "negative_timeout"), float(seconds))
    mfusepy.FUSE(Faulty(Path(backing), Path(faults)), mount_point, foreground=True, **timeouts)
