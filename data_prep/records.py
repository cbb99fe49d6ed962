"""Alpaca-style records, streamed from a JSON array or JSON lines, plain or gzip, each with the bytes it stood in.

Memory is a few windows, whatever the file's size; a record longer than the window makes the window grow.
"""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

WINDOW = 256 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_FIELDS = ("instruction", "input", "output")


class RecordError(ValueError):
    """A file that does not hold records; the message names the file, the record (from 1), the field and the find."""


class Record(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One training example; `output` is a JSON object as text."""

    # Unknown fields are forbidden for the fast decoder only: it would skip over them without looking at their UTF-8.
    # A record that has some goes through `_checked_record`, which decodes everything.
    instruction: str
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that stand next to each other in a file."""

    text: bytes | memoryview
    """As the elements of a JSON array: their original bytes, and between them what stands there in the file, or `BORDER`."""
    records: list[Record]

    def __len__(self) -> int:
        return len(self.records)

    def raws(self) -> list[bytes]:
        """Each record's bytes."""
        return list(map(bytes, _RAWS.decode(b"".join((b"[", self.text, b"]")))))

    def first(self, count: int) -> Self:
        """The batch up to a record."""
        return self if count >= len(self) else type(self)(BORDER.join(self.raws()[:count]), self.records[:count])


BORDER = b",\n"
"""What stands between two records."""
_RECORD = msgspec.json.Decoder(Record)
_RECORDS = msgspec.json.Decoder(list[Record])
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_ANYTHING = msgspec.json.Decoder(Any)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
# msgspec's errors (no ValueErrors up to 0.21), those of UTF-8, and brackets nested without end.
_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)


def iter_records(
    path: Path, *, check_output: bool = True, progress: Callable[[int], None] | None = None, window: int = WINDOW
) -> Iterator[tuple[bytes, Record]]:
    """The records of a file in order, each with its original bytes; RecordError at the first flaw, not before it."""
    for batch in iter_batches(path, check_output=check_output, progress=progress, window=window):
        yield from zip(batch.raws(), batch.records, strict=True)


def iter_batches(
    path: Path, *, check_output: bool = True, progress: Callable[[int], None] | None = None, window: int = WINDOW
) -> Iterator[Batch]:
    """As `iter_records`, by the window: `progress` gets the bytes of the file itself that each window took."""
    count = 0
    with _Content(path, progress) as content:
        for found in _found(content, window):
            batch, flaw = _checked(found, check_output)
            if batch.records:
                yield batch
            count += len(batch)
            if flaw:
                raise RecordError(f"{path}, record {count + 1}: {flaw}")
    if not count:
        raise RecordError(f"{path}: holds no records")


class _Content:
    """A file's bytes, unpacked where they are gzip; a context manager."""

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
        """The next `size` bytes, fewer only at the end."""
        try:
            chunk = self._unpacked.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise RecordError(f"{self.path}: the gzip stream is cut off or damaged: {error}") from error
        if self._progress:
            seen, self._seen = self._seen, self._file.tell()
            self._progress(self._seen - seen)
        return chunk


_Found = Batch | Sequence[bytes]
"""A window's records, decoded at one go; or the bytes of what should be records, where that did not succeed."""


def _found(content: _Content, window: int) -> Iterator[_Found]:
    """What each window holds; a `[` in front makes the file an array, anything else JSON lines."""
    text = content.read(max(window, len(_BOM))).removeprefix(_BOM).lstrip(_SPACE)
    while not text and (chunk := content.read(window)):
        text = chunk.lstrip(_SPACE)
    if text.startswith(b"["):
        return _array_elements(content, text[1:].lstrip(_SPACE), window)
    return _lines(content, text, window)


def _lines(content: _Content, text: bytes, window: int) -> Iterator[Sequence[bytes]]:
    """The lines that are not blank; `text` is what has been read of them."""
    count = 0
    chunk = b"\n"  # `text` may hold lines too
    while chunk:
        chunk = content.read(max(window, len(text)))
        complete, _, text = (text + chunk).rpartition(b"\n")
        yield (raws := [stripped for line in complete.split(b"\n") if (stripped := line.strip(_SPACE))])
        count += len(raws)
    if last := text.strip(_SPACE):
        if _is_cut_off(last):
            raise RecordError(f"{content.path}: ends inside record {count + 1} (truncated?)")
        yield [last]


def _array_elements(content: _Content, text: bytes, window: int) -> Iterator[_Found]:
    """The elements of an array; `text` is what has been read behind its `[`."""
    count = 0
    closed = False
    while not closed:
        chunk = content.read(max(window, len(text)))
        text += chunk
        found, text, closed = (_quick_elements(text) if chunk else None) or _elements(text)
        if closed and not count and found == [b""]:  # the array is empty
            return
        yield found
        count += len(found)
        if not chunk and not closed:
            yield from _unclosed(content.path, text.strip(_SPACE), count)
    while not text.strip(_SPACE):
        if not (text := content.read(window)):
            return
    raise RecordError(f'{content.path}: text stands behind the "]" after record {count}: {text.strip(_SPACE)[:20]!r}')


def _unclosed(path: Path, last: bytes, count: int) -> Iterator[Sequence[bytes]]:
    """What a file holds behind its last comma when its `]` is missing; always an error in the end."""
    if _is_cut_off(last):
        raise RecordError(f"{path}: ends inside record {count + 1} (truncated?)")
    yield [last]
    raise RecordError(f'{path}: ends after record {count + 1} without the closing "]" (truncated?)')


def _is_cut_off(text: bytes) -> bool:
    """Whether JSON is right so far, but not complete."""
    return "truncated" in _fault(text)


def _is_malformed(text: bytes) -> bool:
    """Whether JSON is wrong, whatever follows."""
    fault = _fault(text)
    return bool(fault) and "truncated" not in fault


def _fault(text: bytes) -> str:
    """What is wrong with JSON, in the decoder's words; empty: nothing."""
    try:
        _ANYTHING.decode(text)
    except _UNDECODABLE as error:
        return str(error)
    return ""


class _Elements(NamedTuple):
    """The complete elements of an array's text, the text behind them, and whether the array ended in between."""

    found: _Found
    rest: bytes
    closed: bool


# Between two records stands `}, {"`. In a string it would be `}, {\"` (or the string's end); in a list within a record
# it may be the same, but then what stands before it does not decode.
_BETWEEN = re.compile(rb'\}[ \t\r\n]*+,[ \t\r\n]*+(?=\{[ \t\r\n]*+")')
_SIGN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["{}\[\],]', re.DOTALL)


def _quick_elements(text: bytes) -> _Elements | None:
    """`_elements` by the last place that looks like the border of two records; None when it is not one."""
    brace = len(text)
    while (brace := text.rfind(b"}", 0, brace)) >= 0:
        if border := _BETWEEN.match(text, brace):
            array = b"".join((b"[", memoryview(text)[: brace + 1], b"]"))  # a single copy of the window
            found = _decoded(array)
            return _Elements(found, text[border.end() :], closed=False) if found else None
    return None


def _decoded(array: bytes) -> _Found | None:
    """The elements of an array; None when it is not one."""
    try:
        records = _RECORDS.decode(array)
    except _UNDECODABLE:  # one has fields of its own, or a flaw
        records = []
    # JSON has no line feed within a string: where there are as many as borders, the records stand on a line each, or in a form
    # of their own that is as good.
    if records and array.count(b"\n") == len(records) - 1:
        return Batch(memoryview(array)[1:-1], records)
    try:
        raws = _RAWS.decode(array)
    except _UNDECODABLE:
        return None
    return Batch(BORDER.join(raws), records) if records else raws


def _elements(text: bytes) -> _Elements:
    """An array's text cut at its own commas: slower, and right about any text, valid JSON or not."""
    borders, closed, scanned = _borders(text)
    # Without this, a bracket that was never closed would take the whole file into memory. Behind a whole sign,
    # other than in the middle of a number or an escape, a fault is a fault whatever follows.
    if not borders and _is_malformed(text[:scanned]):
        return _Elements([text.strip(_SPACE)], b"", closed=False)
    raws = [text[before + 1 : border].strip(_SPACE) for before, border in pairwise([-1, *borders])]
    return _Elements(raws, text[borders[-1] + 1 if borders else 0 :], closed)


def _borders(text: bytes) -> tuple[list[int], bool, int]:
    """Offsets of an array's own commas and of its `]`; whether that came, as the last; where the last sign ended."""
    borders: list[int] = []
    depth = end = 0
    for match in _SIGN.finditer(text):
        sign = match.group()
        if sign == b'"':  # a string that does not end here
            break
        end = match.end()
        depth += (sign in (b"{", b"[")) - (sign in (b"}", b"]"))
        if depth < 0 or (depth == 0 and sign == b","):
            borders.append(match.start())
        if depth < 0:
            return borders, True, end
    return borders, False, end


def _checked(found: _Found, check_output: bool) -> tuple[Batch, str]:
    """The records before the first flaw, and the flaw (empty: there is none)."""
    if isinstance(found, Batch):
        try:
            if check_output:
                for record in found.records:
                    decoded_output(record)
            return found, ""
        except RecordError:
            found = found.raws()
    records: list[Record] = []
    flaw = ""
    try:
        for raw in found:
            try:
                record = _RECORD.decode(raw)
            except _UNDECODABLE:
                record = _checked_record(raw)
            if check_output:
                decoded_output(record)
            records.append(record)
    except RecordError as error:
        flaw = str(error)
    return Batch(BORDER.join(found[: len(records)]), records), flaw


def _checked_record(raw: bytes) -> Record:
    """The record that the fast decoder refused: with fields of its own, or wrong in a way that RecordError names."""
    if not raw:
        raise RecordError("nothing stands between two commas, or behind the last one")
    try:
        fields = _ANYTHING.decode(raw)
    except _UNDECODABLE as error:
        raise RecordError(f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise RecordError(f"must be an object, found {json_type(fields)}")
    for name in _FIELDS:
        if name not in fields:
            raise RecordError(f'field "{name}" is missing (found: {", ".join(fields) or "no fields"})')
        if not isinstance(fields[name], str):
            raise RecordError(f'"{name}" must be a string, found {json_type(fields[name])}')
    return Record(**{name: fields[name] for name in _FIELDS})


def decoded_output(record: Record) -> dict[str, Any]:
    """The object that `output` spells; RecordError when it spells none."""
    try:
        return _OBJECT.decode(record.output)
    except msgspec.ValidationError as error:
        raise RecordError(f'"output" must hold a JSON object: {error}') from error
    except _UNDECODABLE as error:
        raise RecordError(f'"output" is not JSON: {error}') from error


def json_type(value: object) -> str:
    """What an error calls a decoded value: Python's name of its type, and null."""
    return "null" if value is None else type(value).__name__
