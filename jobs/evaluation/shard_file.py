"""One shard's answers on disk: appended batch by batch by one writer, repaired after a kill, marked when whole, merged."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from callbacks.manifest import write_atomically
from callbacks.predictions import Generated

Line = dict[str, Any]
"""One answer: `record` (its index in the file of records), `prompt` (a digest), `generated`, `tokens`, `is_cut`."""


class MergeError(ValueError):
    """The shards do not make up the records: which, and what to do."""


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

    def resume(self, batches: Sequence[Sequence[int]], prompts: Sequence[str]) -> list[list[Line]]:
        """What is there of the planned batches of record indices; a batch that is not there whole is cut off the file.

        Args:
            prompts: of all records, not of this shard alone.

        Raises:
            MergeError: there is something else than what was planned.
        """
        lines = self.path.read_bytes().split(b"\n")[:-1] if self.path.exists() else []
        rows = list(_parsed(lines))
        planned = [index for batch in batches for index in batch]
        if [(row["record"], row["prompt"]) for row in rows] != [
            (index, digest(prompts[index])) for index in planned[: len(rows)]
        ]:
            raise MergeError(f"{self.path} holds other answers than this evaluation's; were the records changed since?")
        found: list[list[Line]] = []
        for batch, end in zip(batches, accumulate(map(len, batches)), strict=True):
            if end > len(rows):
                break
            found.append(rows[end - len(batch) : end])
        if self.path.exists():
            os.truncate(self.path, sum(len(line) + 1 for line in lines[: sum(map(len, found))]))
        return found

    def append(self, batch: Sequence[int], prompts: Sequence[str], answers: Sequence[Generated]) -> None:
        """Add a batch, in one write; it is on disk when this returns."""
        rows = [
            {"record": index, "prompt": digest(prompts[index]), "generated": answer.text,
             "tokens": answer.tokens, "is_cut": answer.is_cut}
            for index, answer in zip(batch, answers, strict=True)
        ]  # fmt: skip
        with self.path.open("ab", buffering=0) as file:
            text = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
            if file.write(text) != len(text):
                raise OSError(f"{self.path}: the disk is full")
            os.fsync(file.fileno())

    def finish(self, records: int, settings: dict[str, Any]) -> None:
        """Mark the shard as whole."""
        self.path.touch()  # more shards than records: some are empty
        sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()
        write_atomically(
            self.marker, json.dumps({"records": records, "sha256": sha256, "settings": settings}, indent=1)
        )

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
