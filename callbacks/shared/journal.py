"""The journal of a run: append-only files of JSON lines. Each writer has its own file; readers merge them in their order.

The journal is the truth about the run. Its order must not depend on the clocks of several machines: whoever writes an event
notes how far its own clock is behind the events that it has read.
"""

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
from callbacks.shared.secrets import masked_content

JOURNAL_ENV = "REGROW_JOURNAL"
"""Environment variable: path of a stage's journal without the writer, `<run>/journal/train-4711-0`."""
STAGE_WRITER = "stage"
"""The name of a stage's own process as a writer."""

Entry = Event
"""One line of a journal."""
_ANY_EVENT: Any = Union[tuple(KINDS.values())]  # noqa: UP007 (made at run time)
_BEHIND: dict[Path, float] = {}
"""For each journal folder, how far this machine's clock is behind the newest event that this process knows; never less than 0."""
AFTER_SECONDS = 1e-6
_LAST_BYTES = 2**16
_DECODER: "msgspec.json.Decoder[Event]" = msgspec.json.Decoder(_ANY_EVENT)


class Journal:
    """Appends entries to one file that nobody else writes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._lock = threading.Lock()
        self._fd: int | None = None
        """Stays open from the first entry on: opening it for each line would ask the file server at each step."""
        self._is_torn = False
        """Whether a full disk has cut off the last line; the next entry then starts on a new line."""

    @classmethod
    def of_writer(cls, stem: str, writer: str) -> Self:
        """The journal of one writer of a stage: `<stem>-<writer>.jsonl`. It comes after what the stage itself has said so far."""
        if writer != STAGE_WRITER:
            _know_last_of(Path(f"{stem}-{STAGE_WRITER}.jsonl"))
        return cls(Path(f"{stem}-{writer}.jsonl"))

    def write(self, entry: E) -> E:
        """Append an event with the current time. The event is on disk when this returns.

        Metrics are an exception: they are not synced. A killed process loses none of them, but a node that dies may lose
        some. On a network file system another node may see them seconds later, at the latest with the next event.

        Returns:
            The event, with its time.

        Raises:
            OSError: the event could not be written; the next event starts on a new line.
        """
        entry.time, entry.behind = time.time(), _BEHIND.get(self.path.parent, 0.0)
        text = _line(entry)
        with self._lock:
            fd = self._opened()
            line = ("\n" * self._is_torn + text).encode("utf-8", "replace")
            self._is_torn = True
            if os.write(fd, line) != len(line):  # one write per line
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
    """Reads a journal folder; each call continues where the last one stopped."""

    def __init__(self, folder: Path, of: str | None = None, without: str = "") -> None:
        """`of`: read only the writers of this attempt; None: all. `without`: do not read this writer."""
        self._folder, self._files = folder, f"{of}-*.jsonl" if of else "*.jsonl"
        self._without = without
        self._read: dict[Path, int] = {}
        """Number of bytes read of each file."""
        self._times: dict[Path, float] = {}
        """The order of each file's last entry."""

    def new_entries(self) -> list[Entry]:
        """The entries that were written since the last call, in their order. `writer` is set to the file's stem."""
        paths = sorted(self._folder.glob(self._files))
        read = [path for path in paths if not self._without or path.stem.rpartition("-")[2] != self._without]
        entries = [entry for path in read for entry in self._new_of(path)]
        if entries := in_order(entries):
            _know(self._folder, entries[-1])
        return entries

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
                self._times[path], entry.writer = entry.order, writer
                yield entry


def read_journal(folder: Path, of: str | None = None) -> list[Entry]:
    """All entries of a journal folder, in their order. `writer` is set to the file's stem.

    Args:
        of: the name of one attempt, e.g. `train-4711-0`: read only its writers; None: all.
    """
    return JournalReader(folder, of).new_entries()


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """The entries in their order; those with the same order stay as they are."""
    found = list(entries)
    has_other_clocks = any(map(attrgetter("behind"), found))
    return sorted(
        found, key=attrgetter("order" if has_other_clocks else "time")
    )  # by a plain field it takes half the time


def metric_rows(entries: Iterable[Entry]) -> dict[int, dict[str, float]]:
    """step -> metric -> value over all `metrics` events. If a step was done again, the newest event counts."""
    rows: dict[int, dict[str, float]] = {}
    for entry in only(entries, Metrics):
        rows.setdefault(entry.step, {}).update(entry.values)
    return rows


def know_newest(folder: Path) -> None:
    """Let what this process writes come after all events of a journal. It reads only the end of each file."""
    for path in folder.glob("*.jsonl"):
        _know_last_of(path)


def _know_last_of(path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LAST_BYTES))
            lines = file.read().rpartition(b"\n")[0].splitlines()
    except OSError:
        return
    for line in reversed(lines):
        try:
            entry = _parsed(line)
        except ValueError:
            continue
        if entry:
            _know(path.parent, entry)
            return


def _know(folder: Path, entry: Entry) -> None:
    """What this process writes from now on comes after this event."""
    _BEHIND[folder] = max(_BEHIND.get(folder, 0.0), entry.order + AFTER_SECONDS - time.time())


def _line(entry: Entry) -> str:
    """The entry as a line of JSON, without secrets, which errors of libraries may hold. msgspec's encoder makes null of NaN."""
    fields = masked_content(msgspec.to_builtins(entry)) if entry.is_synced else msgspec.to_builtins(entry)
    del fields["writer"]  # the file's name says it
    if not entry.behind:
        del fields["behind"]
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
        content = json.loads(line)  # only the standard library reads NaN
    try:
        entry: Event = msgspec.convert(content, type=_ANY_EVENT)
    except msgspec.ValidationError:
        return None
    return entry
