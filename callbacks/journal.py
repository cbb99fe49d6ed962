"""The journal of a run: append-only JSON lines, one writer a file, merged on reading. It is the truth about the run."""

import errno
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

JOURNAL_ENV = "REGROW_JOURNAL"
"""Environment variable: path of a stage's journal without the writer, `<run>/journal/train-4711-0`."""

Entry = dict[str, Any]
"""One line: `time` (seconds since the epoch), `event` (a name), `writer`, and the event's own fields."""


class Journal:
    """Appends entries to one file that nobody else writes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._lock = threading.Lock()
        self._is_torn = False
        """The last line was cut off by a full disk; the next one begins anew."""

    @classmethod
    def of_writer(cls, stem: str, writer: str) -> Self:
        """The journal of one writer of a stage: `<stem>-<writer>.jsonl`."""
        return cls(Path(f"{stem}-{writer}.jsonl"))

    def event(self, event: str, **fields: Any) -> Entry:
        """Append an event; it is on disk when this returns."""
        return self._append({"time": time.time(), "event": event, **fields}, sync=True)

    def metrics(self, step: int, values: Mapping[str, float]) -> Entry:
        """Append the values of one step; not synced: a process that is killed loses none, a node that dies may."""
        return self._append({"time": time.time(), "event": "metrics", "step": step, "values": dict(values)}, sync=False)

    def _append(self, entry: Entry, *, sync: bool) -> Entry:
        text = json.dumps(entry, ensure_ascii=False) + "\n"
        with self._lock, self.path.open("ab", buffering=0) as file:  # opened anew: nothing to close, one write a line
            line = ("\n" * self._is_torn + text).encode("utf-8")
            self._is_torn = True
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, "the disk is full", str(self.path))
            self._is_torn = False
            if sync:
                os.fsync(file.fileno())
        return entry


def read_journal(folder: Path, of: str | None = None) -> list[Entry]:
    """All entries of a journal folder, merged by time; each with its `writer` (the file's stem).

    Args:
        of: the name of one attempt, `train-4711-0`: only what its writers wrote.
    """
    entries = [
        entry for path in sorted(folder.glob(f"{of}-*.jsonl" if of else "*.jsonl")) for entry in _read_file(path)
    ]
    return sorted(entries, key=lambda entry: float(entry["time"]))


def _read_file(path: Path) -> Iterator[Entry]:
    time_before = 0.0
    for line in path.read_bytes().split(b"\n")[:-1]:  # what follows the last newline is an entry still being written
        entry = _parsed(line) or {"time": time_before, "event": "torn_line"}
        time_before = entry["time"]
        yield {**entry, "writer": path.stem}


def _parsed(line: bytes) -> Entry | None:
    """The entry of a line; None: a full disk has cut it off."""
    try:
        entry: Entry = json.loads(line)
    except ValueError:
        return None
    return entry


def metric_rows(entries: list[Entry]) -> dict[int, dict[str, float]]:
    """step -> metric -> value over all `metrics` entries; where a step was repeated, the newest entry counts."""
    rows: dict[int, dict[str, float]] = {}
    for entry in entries:
        if entry["event"] == "metrics":
            rows.setdefault(entry["step"], {}).update(entry["values"])
    return rows
