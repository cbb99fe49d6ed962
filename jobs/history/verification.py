"""Whether what a run has left is what it should have left: its checkpoints' bytes, and the records that it took."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from callbacks.shared.journal import Entry
from callbacks.shared.manifest import checkpoints, torn_reason, wrong_files
from jobs.history.progress import finished_step, steps_before
from jobs.history.records import TrainedRecords, trained_records


@dataclass(frozen=True)
class CheckpointBytes:
    """One checkpoint, after every file of it was read."""

    name: str
    files: int
    """Files whose bytes were read; 0 for a checkpoint of an older version, which has no digests."""
    bytes: int
    problems: tuple[str, ...]
    is_torn: bool
    """Its save did not end, or files are missing: a training never resumes from it."""


@dataclass(frozen=True)
class Verification:
    """What was found; `problems` has every sentence that something is wrong."""

    checkpoints: tuple[CheckpointBytes, ...]
    records: TrainedRecords
    problems: tuple[str, ...]


def verify(
    output_dir: Path, entries: Sequence[Entry], read: Callable[[int], None] = lambda count: None
) -> Verification:
    """Read every checkpoint and the ledgers of a run. `read` is called with the number of bytes that were read.

    Raises:
        OSError: a file cannot be read.
    """
    found = [each for path in checkpoints(output_dir) if (each := _checkpoint(path, read))]
    records = trained_records(output_dir)
    problems = [f"{each.name}: {problem}" for each in found for problem in each.problems if not each.is_torn]
    finished, before = finished_step(list(entries)), steps_before(list(entries))
    if finished is not None and records.steps not in (0, finished - before):
        problems.append(
            f"the training finished after {finished - before:,} steps, and its ledger has {records.steps:,}"
        )
    return Verification(tuple(found), records, (*problems, *records.problems))


def bytes_to_read(output_dir: Path) -> int:
    """The size of all checkpoints."""
    files = (path for checkpoint in checkpoints(output_dir) for path in checkpoint.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files)


def _checkpoint(path: Path, read: Callable[[int], None]) -> CheckpointBytes | None:
    """None: the run has removed the checkpoint meanwhile."""
    if reason := torn_reason(path):
        return CheckpointBytes(path.name, 0, 0, (reason,), is_torn=True) if path.exists() else None
    files, size, problems = 0, 0, []
    try:
        for _, count, problem in wrong_files(path):
            files, size = files + 1, size + count
            problems += [problem] if problem else []
            read(count)
    except FileNotFoundError:
        return None
    return CheckpointBytes(path.name, files, size, tuple(problems), is_torn=False)
