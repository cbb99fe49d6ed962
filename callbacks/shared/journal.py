"""The journal of a run: append-only JSON lines, one writer a file, merged on reading. It is the truth about the run."""

import errno
import json
import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, Self, Union

import msgspec

from callbacks.shared.events import KINDS, E, Event, Metrics, TornLine, only

JOURNAL_ENV = "REGROW_JOURNAL"
"""Environment variable: path of a stage's journal without the writer, `<run>/journal/train-4711-0`."""

Entry = Event
"""One line of a journal."""
_ANY_EVENT: Any = Union[tuple(KINDS.values())]  # noqa: UP007 (made at run time)
_DECODER: "msgspec.json.Decoder[Event]" = msgspec.json.Decoder(_ANY_EVENT)


class Journal:
    """Appends entries to one file that nobody else writes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._lock = threading.Lock()
        self._fd: int | None = None
        """Open from the first entry on: to open it for each step's line is a question to the file server at each step."""
        self._is_torn = False
        """The last line was cut off by a full disk; the next one begins anew."""

    @classmethod
    def of_writer(cls, stem: str, writer: str) -> Self:
        """The journal of one writer of a stage: `<stem>-<writer>.jsonl`."""
        return cls(Path(f"{stem}-{writer}.jsonl"))

    def write(self, entry: E) -> E:
        """Append an event, at this moment; it is on disk when this returns.

        Metrics are not synced: a process that is killed loses none, a node that dies may. Another node of a network file
        system may see them seconds later, with the next event at the latest.

        Returns:
            The event, with its time.

        Raises:
            OSError: it could not be written; the next one begins a line of its own.
        """
        entry.time = time.time()
        text = _line(entry)
        with self._lock:
            fd = self._opened()
            line = ("\n" * self._is_torn + text).encode("utf-8", "replace")
            self._is_torn = True
            if os.write(fd, line) != len(line):  # one write a line
                raise OSError(errno.ENOSPC, "the disk is full", str(self.path))
            self._is_torn = False
            if entry.is_synced:
                os.fsync(fd)
        return entry

    def _opened(self) -> int:
        if self._fd is None:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            weakref.finalize(self, os.close, self._fd).atexit = False  # a thread may still write then
        return self._fd


class JournalReader:
    """Reads a journal folder on from where it has read before."""

    def __init__(self, folder: Path, of: str | None = None, without: str = "") -> None:
        """`of`: an attempt's name, whose writers alone are read. `without`: a writer that is not."""
        self._folder, self._files = folder, f"{of}-*.jsonl" if of else "*.jsonl"
        self._without = without
        self._read: dict[Path, int] = {}
        """Bytes of each file that were read."""
        self._times: dict[Path, float] = {}
        """Of each file's last entry."""

    def new_entries(self) -> list[Entry]:
        """What was written since the last call, merged by time; each entry with its `writer` (the file's stem)."""
        paths = sorted(self._folder.glob(self._files))
        read = [path for path in paths if not self._without or path.stem.rpartition("-")[2] != self._without]
        entries = [entry for path in read for entry in self._new_of(path)]
        return sorted(entries, key=attrgetter("time"))

    def _new_of(self, path: Path) -> Iterator[Entry]:
        start, writer = self._read.get(path, 0), path.stem
        if path.stat().st_size <= start:
            return
        with path.open("rb") as file:
            file.seek(start)
            whole, newline, _ = file.read().rpartition(b"\n")  # the rest is an entry that is still being written
        self._read[path] = start + len(whole) + len(newline)
        for line in whole.split(b"\n") if newline else ():
            try:
                entry = _parsed(line)
            except ValueError:
                entry = TornLine(time=self._times.get(path, path.stat().st_mtime))
            if entry is not None:
                self._times[path], entry.writer = entry.time, writer
                yield entry


def read_journal(folder: Path, of: str | None = None) -> list[Entry]:
    """All entries of a journal folder, merged by time; each with its `writer` (the file's stem).

    Args:
        of: the name of one attempt, `train-4711-0`: only what its writers wrote.
    """
    return JournalReader(folder, of).new_entries()


def metric_rows(entries: Iterable[Entry]) -> dict[int, dict[str, float]]:
    """step -> metric -> value over all `metrics` events; where a step was repeated, the newest event counts."""
    rows: dict[int, dict[str, float]] = {}
    for entry in only(entries, Metrics):
        rows.setdefault(entry.step, {}).update(entry.values)
    return rows


def _line(entry: Entry) -> str:
    """As JSON; msgspec's own encoder would write NaN as null."""
    fields = msgspec.to_builtins(entry)
    del fields["writer"]  # the file's name says it
    return json.dumps({"time": entry.time, **fields}, ensure_ascii=False) + "\n"


def _parsed(line: bytes) -> Entry | None:
    """The event of a line; None: another version of regrow wrote it, and this one does not know it.

    Raises:
        ValueError: a full disk has cut the line off.
    """
    try:
        return _DECODER.decode(line)
    except msgspec.ValidationError:
        return None
    except msgspec.DecodeError:
        content = json.loads(line)  # which alone knows NaN
    try:
        entry: Event = msgspec.convert(content, type=_ANY_EVENT)
    except msgspec.ValidationError:
        return None
    return entry
