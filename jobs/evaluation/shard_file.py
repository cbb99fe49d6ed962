"""The answers of one shard on disk: one writer appends batches, repairs the file, marks it when complete; merging."""

import errno
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

from callbacks.shared.manifest import write_atomically
from callbacks.shared.predictions import Generated

Line = dict[str, Any]
"""One answer: `record` (its index in the file of records), `prompt` (a digest), `generated`, `tokens`, `is_cut`."""


class MergeError(ValueError):
    """The shards do not fit the records; the message names the records or the file."""


@dataclass(frozen=True)
class ShardWriter:
    """Appends to the file that its attempt created; after another attempt has taken over, nobody reads that file."""

    file: BinaryIO
    prompts: Sequence[str]

    def append(self, batch: Sequence[int], answers: Sequence[Generated]) -> None:
        """Add a batch in one write; it is on disk when this function returns."""
        rows = [
            {"record": index, "prompt": digest(self.prompts[index]), "generated": answer.text, "tokens": answer.tokens,
             "is_cut": answer.is_cut}
            for index, answer in zip(batch, answers, strict=True)
        ]  # fmt: skip
        text = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
        if self.file.write(text) != len(text):
            raise OSError(errno.ENOSPC, "the disk is full", self.file.name)
        os.fsync(self.file.fileno())


@dataclass(frozen=True)
class ShardFile:
    """The file with the answers of one shard, in the order in which they are generated."""

    path: Path

    @property
    def marker(self) -> Path:
        """Written last: the shard is complete only if this file exists."""
        return self.path.with_suffix(".json")

    @property
    def lease(self) -> Path:
        return self.path.with_suffix(".lease")

    def is_whole(self) -> bool:
        return self.marker.exists()

    @contextmanager
    def resumed(
        self, batches: Sequence[Sequence[int]], prompts: Sequence[str]
    ) -> Iterator[tuple[list[list[Line]], ShardWriter]]:
        """The complete ones of the planned batches of record indices, and a writer for the other batches.

        An incomplete batch is dropped. The complete ones go into a new file that replaces the old one: if an attempt that
        seemed dead still writes, nobody reads it.

        Args:
            prompts: of all records, not of this shard alone.

        Raises:
            MergeError: the file holds other answers than those planned.
        """
        found = self._whole_batches(batches, prompts)
        write_atomically(self.path, "".join(f"{json.dumps(line)}\n" for batch in found for line in batch))
        with self.path.open("ab", buffering=0) as file:
            yield found, ShardWriter(file, prompts)

    def finish(self, batches: Sequence[Sequence[int]], prompts: Sequence[str], settings: dict[str, Any]) -> None:
        """Mark the shard as complete.

        Raises:
            MergeError: it is not complete, or another attempt has taken over.
        """
        records = sum(map(len, batches))
        if sum(map(len, self._whole_batches(batches, prompts))) != records:
            raise MergeError(f"{self.path}: another attempt has taken over")
        sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()
        write_atomically(
            self.marker, json.dumps({"records": records, "sha256": sha256, "settings": settings}, indent=1)
        )

    def _whole_batches(self, batches: Sequence[Sequence[int]], prompts: Sequence[str]) -> list[list[Line]]:
        rows = list(_parsed(self.path.read_bytes().split(b"\n")[:-1])) if self.path.exists() else []
        planned = [index for batch in batches for index in batch]
        if [(row["record"], row["prompt"]) for row in rows] != [
            (index, digest(prompts[index])) for index in planned[: len(rows)]
        ]:
            raise MergeError(f"{self.path} holds answers of another evaluation; have the records changed since?")
        ends = accumulate(map(len, batches))
        return [rows[end - len(batch) : end] for batch, end in zip(batches, ends, strict=True) if end <= len(rows)]

    def rows(self) -> list[Line]:
        """The answers of a complete shard.

        Raises:
            MergeError: the shard is not complete, or the file has changed since.
        """
        if not self.is_whole():
            raise MergeError(f"{self.path.name} is not finished; `regrow resume RUN` continues it")
        content = self.path.read_bytes()
        if hashlib.sha256(content).hexdigest() != json.loads(self.marker.read_bytes())["sha256"]:
            raise MergeError(f"{self.path} has changed after it was finished: its digest is different")
        return [json.loads(line) for line in content.split(b"\n") if line]


def _parsed(lines: Iterable[bytes]) -> Iterator[Line]:
    """The lines before the first one that a full disk or the end of a node has damaged."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return


def digest(prompt: str) -> str:
    """Identifies a prompt: 16 hex digits of its SHA-256."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def merge(shards: Iterable[ShardFile], prompts: Sequence[str]) -> list[Line]:
    """One answer for each prompt, in the order of the prompts.

    Raises:
        MergeError: a shard is not complete; an answer is missing, occurs twice, or belongs to another prompt.
    """
    rows = [row for shard in shards for row in shard.rows()]
    counts = Counter(row["record"] for row in rows)
    twice = sorted(record for record, count in counts.items() if count > 1)
    missing = sorted(set(range(len(prompts))) - counts.keys())
    unknown = sorted(counts.keys() - set(range(len(prompts))))
    for what, records in (("occur twice", twice), ("are missing", missing), ("do not exist", unknown)):
        if records:
            raise MergeError(f"records {_some(records)} {what} among the shards' answers")
    if changed := [row["record"] for row in rows if row["prompt"] != digest(prompts[row["record"]])]:
        raise MergeError(f"records {_some(changed)} have other prompts now than when the answers were generated")
    return sorted(rows, key=lambda row: int(row["record"]))


def _some(records: Sequence[int]) -> str:
    shown = ", ".join(map(str, records[:5]))
    return f"{shown} and {len(records) - 5} more" if len(records) > 5 else shown
