"""The train stage: choose the newest valid checkpoint, start the ranks, believe the journal and no exit code."""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from callbacks.journal import Entry, read_journal
from callbacks.manifest import checkpoint_step, checkpoints, torn_reason
from jobs.attempt import EXIT_TEMPORARY, Attempt, StageFailed, run_stage
from jobs.launch import python_of, rank_commands


@dataclass(frozen=True)
class TrainJob:
    """What submitit pickles: the run folder, and nothing else."""

    run_dir: str

    def __call__(self) -> None:
        run_stage("train", Path(self.run_dir), train)


def train(attempt: Attempt) -> None:
    """Train to the target step.

    Raises:
        StageFailed: a rank failed, or all of them ended without having finished.
    """
    spec = attempt.spec
    if finished(read_journal(spec.paths.journal)):
        return  # never train a finished run further: one step more would overwrite its adapter
    checkpoint = newest_valid_checkpoint(attempt)
    attempt.journal.event("ranks_started", world_size=spec.world_size, checkpoint=checkpoint and checkpoint.name)
    cpus = int(spec.profile.train.get("cpus_per_task") or len(os.sched_getaffinity(0)))
    python = python_of(spec, sys.executable)
    attempt.run(rank_commands(spec, python, attempt.stem, checkpoint, _free_port(), cpus))
    if not finished(read_journal(spec.paths.journal)):
        raise StageFailed(f"the ranks ended before the target step\nTheir output: {attempt.log}", EXIT_TEMPORARY)


def finished(entries: list[Entry]) -> bool:
    """Whether the journal says that the target step was reached and the final adapter is saved."""
    return any(entry["event"] == "finished" for entry in entries)


def newest_valid_checkpoint(attempt: Attempt) -> Path | None:
    """The newest whole checkpoint; torn ones above it are renamed `torn-<step>`, out of every rotation's sight."""
    for checkpoint in checkpoints(attempt.spec.paths.checkpoints):
        reason = torn_reason(checkpoint)
        if not reason:
            return checkpoint
        aside = checkpoint.with_name(f"torn-{checkpoint_step(checkpoint)}-{attempt.name}")
        checkpoint.rename(aside)
        attempt.journal.event("checkpoint_torn", checkpoint=checkpoint.name, renamed=aside.name, reason=reason)
    return None


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
