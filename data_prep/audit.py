"""Counts the labels, duplicates, contradictions and leaks in a training and a validation file. They are findings, not errors."""

import statistics
from array import array
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from data_prep.alpaca_record import Record, RecordError, decoded_output, json_type
from data_prep.curriculum import Source
from data_prep.records import iter_batches

_EXAMPLES = 5


@dataclass(frozen=True)
class Lengths:
    """Lengths of the articles (`input`), in characters."""

    min: int
    median: float
    max: int


@dataclass(frozen=True)
class Found:
    """A number of records, and the numbers (from 1) of the first of them."""

    count: int
    first: tuple[int, ...]


@dataclass(frozen=True)
class FileAudit:
    """The audit of one file of records."""

    path: str
    records: int
    positives: int
    negatives: int
    invalid: int
    """Records whose `output` is not an answer; they are neither positive nor negative."""
    invalid_examples: tuple[str, ...]
    distinct: int
    duplicates: int
    """Records equal to an earlier one in all three fields; the further rounds of a repeated source count too."""
    contradictions: Found
    """Distinct records with instruction and input of an earlier record, but another output (compared as text)."""
    entries: int
    """Entries of the lists of all valid outputs."""
    field_fill: dict[str, float]
    """For each field, the share of the entries in which it is neither missing nor null nor blank; 0 without entries."""
    input_characters: Lengths


@dataclass(frozen=True)
class Audit:
    """The audit of both files; `leaks` are validation records whose instruction and input are in the training file too."""

    train: FileAudit
    validation: FileAudit | None
    leaks: Found

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def audit(
    train: Source,
    validation: Source | None,
    *,
    list_field: str,
    name_field: str,
    fields: Sequence[str],
    progress: Callable[[int], None] | None = None,
) -> Audit:
    """Audit both files. An `output` that is not an answer is a finding; a file that does not hold records is a RecordError.

    `progress` gets the number of bytes read since the last call.
    """
    target = _Target(list_field, name_field, tuple(fields))
    trained = _tallied(train, target, frozenset(), progress)
    validated = _tallied(validation, target, trained.prompts, progress) if validation else None
    return Audit(
        train=trained.file_audit(),
        validation=validated.file_audit() if validated else None,
        leaks=validated.leaks.found() if validated else Found(0, ()),
    )


@dataclass(frozen=True)
class SourcesAudit:
    """The audit of files before they are merged; `leaks` as in Audit, over all files."""

    train: tuple[FileAudit, ...]
    validation: tuple[FileAudit, ...]
    leaks: Found


def audit_sources(
    train: Sequence[Source], validation: Sequence[Source], *, list_field: str, name_field: str, fields: Sequence[str]
) -> SourcesAudit:
    """Audit the files that will be merged, each once even if it is repeated; findings and errors as in `audit`."""
    target = _Target(list_field, name_field, tuple(fields))
    trained = [_tallied(source, target, frozenset(), None) for source in train]
    prompts = frozenset[bytes]().union(*(tally.prompts for tally in trained))
    validated = [_tallied(source, target, prompts, None) for source in validation]
    leaks = _Numbers()
    for tally in validated:
        leaks.count += tally.leaks.count
        leaks.first += tally.leaks.first[: _EXAMPLES - len(leaks.first)]
    return SourcesAudit(
        tuple(tally.file_audit() for tally in trained), tuple(tally.file_audit() for tally in validated), leaks.found()
    )


@dataclass(frozen=True)
class _Target:
    """The form of an answer: an object with one list of flat objects."""

    list_field: str
    name_field: str
    fields: tuple[str, ...]

    def entries(self, record: Record) -> list[dict[str, Any]]:
        """The list in a record's answer; RecordError if `output` is not an answer."""
        output = decoded_output(record)
        if self.list_field not in output:
            raise RecordError(f'"output" has no "{self.list_field}" (found: {", ".join(output) or "no fields"})')
        entries = output[self.list_field]
        if not isinstance(entries, list):
            raise RecordError(f'"{self.list_field}" must be a list, found {json_type(entries)}')
        for index, entry in enumerate(entries):
            self._check_entry(entry, f'"{self.list_field}"[{index}]')
        return entries

    def _check_entry(self, entry: object, place: str) -> None:
        if not isinstance(entry, dict):
            raise RecordError(f"{place} must be an object, found {json_type(entry)}")
        if not _is_filled(entry.get(self.name_field)):
            raise RecordError(f'{place} has no "{self.name_field}" (found: {", ".join(entry) or "no fields"})')
        if unknown := [name for name in entry if name not in {self.name_field, *self.fields}]:
            raise RecordError(f"{place} has unknown fields: {', '.join(unknown)} (known: {', '.join(self.fields)})")


def _is_filled(value: object) -> bool:
    return bool(value.strip()) if isinstance(value, str) else value is not None


@dataclass
class _Numbers:
    """Counts record numbers, and keeps the first of them."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, number: int) -> None:
        self.count += 1
        if len(self.first) < _EXAMPLES:
            self.first.append(number)

    def found(self) -> Found:
        return Found(self.count, tuple(self.first))


@dataclass
class _Tally:
    """The counts of one file while it is read. Of each record it keeps two digests and the length."""

    path: Path
    target: _Target
    known_prompts: Set[bytes]
    distinct: set[bytes] = field(default_factory=set)
    prompts: set[bytes] = field(default_factory=set)
    lengths: "array[int]" = field(default_factory=lambda: array("I"))
    positives: int = 0
    invalid: int = 0
    invalid_examples: list[str] = field(default_factory=list)
    entries: int = 0
    filled: Counter[str] = field(default_factory=Counter)
    contradictions: _Numbers = field(default_factory=_Numbers)
    leaks: _Numbers = field(default_factory=_Numbers)

    def add(self, record: Record) -> None:
        """Count the next record of the file."""
        self.lengths.append(len(record.input))
        self._add_digests(record)
        try:
            self._add_entries(self.target.entries(record))
        except RecordError as error:
            self.invalid += 1
            if len(self.invalid_examples) < _EXAMPLES:
                self.invalid_examples.append(f"{self.path}, record {len(self.lengths)}: {error}")

    def _add_digests(self, record: Record) -> None:
        prompt = _digest(record.instruction.encode(), record.input.encode())
        if prompt in self.known_prompts:
            self.leaks.add(len(self.lengths))
        whole = _digest(prompt, record.output.encode())
        if whole not in self.distinct and prompt in self.prompts:
            self.contradictions.add(len(self.lengths))
        self.distinct.add(whole)
        self.prompts.add(prompt)

    def _add_entries(self, entries: list[dict[str, Any]]) -> None:
        self.positives += bool(entries)
        self.entries += len(entries)
        self.filled.update(name for entry in entries for name in self.target.fields if _is_filled(entry.get(name)))

    def file_audit(self) -> FileAudit:
        """The audit of the records counted so far."""
        records = len(self.lengths)
        return FileAudit(
            path=str(self.path),
            records=records,
            positives=self.positives,
            negatives=records - self.positives - self.invalid,
            invalid=self.invalid,
            invalid_examples=tuple(self.invalid_examples),
            distinct=len(self.distinct),
            duplicates=records - len(self.distinct),
            contradictions=self.contradictions.found(),
            entries=self.entries,
            field_fill={name: self.filled[name] / max(self.entries, 1) for name in self.target.fields},
            input_characters=Lengths(min(self.lengths), statistics.median(self.lengths), max(self.lengths)),
        )


def _tallied(source: Source, target: _Target, known: Set[bytes], progress: Callable[[int], None] | None) -> _Tally:
    tally = _Tally(source.path, target, known)
    for batch in iter_batches(source.path, shape=source.shape, check_output=False, progress=progress):
        for record in batch.records:
            if source.take is not None and len(tally.lengths) == source.take:
                return tally
            tally.add(record)
    return tally


def _digest(first: bytes, second: bytes) -> bytes:
    """16 bytes for the pair; the length distinguishes ("ab", "c") from ("a", "bc")."""
    return blake2b(b"%d:%b%b" % (len(first), first, second), digest_size=16).digest()
