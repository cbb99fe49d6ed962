"""Concatenates sources into the one JSON array that training reads: checks, cuts and repeats them, in their original bytes."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgspec

from data_prep.follower import CHUNK_BYTES, Follower
from data_prep.records import BORDER, Batch, RecordError, iter_batches
from data_prep.shape import ALPACA, Shape

_OPTIONS = ("repeat", "take")
_SOURCE = re.compile(r"(?P<path>.+?)(?::(?P<options>[\w-]+(?:=[^:,]*)?(?:[:,][\w-]+(?:=[^:,]*)?)*))?")


@dataclass(frozen=True)
class Source:
    """One file of records in a curriculum: its first `take` records (None: all), `repeat` times."""

    path: Path
    repeat: int = 1
    take: int | None = None
    shape: Shape = ALPACA
    is_json: bool = True
    """Whether each answer must be a JSON object."""

    def __post_init__(self) -> None:
        for name in _OPTIONS:
            number = getattr(self, name)
            if number is not None and number < 1:
                raise RecordError(f"{self.path}: {name} must be at least 1, found {number}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `PATH`, `PATH:repeat=3`, `PATH:take=96000`, or both: `PATH:take=96000,repeat=3`."""
        match = _SOURCE.fullmatch(text)
        if not match:
            raise RecordError(f"not a source: found {text!r}\nhint: write PATH[:repeat=N][:take=N]")
        options: dict[str, int] = {}
        for option in re.split("[:,]", match["options"]) if match["options"] else ():
            name, number = _parse_option(option, text)
            if name in options:
                raise RecordError(f"{name} is set twice in {text!r}")
            options[name] = number
        return cls(Path(match["path"]), options.get("repeat", 1), options.get("take"))


def _parse_option(option: str, text: str) -> tuple[str, int]:
    """The name and the number of one option in a source's `text`."""
    name, _, number = option.partition("=")
    if name not in _OPTIONS:
        raise RecordError(f'unknown option "{name}" in {text!r}\nhint: write repeat=N or take=N')
    if not re.fullmatch(r"-?\d+", number):
        raise RecordError(f"{name} must be a whole number, found {number!r} in {text!r}\nhint: e.g. {name}=3")
    return name, int(number)


def parse_sources(texts: Sequence[str]) -> tuple[Source, ...]:
    """Each text by `Source.parse`."""
    return tuple(map(Source.parse, texts))


@dataclass(frozen=True)
class MergedSource:
    """What was written of one source: `repeat` rounds of `records` each."""

    path: Path
    repeat: int
    take: int | None
    records: int


@dataclass(frozen=True)
class Merged:
    """A written curriculum; `records` counts every round."""

    path: Path
    sha256: str
    bytes: int
    records: int
    sources: tuple[MergedSource, ...]

    def to_dict(self) -> dict[str, Any]:
        """The content of `meta_path`. It has no path, because both files may be moved together."""
        fields = asdict(self)
        del fields["path"]
        return fields | {"sources": [source | {"path": str(source["path"])} for source in fields["sources"]]}


def input_bytes(sources: Sequence[Source]) -> int:
    """The total that `merge` reports as progress: the size of each source once, even if it is repeated."""
    return sum(source.path.stat().st_size for source in sources if source.path.is_file())


def meta_path(output: Path) -> Path:
    """The JSON file beside a curriculum. It is written last: if it exists, the curriculum is complete."""
    return output.with_name(f"{output.name}.meta.json")


def merge(sources: Sequence[Source], output: Path, *, progress: Callable[[int], None] | None = None) -> Merged:
    """Write the sources in order as one JSON array, and its sha256 and counts to `meta_path`: everything or nothing.

    `progress` gets the number of input bytes read since the last call. The first fault in a source is a RecordError.
    """
    if not sources:
        raise RecordError(f"{output}: there is nothing to merge\nhint: name at least one file of records")
    if any(_is_same_file(source.path, output) for source in sources):
        raise RecordError(f"{output} is one of its own sources\nhint: write the curriculum to another file")
    if output.exists() and not output.is_file():
        raise RecordError(f"{output} is there, and is no file that can be replaced\nhint: name a file")
    output.parent.mkdir(parents=True, exist_ok=True)
    meta = meta_path(output)
    with _replacing(output, outdated=meta) as file, Follower(file.fileno()) as follower:
        array = _ArrayWriter(file, follower)
        merged = tuple(_merged_source(source, array, progress) for source in sources)
        array.end()
    records = sum(source.records * source.repeat for source in merged)
    result = Merged(output, follower.sha256.hexdigest(), array.bytes, records, merged)
    with _replacing(meta) as file:
        file.write(msgspec.json.format(msgspec.json.encode(result.to_dict())) + b"\n")
    return result


def _is_same_file(path: Path, other: Path) -> bool:
    return path.exists() and other.exists() and path.samefile(other)


@contextmanager
def _replacing(path: Path, *, outdated: Path | None = None) -> Iterator[BinaryIO]:
    """A file that becomes `path` if the block succeeds, and is removed if it fails; `outdated` is removed just before.

    Of a symbolic link, the file to which it leads is replaced.
    """
    path = path.resolve()
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    try:
        with part.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if outdated:
            outdated.unlink(missing_ok=True)
        part.replace(path)
    except BaseException:  # Ctrl-C too
        part.unlink(missing_ok=True)
        raise


class _ArrayWriter:
    """Writes a JSON array block by block, with `BORDER` between the blocks, and counts its bytes."""

    def __init__(self, file: BinaryIO, follower: Follower) -> None:
        self.bytes = 0
        self._file = file
        self._follower = follower
        self._opening = b"[\n"
        self._followed = 0
        """The offset up to which the follower has been told to go."""

    @property
    def next_offset(self) -> int:
        """The offset in the file at which the next block will begin."""
        return self.bytes + len(self._opening)

    def append(self, elements: bytes | memoryview) -> None:
        """Add a block."""
        self._put(self._opening)
        self._opening = BORDER
        self._put(elements)

    def append_again(self, start: int, end: int) -> None:
        """Add the text between two offsets of the file once more."""
        self.append(b"")
        self._have_followed()
        self._follower.repeat(start, end)
        self.bytes += end - start
        self._followed = self._file.seek(self.bytes)

    def end(self) -> None:
        """Close the bracket."""
        self._put(b"\n]\n")
        self._have_followed()

    def _put(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self.bytes += len(data)
        if self.bytes - self._followed >= CHUNK_BYTES:
            self._have_followed()

    def _have_followed(self) -> None:
        self._file.flush()
        self._follower.hash(self.bytes)
        self._followed = self.bytes


def _merged_source(source: Source, array: _ArrayWriter, progress: Callable[[int], None] | None) -> MergedSource:
    """Add all rounds of a source; the part of the file that it does not take counts as progress too."""
    start, records, consumed = array.next_offset, 0, 0

    def report(count: int) -> None:
        nonlocal consumed
        consumed += count
        if progress:
            progress(count)

    for batch in _taken_batches(source, report):
        array.append(batch.text)
        records += len(batch)
    report(source.path.stat().st_size - consumed)
    end = array.bytes
    for _ in range(source.repeat - 1):
        array.append_again(start, end)
    return MergedSource(source.path, source.repeat, source.take, records)


def _taken_batches(source: Source, progress: Callable[[int], None]) -> Iterator[Batch]:
    """The records that a source takes; RecordError if its file holds fewer."""
    count = 0
    for batch in iter_batches(source.path, shape=source.shape, check_output=source.is_json, progress=progress):
        taken = batch if source.take is None else batch.first(source.take - count)
        yield taken
        count += len(taken)
        if count == source.take:
            return
    if source.take is not None:
        raise RecordError(f"{source.path}: holds {count} records, fewer than take={source.take}")
