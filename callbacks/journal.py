"""The journal of a run: append-only JSON lines, one writer a file, merged on reading. It is the truth about the run."""

import json
import os
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
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        with self.path.open("ab", buffering=0) as file:  # opened anew: nothing to close, and one write a line
            file.write(line.encode("utf-8"))
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
    for line in path.read_bytes().split(b"\n")[:-1]:  # what follows the last newline is an entry still being written
        yield {**json.loads(line), "writer": path.stem}


def metric_rows(entries: list[Entry]) -> dict[int, dict[str, float]]:
    """step -> metric -> value over all `metrics` entries; where a step was repeated, the newest entry counts."""
    rows: dict[int, dict[str, float]] = {}
    for entry in entries:
        if entry["event"] == "metrics":
            rows.setdefault(entry["step"], {}).update(entry["values"])
    return rows
