"""Streams records from a JSON array or JSON lines, plain or gzip, each with its original bytes.

Memory is a few windows, whatever the size of the file; a record longer than the window makes the window grow.

Over 250 lines: cutting and decoding share what a window is.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from data_prep.alpaca_record import ANYTHING, UNDECODABLE, Record, RecordError, decoded_output
from data_prep.content import Content
from data_prep.shape import ALPACA, Shape

__all__ = ["BORDER", "WINDOW", "Batch", "Record", "RecordError", "iter_batches", "iter_records"]

WINDOW = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of a file."""

    text: bytes | memoryview
    """The records as elements of a JSON array: their original bytes, separated as in the file, or by `BORDER`."""
    records: list[Record]

    def __len__(self) -> int:
        return len(self.records)

    def raws(self) -> list[bytes]:
        """Each record's bytes."""
        return list(map(bytes, _RAWS.decode(b"".join((b"[", self.text, b"]")))))

    def first(self, count: int) -> Self:
        """The first `count` records of the batch."""
        return self if count >= len(self) else type(self)(BORDER.join(self.raws()[:count]), self.records[:count])


BORDER = b",\n"
"""The text between two records."""
_RECORDS = msgspec.json.Decoder(list[Record])
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])


def iter_records(
    path: Path,
    *,
    shape: Shape = ALPACA,
    check_output: bool = True,
    progress: Callable[[int], None] | None = None,
    window: int = WINDOW,
) -> Iterator[tuple[bytes, Record]]:
    """The records of a file in order, each with its original bytes; RecordError at the first fault."""
    for batch in iter_batches(path, shape=shape, check_output=check_output, progress=progress, window=window):
        yield from zip(batch.raws(), batch.records, strict=True)


def iter_batches(
    path: Path,
    *,
    shape: Shape = ALPACA,
    check_output: bool = True,
    progress: Callable[[int], None] | None = None,
    window: int = WINDOW,
) -> Iterator[Batch]:
    """As `iter_records`, in batches of one window. `progress` gets the number of bytes of the file that each window took.

    Args:
        check_output: each output must be a JSON object.
    """
    count = 0
    with Content(path, progress) as content:
        for found in _found(content, window, is_alpaca=shape == ALPACA):
            batch, flaw = _checked(found, shape, check_output)
            if batch.records:
                yield batch
            count += len(batch)
            if flaw:
                raise RecordError(f"{path}, record {count + 1}: {flaw}")
    if not count:
        raise RecordError(f"{path}: holds no records")


_Found = Batch | Sequence[bytes]
"""The records of a window, decoded all at once; or the bytes of what should be records, if that failed."""


def _found(content: Content, window: int, is_alpaca: bool) -> Iterator[_Found]:
    """The content of each window. A file that begins with `[` is an array, any other file JSON lines."""
    text = content.read(max(window, len(_BOM))).removeprefix(_BOM).lstrip(_SPACE)
    while not text and (chunk := content.read(window)):
        text = chunk.lstrip(_SPACE)
    if text.startswith(b"["):
        return _array_elements(content, text[1:].lstrip(_SPACE), window, is_alpaca)
    return _lines(content, text, window)


def _lines(content: Content, text: bytes, window: int) -> Iterator[Sequence[bytes]]:
    """The lines that are not blank; `text` is the part of them that has been read."""
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


def _array_elements(content: Content, text: bytes, window: int, is_alpaca: bool) -> Iterator[_Found]:
    """The elements of an array; `text` is the part after its `[` that has been read."""
    count = 0
    closed = False
    while not closed:
        chunk = content.read(max(window, len(text)))
        text += chunk
        found, text, closed = (_quick_elements(text, is_alpaca) if chunk else None) or _elements(text)
        if closed and not count and found == [b""]:  # the array is empty
            return
        yield found
        count += len(found)
        if not chunk and not closed:
            yield from _unclosed(content.path, text.strip(_SPACE), count)
    while not text.strip(_SPACE):
        if not (text := content.read(window)):
            return
    raise RecordError(
        f'{content.path}: there is text after the "]" that follows record {count}: {text.strip(_SPACE)[:20]!r}'
    )


def _unclosed(path: Path, last: bytes, count: int) -> Iterator[Sequence[bytes]]:
    """The text after the last comma of an array without `]`; always raises RecordError in the end."""
    if _is_cut_off(last):
        raise RecordError(f"{path}: ends inside record {count + 1} (truncated?)")
    yield [last]
    raise RecordError(f'{path}: ends after record {count + 1} without the closing "]" (truncated?)')


def _is_cut_off(text: bytes) -> bool:
    """Whether the JSON is correct so far, but incomplete."""
    return "truncated" in _fault(text)


def _is_malformed(text: bytes) -> bool:
    """Whether the JSON is wrong, whatever follows it."""
    fault = _fault(text)
    return bool(fault) and "truncated" not in fault


def _fault(text: bytes) -> str:
    """The decoder's message about wrong JSON; empty: the JSON is correct."""
    try:
        ANYTHING.decode(text)
    except UNDECODABLE as error:
        return str(error)
    return ""


class _Elements(NamedTuple):
    """The complete elements of an array's text, the text after them, and whether the array has ended."""

    found: _Found
    rest: bytes
    closed: bool


# The text between two records is `}, {"`. In a string it would be `}, {\"` (or the end of the string). A list within a record
# may contain it too, but then the text before it does not decode.
_BETWEEN = re.compile(rb'\}[ \t\r\n]*+,[ \t\r\n]*+(?=\{[ \t\r\n]*+")')
_SIGN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["{}\[\],]', re.DOTALL)


def _quick_elements(text: bytes, is_alpaca: bool) -> _Elements | None:
    """`_elements`, cut at the last place that looks like the border of two records; None if that does not decode."""
    brace = len(text)
    while (brace := text.rfind(b"}", 0, brace)) >= 0:
        if border := _BETWEEN.match(text, brace):
            array = b"".join((b"[", memoryview(text)[: brace + 1], b"]"))  # a single copy of the window
            found = _decoded(array, is_alpaca)
            return _Elements(found, text[border.end() :], closed=False) if found else None
    return None


def _decoded(array: bytes, is_alpaca: bool) -> _Found | None:
    """The elements of an array; None if it is not an array."""
    try:
        records = _RECORDS.decode(array) if is_alpaca else []
    except UNDECODABLE:  # a record has further fields, or a fault
        records = []
    # JSON has no line feed within a string: if there are as many as borders, each record is on a line of its own, or in an
    # equally good form.
    if records and array.count(b"\n") == len(records) - 1:
        return Batch(memoryview(array)[1:-1], records)
    try:
        raws = _RAWS.decode(array)
    except UNDECODABLE:
        return None
    return Batch(BORDER.join(raws), records) if records else raws


def _elements(text: bytes) -> _Elements:
    """Cut an array's text at its own commas: slower, but correct for any text, valid JSON or not."""
    borders, closed, scanned = _borders(text)
    # Without this, a bracket that is never closed would read the whole file into memory. After a complete sign (and not in the
    # middle of a number or an escape) a fault is a fault, whatever follows.
    if not borders and _is_malformed(text[:scanned]):
        return _Elements([text.strip(_SPACE)], b"", closed=False)
    raws = [text[before + 1 : border].strip(_SPACE) for before, border in pairwise([-1, *borders])]
    return _Elements(raws, text[borders[-1] + 1 if borders else 0 :], closed)


def _borders(text: bytes) -> tuple[list[int], bool, int]:
    """The offsets of an array's own commas and, last, of its `]`; whether there was a `]`; the end of the last sign."""
    borders: list[int] = []
    depth = end = 0
    for match in _SIGN.finditer(text):
        sign = match.group()
        if sign == b'"':  # a string that does not end in this text
            break
        end = match.end()
        depth += (sign in (b"{", b"[")) - (sign in (b"}", b"]"))
        if depth < 0 or (depth == 0 and sign == b","):
            borders.append(match.start())
        if depth < 0:
            return borders, True, end
    return borders, False, end


def _checked(found: _Found, shape: Shape, check_output: bool) -> tuple[Batch, str]:
    """The records before the first fault, and the fault (empty: there is none)."""
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
            record = shape.record(raw)
            if check_output:
                decoded_output(record)
            records.append(record)
    except RecordError as error:
        flaw = str(error)
    return Batch(BORDER.join(found[: len(records)]), records), flaw
