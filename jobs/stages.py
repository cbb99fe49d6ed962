"""The stages of a run in their order, and which waits for which."""

from typing import Literal

Stage = Literal["prepare", "train", "evaluate", "report"]
STAGES: tuple[Stage, ...] = ("prepare", "train", "evaluate", "report")
AFTER_ANY: frozenset[Stage] = frozenset({"report"})
"""Stages that run however the one before ended; the others need it to have succeeded."""


def dependency(stage: Stage, previous_job_id: str) -> str:
    """Slurm's expression for "after the job before", e.g. `afterok:4711`."""
    return f"{'afterany' if stage in AFTER_ANY else 'afterok'}:{previous_job_id}"


def stage_after(stage: Stage) -> Stage | None:
    """The stage that waits for this one."""
    following = STAGES[STAGES.index(stage) + 1 :]
    return following[0] if following else None
