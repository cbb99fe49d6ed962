"""The status of runs: their journals know the past, Slurm the present."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from jobs.history.time_spent import AttemptTimes
from jobs.spec.stages import Stage

WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
"""States of jobs that have no node. Jobs on hold wait until a person releases them."""
STOPPED = frozenset({"failed", "cancelled", "lost"})
"""States of a run that has ended before its work was done."""
ENDED = STOPPED | {"finished", "unreadable"}


@dataclass(frozen=True)
class JobStatus:
    """The newest job of a stage, or its array."""

    stage: Stage
    job_id: str
    state: str
    """Slurm's state, verbatim. If Slurm does not know the job any more, or does not answer: COMPLETED by the journal, else
    UNKNOWN or NO ANSWER. For an array: the state of the array tasks that are running, else waiting, else failed."""
    array_tasks: dict[str, int]
    """The number of array tasks in each state; empty: the job is not an array."""
    reason: str
    """Why the job is pending, in Slurm's word; empty otherwise."""
    start_time: float | None
    """When a pending job will start by Slurm's estimate, seconds since the epoch; None: Slurm has no estimate."""
    attempts: int
    """How many times the stage was started, over all its jobs."""


@dataclass(frozen=True)
class RunStatus:
    """One run."""

    name: str
    state: str
    """waiting, running, finished, failed, cancelled; lost: no job is left, and the journal has no end; unknown: Slurm does not
    answer; unreadable: run.json cannot be read."""
    stage: str = ""
    """The last stage that started, or the one whose job has a node; empty: none yet."""
    submitted_at: float | None = None
    """Seconds since the epoch."""
    step: int | None = None
    target_step: int | None = None
    records: int | None = None
    """The number of answered records of a running evaluation; None: no evaluation is running."""
    target_records: int | None = None
    eta_seconds: float | None = None
    """Time until the target at the recent pace; None: the stage is not running, or has not begun."""
    is_starting: bool = False
    """True: the stage has a node, but not yet its first step or record: it loads imports, model, data, the checkpoint."""
    loss: float | None = None
    """The newest loss; None: none yet."""
    attempt: int = 0
    """Number of the training's attempt, from 1; for an evaluation, of the part with the most attempts; 0: none yet."""
    saved_at: float | None = None
    """When the newest checkpoint was saved, seconds since the epoch; None: none yet."""
    goodput: float | None = None
    """Productive share of the training's allocated time; for an evaluation, of the generation's. None: no time yet."""
    steps_lost: int = 0
    """Number of optimizer steps that were done again."""
    message: str = ""
    """Why the run waits or has failed, or what happened last; empty otherwise."""
    to_go_on: str = ""
    """What to type if the run has ended with unfinished stages; empty otherwise."""
    jobs: tuple[JobStatus, ...] = ()
    """Empty for a run on this machine."""
    attempts: tuple[AttemptTimes, ...] = ()
    """All attempts, oldest first."""

    def to_dict(self, with_attempts: bool = False) -> dict[str, Any]:
        """The status as JSON. `with_attempts`: also each attempt, and where its time went."""
        found = asdict(self)
        found["loss"] = (
            self.loss if self.loss is None or math.isfinite(self.loss) else str(self.loss)
        )  # JSON has no NaN
        attempts = found.pop("attempts")
        return found | ({"attempts": attempts} if with_attempts else {})


def duration(seconds: float) -> str:
    """A duration in its two largest units: `2d 03h`, `3h 05m`, `5m 12s`, `12s`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02}h"
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {rest:02}s" if minutes else f"{rest}s"
