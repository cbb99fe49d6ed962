"""Reads a file while it is written, in a thread that follows the writer: hashes it, and repeats parts of it."""

import errno
import hashlib
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from typing import Self

CHUNK_BYTES = 2 * 1024 * 1024
"""The number of bytes that are read, and written again, at a time."""
_WRITEBACK_BYTES = 16 * 1024 * 1024


class Follower:
    """A thread that follows the writer of a file: it hashes what has been written, and writes parts of it once more.

    Reading, writing and hashing release the GIL, so they run beside the decoding. A context manager: after its block all tasks
    are done, or given up if the block failed. The first error is raised at the next task, or after the block.
    """

    def __init__(self, fd: int) -> None:
        self.sha256 = hashlib.sha256()
        self._fd = os.dup(fd)  # the thread's own: after Ctrl-C it may outlive the block by a chunk
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._buffer = memoryview(bytearray(CHUNK_BYTES))
        self._offset = self._begun = 0
        """The offset that it has reached, and the offset up to which the kernel has been told to write to disk."""
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
        """Hash up to an offset; the bytes before it must have been flushed."""
        self._put(lambda: self._hash(end))

    def repeat(self, start: int, end: int) -> None:
        """Write the bytes between two offsets again, at the offset that the follower has reached, and hash them."""
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
        """Read the bytes between two offsets, as many as the buffer holds."""
        count = os.preadv(self._fd, [self._buffer[: end - start]], start)
        if not count:
            raise OSError(errno.EIO, "the written bytes cannot be read back")
        return self._buffer[:count]

    def _add(self, data: memoryview) -> None:
        self.sha256.update(data)
        self._offset += len(data)
        if self._offset - self._begun >= _WRITEBACK_BYTES:
            # Let the disk write now, so that not everything waits for the fsync. Linux begins to write the range's dirty pages,
            # and keeps them for the next reader of the file; the call does not wait.
            os.posix_fadvise(self._fd, self._begun, self._offset - self._begun, os.POSIX_FADV_DONTNEED)
            self._begun = self._offset
