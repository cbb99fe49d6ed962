"""A second look at a file that is being written, in a thread behind its writer: hash it, and repeat parts of it."""

import errno
import hashlib
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from typing import Self

CHUNK_BYTES = 2 * 1024 * 1024
"""So much is read, and written again, at a time."""
_WRITEBACK_BYTES = 16 * 1024 * 1024


class Follower:
    """A thread that goes behind the writer of a file: hashes what has been written, and writes parts of it once more.

    Reading, writing and hashing do without the GIL: they go on beside the decoding. A context manager; behind its block all is
    done, or given up where the block has failed. The first error is raised at the next task, or behind the block.
    """

    def __init__(self, fd: int) -> None:
        self.sha256 = hashlib.sha256()
        self._fd = os.dup(fd)  # the thread's own: after Ctrl-C it may outlive the block by a chunk
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._buffer = memoryview(bytearray(CHUNK_BYTES))
        self._offset = self._begun = 0
        """How far it has come; and up to where the disk has been told to write."""
        self._error: BaseException | None = None
        self._is_wanted = True
        self._ended = Event()

    def __enter__(self) -> Self:
        Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self._is_wanted = kind is None
            self._tasks.put(None)
            self._ended.wait()
        finally:  # Ctrl-C too
            self._is_wanted = False
        if self._error and not kind:
            raise self._error

    def hash(self, end: int) -> None:
        """Hash on to an offset, up to which the kernel has the file's bytes."""
        self._put(lambda: self._hash(end))

    def repeat(self, start: int, end: int) -> None:
        """Write what stands between two offsets again, to where it has come then, and hash it."""
        self._put(lambda: self._repeat(start, end))

    def _put(self, task: Callable[[], None]) -> None:
        if self._error:
            raise self._error
        self._tasks.put(task)

    def _run(self) -> None:
        while task := self._tasks.get():
            try:
                if not self._error:
                    task()
            except BaseException as error:
                self._error = error
        os.close(self._fd)
        self._ended.set()

    def _hash(self, end: int) -> None:
        while self._offset < end and self._is_wanted:
            self._add(self._read(self._offset, end))

    def _repeat(self, start: int, end: int) -> None:
        # Not os.copy_file_range: the bytes have to be read for their hash anyway, so it saves nothing.
        while start < end and self._is_wanted:
            data = unwritten = self._read(start, end)
            while unwritten:
                unwritten = unwritten[os.pwrite(self._fd, unwritten, self._offset + len(data) - len(unwritten)) :]
            self._add(data)
            start += len(data)

    def _read(self, start: int, end: int) -> memoryview:
        """As much as the buffer holds of what stands between two offsets."""
        count = os.preadv(self._fd, [self._buffer[: end - start]], start)
        if not count:
            raise OSError(errno.EIO, "what was written cannot be read back")
        return self._buffer[:count]

    def _add(self, data: memoryview) -> None:
        self.sha256.update(data)
        self._offset += len(data)
        if self._offset - self._begun >= _WRITEBACK_BYTES:
            # Have the disk write while there is more to come; otherwise all of it waits for the fsync. Linux begins to write
            # the range's dirty pages, and keeps them for whoever reads the file next; it does not wait.
            os.posix_fadvise(self._fd, self._begun, self._offset - self._begun, os.POSIX_FADV_DONTNEED)
            self._begun = self._offset
