"""A rank's ledger: which records each optimizer step took. Written by the training; light, because the jobs read it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import xxhash

RECORDS = "ledger-records.txt"
"""The id of every training record, in the order of the data set, a line each; only with `regrow.audit`."""


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """An attempt begins. It may do steps again that an earlier attempt did after its last checkpoint."""

    attempt: str
    config: str
    """Digest of the config. Steps that are done again with the same config take the same records."""
    after: int
    """The step that it resumes from; 0: it starts the training."""
    ranks: int


class Step(msgspec.Struct, frozen=True, tag="step", omit_defaults=True):
    """What this rank took in one optimizer step."""

    step: int
    value: str
    """A hash of the tokens of all steps so far, in their batches and their order; 16 hexadecimal digits."""
    epoch: int = 0
    """From 0."""
    records: list[str] | None = None
    """The ids of the records; None: `regrow.audit` is off, or the records come as a stream."""


Line = Begun | Step
_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def ledger_file(output_dir: Path, rank: int) -> Path:
    """The path of a rank's ledger, as JSON lines."""
    return output_dir / f"ledger-{rank}.jsonl"


def ledgers(output_dir: Path) -> list[Path]:
    """The ledger of every rank that has one, rank 0 first."""
    return sorted(output_dir.glob("ledger-*.jsonl"), key=lambda path: int(path.stem.partition("-")[2]))


def to_lines(lines: Iterable[Line]) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def read_ledger(path: Path) -> Iterator[Line]:
    """The lines of a ledger; none if there is no file. A line that a killed process has cut off is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                yield _DECODER.decode(line)
            except (msgspec.DecodeError, msgspec.ValidationError):
                continue


@dataclass
class History:
    """A rank's steps, each as it counts: as the last attempt did it."""

    steps: dict[int, Step] = field(default_factory=dict)
    configs: dict[int, str] = field(default_factory=dict)
    """The digest of the config with which each step was done."""
    ranks: dict[int, int] = field(default_factory=dict)
    """With how many ranks each step was done."""
    redone: list[int] = field(default_factory=list)
    """Steps that were done again; once for each time."""
    different: list[int] = field(default_factory=list)
    """Steps that took other records when they were done again, with the same config."""


def history(lines: Iterable[Line]) -> History:
    """What the lines of one ledger say."""
    found, begun = History(), Begun("", "", 0, 1)
    for line in lines:
        if isinstance(line, Begun):
            begun = line
            continue
        if before := found.steps.get(line.step):
            found.redone.append(line.step)
            if found.configs[line.step] == begun.config and before.value != line.value:
                found.different.append(line.step)
        found.steps[line.step], found.configs[line.step] = line, begun.config
        found.ranks[line.step] = begun.ranks
    return found


def record_id(parts: Iterable[bytes]) -> str:
    """The id of a record, from its tokens: 16 hexadecimal digits. Records with the same tokens have the same id."""
    digest = xxhash.xxh3_64()
    for part in parts:
        digest.update(part)
        digest.update(len(part).to_bytes(8, "little"))
    return digest.hexdigest()
