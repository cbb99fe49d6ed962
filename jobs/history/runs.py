"""The runs under a runs_root. Each look reads only the journals' new entries, and asks Slurm once for all runs."""

import gc
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from callbacks.shared.journal import Entry, JournalReader, in_order
from callbacks.shared.mlflow_process import MLFLOW_WRITER
from jobs.history.run_state import ended_status, newest_jobs, run_status
from jobs.history.status import ENDED, RunStatus
from jobs.history.submissions import is_ours
from jobs.slurm import answers as slurm
from jobs.slurm.commands import SlurmCluster
from jobs.spec.errors import ConfigError, NoAnswer
from jobs.spec.paths import RunPaths
from jobs.spec.run_spec import RunSpec

REMEMBERED = frozenset({"finished", "failed", "cancelled"})
ASK_SECONDS = 3.0
"""The time between two questions to Slurm, for a program that asks again and again."""


@dataclass
class _Known:
    """A run, and its journal as far as it was read."""

    spec: RunSpec
    reader: JournalReader
    entries: list[Entry] = field(default_factory=list)

    def read(self) -> None:
        new = self.reader.new_entries()
        if self.entries and new:
            new = in_order([*self.entries, *new])
        self.entries = new or self.entries


class Runs:
    """The runs under a runs_root. Each look reads only the new entries."""

    def __init__(self, runs_root: Path, name: str | None = None) -> None:
        """`name`: only this run; None: all runs."""
        self._runs_root, self._name = runs_root, name
        self._known: dict[Path, _Known] = {}

    def statuses(self) -> list[RunStatus]:
        """The status of each run, newest first."""
        run_dirs = [path.parent for path in self._runs_root.glob(f"{self._name or '*'}/run.json")]
        newest_first = sorted(run_dirs, key=lambda run_dir: RunPaths(run_dir).run_json.stat().st_mtime, reverse=True)
        with _no_collection():
            found = [self._remembered(run_dir) or self._known_or_unreadable(run_dir) for run_dir in newest_first]
            queues = _Queues([known for known in found if isinstance(known, _Known)])
            return [_status_of(known, queues) if isinstance(known, _Known) else known for known in found]

    def _known_or_unreadable(self, run_dir: Path) -> _Known | RunStatus:
        try:
            known = self._known.get(run_dir) or _Known(
                RunSpec.load(run_dir), JournalReader(RunPaths(run_dir).journal, without=MLFLOW_WRITER)
            )
            known.read()
        except ConfigError as error:  # a run that cannot be read must not hide the others
            return RunStatus(run_dir.name, "unreadable", message=str(error))
        self._known[run_dir] = known
        return known

    def _remembered(self, run_dir: Path) -> RunStatus | None:
        """The stored status of a run that has ended. None: not stored or out of date, or the user asked for this run alone."""
        paths = RunPaths(run_dir)
        if self._name is not None:
            return None
        try:
            remembered = msgspec.json.decode(paths.status.read_bytes(), type=_Remembered)
        except (FileNotFoundError, msgspec.DecodeError):  # missing, not yet complete, or of another version
            return None
        return remembered.status if remembered.journal_sizes == _journal_sizes(paths) else None


def _status_of(known: _Known, queues: "_Queues") -> RunStatus:
    sizes = _journal_sizes(known.spec.paths)
    known.read()  # again, after Slurm's answer: a job that Slurm says has ended has written its last entry
    status = run_status(known.spec, known.entries, queues.job)
    is_sure = all(job.state != slurm.NO_ANSWER for job in status.jobs) and math.isfinite(status.loss or 0.0)
    if status.state in REMEMBERED and is_sure:
        with suppress(OSError):  # a full disk: the next look reads the run again
            known.spec.paths.status.write_bytes(msgspec.json.encode(_Remembered(sizes, status)))
    return status


@dataclass(frozen=True)
class _Remembered:
    """The status of a run that has ended. Valid as long as its journal does not change."""

    journal_sizes: dict[str, int]
    status: RunStatus


def _journal_sizes(paths: RunPaths) -> dict[str, int]:
    """Size of each file of the journal, in bytes; empty: there is no journal."""
    with suppress(FileNotFoundError), os.scandir(paths.journal) as files:
        return {file.name: file.stat().st_size for file in files}
    return {}


@contextmanager
def _no_collection() -> Iterator[None]:
    """Turn the garbage collector off: looking through a hundred thousand entries again and again takes a third of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def may_go_on(spec: RunSpec) -> Callable[[], bool]:
    """A function that says whether the run has not ended. It can be called often: it asks Slurm only every few seconds."""
    runs, asked_at, answer = Runs(spec.paths.run_dir.parent, spec.name), -ASK_SECONDS, True

    def ask() -> bool:
        nonlocal asked_at, answer
        if time.monotonic() >= asked_at + ASK_SECONDS:
            answer, asked_at = runs.statuses()[0].state not in ENDED, time.monotonic()
        return answer

    return ask


class _Queues:
    """The clusters' answers about the runs' jobs. Each controller and each accounting database is asked once, if needed."""

    def __init__(self, runs: Sequence[_Known]) -> None:
        self._queued: dict[SlurmCluster, Mapping[str, slurm.QueuedJob]] = {}
        self._accounted: dict[SlurmCluster, dict[str, str]] = {}
        of_cluster: dict[SlurmCluster, list[_Known]] = {}
        for known in runs:
            if known.spec.profile.executor == "slurm":
                of_cluster.setdefault(SlurmCluster.of(known.spec.profile), []).append(known)
        for cluster, members in of_cluster.items():
            self._ask(cluster, members)

    def _ask(self, cluster: SlurmCluster, runs: Sequence[_Known]) -> None:
        try:
            queue = cluster.jobs_of_user()
        except NoAnswer:
            queue = None
        if queue is None:
            return
        self._queued[cluster] = queue
        wanted = [
            job_id
            for known in runs
            if len(runs) == 1 or ended_status(known.entries) is None
            for stage in known.spec.stages
            for job_id in newest_jobs(known.entries, stage)
        ]
        self._accounted[cluster] = cluster.accounted_states([job_id for job_id in wanted if job_id not in queue])

    def job(self, spec: RunSpec, job_id: str) -> slurm.QueuedJob:
        """Slurm's answer for a job in the run's journal. A job of another run or cluster with the same id is not looked at."""
        cluster = SlurmCluster.of(spec.profile)
        if cluster not in self._queued:
            return slurm.QueuedJob(slurm.NO_ANSWER, "")
        if found := self._queued[cluster].get(job_id):
            return found if is_ours(spec, job_id, found, [job_id]) else slurm.QueuedJob("UNKNOWN", "")
        return slurm.QueuedJob(self._accounted[cluster].get(job_id, "UNKNOWN"), "")
