"""The stages of a run in their order: which job waits for which, and the run of all of them on this machine."""

import sys
import time
from collections.abc import Callable, Sequence

from callbacks.journal import Entry, read_journal
from jobs.evaluate import EvaluateJob
from jobs.executor import local_executor
from jobs.prepare import PrepareJob
from jobs.profile import Stage
from jobs.report import ReportJob, stages_finished
from jobs.spec import RunSpec
from jobs.train import TrainJob

JOBS: dict[Stage, type[PrepareJob | TrainJob | EvaluateJob | ReportJob]] = {
    "prepare": PrepareJob,
    "train": TrainJob,
    "evaluate": EvaluateJob,
    "report": ReportJob,
}
AFTER_ANY: frozenset[Stage] = frozenset({"report"})
"""Stages that run however the one before ended (Slurm's afterany); the others need it to have succeeded (afterok)."""
POLL_SECONDS = 0.2


def run_locally(spec: RunSpec, stages: Sequence[Stage], follow: Callable[[list[Entry]], None]) -> int:
    """Run the stages one after the other through submitit's LocalExecutor.

    Args:
        follow: gets the journal's new entries while a stage runs.

    Returns:
        The exit code of the first stage that failed; 0: all of them finished.
    """
    exit_code, seen = 0, 0
    for stage in stages:
        if exit_code and stage not in AFTER_ANY:
            continue
        job = local_executor(spec, stage, sys.executable).submit(JOBS[stage](str(spec.paths.run_dir)))
        try:
            while not job.done():
                seen = _follow_new(spec, seen, follow)
                time.sleep(POLL_SECONDS)
        finally:
            job.cancel()  # nothing to cancel, but when an exception or Ctrl-C cut the wait short
        seen = _follow_new(spec, seen, follow)
        exit_code = exit_code or stage_exit_code(spec, stage)
    return exit_code


def stage_exit_code(spec: RunSpec, stage: Stage) -> int:
    """How a stage ended, by its journal: submitit's own result says only whether an exception was raised."""
    entries = read_journal(spec.paths.journal)
    if stage in stages_finished(entries):
        return 0
    codes = [
        int(entry["exit_code"]) for entry in entries if entry["event"] == "stage_failed" and entry["stage"] == stage
    ]
    return codes[-1] if codes else 1


def _follow_new(spec: RunSpec, seen: int, follow: Callable[[list[Entry]], None]) -> int:
    entries = read_journal(spec.paths.journal)
    if len(entries) > seen:
        follow(entries[seen:])
    return len(entries)
