"""The content of a file, plain or gzip, read piece by piece."""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Self

from data_prep.alpaca_record import RecordError

_GZIP_MAGIC = b"\x1f\x8b"


class Content:
    """A file's bytes, unpacked if they are gzip; a context manager."""

    def __init__(self, path: Path, progress: Callable[[int], None] | None) -> None:
        self.path = path
        self._progress = progress
        self._seen = 0
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
        is_gzip = self._file.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
        self._unpacked = gzip.GzipFile(fileobj=self._file) if is_gzip else self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end of the file."""
        try:
            chunk = self._unpacked.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise RecordError(f"{self.path}: the gzip stream is cut off or damaged: {error}") from error
        if self._progress:
            seen, self._seen = self._seen, self._file.tell()
            self._progress(self._seen - seen)
        return chunk
