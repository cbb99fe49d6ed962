"""The stages of a run: their order, their dependencies, and the job that submitit pickles."""

import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass

from callbacks.shared.events import Stage as Stage
from jobs.spec.entry_points import RUN_STAGE

STAGES: tuple[Stage, ...] = ("prepare", "train", "evaluate", "report")
AFTER_ANY: frozenset[Stage] = frozenset({"report"})
"""Stages that run however the previous stage ended; the others run only if it succeeded."""


def dependency(stage: Stage, previous_job_ids: Iterable[str]) -> str:
    """Slurm's expression for "after the previous jobs", e.g. `afterok:4711`, `afterany:4712:4713`."""
    return ":".join(["afterany" if stage in AFTER_ANY else "afterok", *previous_job_ids])


@dataclass(frozen=True)
class StageJob:
    """The job that submitit pickles: plain data. The node finds the function to call by its name."""

    run_dir: str
    stage: Stage
    part: int = 0

    def __call__(self) -> None:
        pkgutil.resolve_name(RUN_STAGE)(self)
