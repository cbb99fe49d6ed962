"""One shard's answers on disk: appended batch by batch by one writer, repaired after a kill, marked when whole, merged."""

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
    """The shards do not make up the records: which, and what to do."""


@dataclass(frozen=True)
class ShardWriter:
    """Appends to the file that its attempt has made; once another attempt has taken over, that file is nobody's."""

    file: BinaryIO
    prompts: Sequence[str]

    def append(self, batch: Sequence[int], answers: Sequence[Generated]) -> None:
        """Add a batch, in one write; it is on disk when this returns."""
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
    """The answers of one shard, in the order in which they are generated."""

    path: Path

    @property
    def marker(self) -> Path:
        """Written last: the shard is whole only when it is there."""
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
        """What is there of the planned batches of record indices, and the writer for the others.

        A batch that is not there whole is left out. The rest is put into a new file in place of the old one: what an
        attempt may still write that was believed dead goes nowhere.

        Args:
            prompts: of all records, not of this shard alone.

        Raises:
            MergeError: there is something else than what was planned.
        """
        found = self._whole_batches(batches, prompts)
        write_atomically(self.path, "".join(f"{json.dumps(line)}\n" for batch in found for line in batch))
        with self.path.open("ab", buffering=0) as file:
            yield found, ShardWriter(file, prompts)

    def finish(self, batches: Sequence[Sequence[int]], prompts: Sequence[str], settings: dict[str, Any]) -> None:
        """Mark the shard as whole.

        Raises:
            MergeError: it is not, or no longer this attempt's.
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
            raise MergeError(f"{self.path} holds other answers than this evaluation's; were the records changed since?")
        ends = accumulate(map(len, batches))
        return [rows[end - len(batch) : end] for batch, end in zip(batches, ends, strict=True) if end <= len(rows)]

    def rows(self) -> list[Line]:
        """The answers of a whole shard.

        Raises:
            MergeError: it is not whole, or was changed since.
        """
        if not self.is_whole():
            raise MergeError(f"{self.path.name} is not finished; type: regrow resume")
        content = self.path.read_bytes()
        if hashlib.sha256(content).hexdigest() != json.loads(self.marker.read_bytes())["sha256"]:
            raise MergeError(f"{self.path} was changed after it was finished: its digest is another one")
        return [json.loads(line) for line in content.split(b"\n") if line]


def _parsed(lines: Iterable[bytes]) -> Iterator[Line]:
    """The lines up to the first that a full disk or a node's death has spoilt."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return


def digest(prompt: str) -> str:
    """Tells one prompt from another: 16 hex digits of its SHA-256."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def merge(shards: Iterable[ShardFile], prompts: Sequence[str]) -> list[Line]:
    """One answer for each prompt, in their order.

    Raises:
        MergeError: a shard is not whole; an answer is missing, is there twice, or belongs to another prompt.
    """
    rows = [row for shard in shards for row in shard.rows()]
    counts = Counter(row["record"] for row in rows)
    twice = sorted(record for record, count in counts.items() if count > 1)
    missing = sorted(set(range(len(prompts))) - counts.keys())
    unknown = sorted(counts.keys() - set(range(len(prompts))))
    for what, records in (("are there twice", twice), ("are missing", missing), ("do not exist", unknown)):
        if records:
            raise MergeError(f"records {_some(records)} {what} among the shards' answers")
    if changed := [row["record"] for row in rows if row["prompt"] != digest(prompts[row["record"]])]:
        raise MergeError(f"records {_some(changed)} have other prompts now than when they were answered")
    return sorted(rows, key=lambda row: int(row["record"]))


def _some(records: Sequence[int]) -> str:
    shown = ", ".join(map(str, records[:5]))
    return f"{shown} and {len(records) - 5} more" if len(records) > 5 else shown
