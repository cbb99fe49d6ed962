"""What the runs under a runs_root are doing: their journals say what was, Slurm what is."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from jobs.history.time_spent import AttemptTimes
from jobs.slurm import commands as slurm
from jobs.spec.stages import Stage

WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
"""States of jobs that have no node; those on hold wait for somebody's hand."""
UNSAID = frozenset({"UNKNOWN", slurm.NO_ANSWER})
"""In place of the state of a job of which Slurm says nothing."""
STOPPED = frozenset({"failed", "cancelled", "lost"})
"""States of a run that has ended before its work was done."""
ENDED = STOPPED | {"finished", "unreadable"}


@dataclass(frozen=True)
class JobStatus:
    """The newest job of a stage, or its array."""

    stage: Stage
    job_id: str
    state: str
    """As Slurm says, verbatim. Where it knows no more, or does not answer: COMPLETED by the journal, else UNKNOWN or
    NO ANSWER. Of an array: the state of the elements that are still running, else waiting, else failed."""
    array_tasks: dict[str, int]
    """How many elements of the array are in which state; empty: it is no array."""
    reason: str
    """Why it is pending, in Slurm's word; empty otherwise."""
    start_time: float | None
    """Of a pending job, when Slurm thinks that it will start, seconds since the epoch; None: Slurm has no idea."""
    attempts: int
    """How often the stage was started, over all its jobs."""


@dataclass(frozen=True)
class RunStatus:
    """One run."""

    name: str
    state: str
    """waiting, running, finished, failed, cancelled; lost: no end was written, and nothing is left; unknown: Slurm does not
    answer; unreadable."""
    stage: str = ""
    """The last stage that started, or the one whose job has a node; empty: none yet."""
    submitted_at: float | None = None
    """Seconds since the epoch."""
    step: int | None = None
    target_step: int | None = None
    records: int | None = None
    """Of an evaluation that is on its way, how many records have their answer, and of how many; None: it is not."""
    target_records: int | None = None
    eta_seconds: float | None = None
    """Until the target at the pace of late; None: it does not run, or has not begun."""
    is_starting: bool = False
    """It has a node, and is not at its first step or record: imports, model, data, the checkpoint."""
    loss: float | None = None
    """The newest."""
    attempt: int = 0
    """Which go of the training this is, from 1; of an evaluation, of the part that was started most often; 0: none yet."""
    saved_at: float | None = None
    """When the newest checkpoint was saved, seconds since the epoch; None: none was."""
    goodput: float | None = None
    """Productive share of the time that the training was allocated; of an evaluation, the generation. None: nothing yet."""
    steps_lost: int = 0
    """Optimizer steps that were done again."""
    message: str = ""
    """Why it waits or has failed, or what happened last; empty otherwise."""
    to_go_on: str = ""
    """What to type, where it has ended with something left to do; empty otherwise."""
    jobs: tuple[JobStatus, ...] = ()
    """Empty for a run on this machine."""
    attempts: tuple[AttemptTimes, ...] = ()
    """All of them, oldest first."""

    def to_dict(self, with_attempts: bool = False) -> dict[str, Any]:
        """As JSON. `with_attempts`: each attempt and where its time went, too."""
        found = asdict(self)
        found["loss"] = (
            self.loss if self.loss is None or math.isfinite(self.loss) else str(self.loss)
        )  # JSON has no NaN
        attempts = found.pop("attempts")
        return found | ({"attempts": attempts} if with_attempts else {})


def duration(seconds: float) -> str:
    """In its two largest units: `2d 03h`, `3h 05m`, `5m 12s`, `12s`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02}h"
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {rest:02}s" if minutes else f"{rest}s"
