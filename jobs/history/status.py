"""What the runs under a runs_root are doing: their journals say what was, Slurm what is."""

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from callbacks.shared.journal import Entry, attempt_of
from jobs.history.pace import Pace, pace
from jobs.history.progress import stages_finished
from jobs.history.submissions import current, is_typed
from jobs.history.time_spent import AttemptTimes, attempt_times, main_stage, steps_lost, total
from jobs.slurm import commands as slurm
from jobs.spec.find import typed_name
from jobs.spec.run_spec import RunSpec
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


def run_status(spec: RunSpec, entries: list[Entry], job: Callable[[str | None, str], slurm.QueuedJob]) -> RunStatus:
    """One run's status. `job`: what Slurm says of a job, by its cluster's configuration and its id."""
    jobs = tuple(_job_statuses(spec, entries, job)) if spec.profile.executor == "slurm" else ()
    last = _last(entries, "stage_started", "stage_finished", "stage_failed", "left")
    on_a_node = next((job.stage for job in jobs if job.state in slurm.ON_A_NODE), None)
    stage = on_a_node or (last["stage"] if last else "")
    losses = [entry for entry in entries if entry["event"] == "metrics" and "loss" in entry["values"]]
    step, target = _last(entries, "metrics"), _last(entries, "training_began")
    saved = _last(entries, "saved")
    state, attempts = _state(entries, jobs), attempt_times(entries)
    now = pace(entries, last["stage"]) if last and state == "running" else Pace(None, None, None)
    return RunStatus(
        name=spec.name,
        stage=stage,
        state=state,
        submitted_at=spec.submitted_at,
        step=step["step"] if step else None,
        target_step=target["target_step"] if target else None,
        records=now.done if last and last["stage"] == "evaluate" else None,
        target_records=now.target if last and last["stage"] == "evaluate" else None,
        eta_seconds=now.seconds_left,
        is_starting=state == "running" and _is_starting(spec, entries, stage, last),
        loss=losses[-1]["values"]["loss"] if losses else None,
        attempt=_attempt(entries, main_stage(attempts)),
        saved_at=saved["time"] if saved else None,
        goodput=total(attempts, main_stage(attempts)).goodput,
        steps_lost=steps_lost(attempts),
        message="" if state == "finished" else _message(entries, jobs, state),
        to_go_on=f"regrow resume {typed_name(spec)}" if state in STOPPED else "",
        jobs=jobs,
        attempts=tuple(attempts),
    )


def newest_jobs(entries: list[Entry], stage: Stage) -> list[str]:
    """The jobs that do the stage's parts, of each part the newest."""
    return list(
        {part: job_id for found in current(entries, stage) for job_id, part in found.job_parts.items()}.values()
    )


def _job_statuses(
    spec: RunSpec, entries: list[Entry], job: Callable[[str | None, str], slurm.QueuedJob]
) -> Iterator[JobStatus]:
    finished = stages_finished(spec, entries)
    for stage in spec.stages:
        if job_ids := newest_jobs(entries, stage):
            jobs = [job(spec.profile.slurm_conf, job_id) for job_id in job_ids]
            if stage in finished:
                jobs = [slurm.QueuedJob("COMPLETED", "") if job.state in UNSAID else job for job in jobs]
            started = sum(entry["event"] == "stage_started" and entry["stage"] == stage for entry in entries)
            yield _job_status(stage, job_ids[0].partition("_")[0], jobs, started)


def _job_status(stage: Stage, job_id: str, jobs: Sequence[slurm.QueuedJob], started: int) -> JobStatus:
    foremost = max(jobs, key=lambda job: _LIVELINESS.get(job.state, 1))
    return JobStatus(
        stage,
        job_id,
        foremost.state,
        dict(Counter(job.state for job in jobs)) if len(jobs) > 1 else {},
        foremost.reason,
        foremost.start_time if foremost.state == "PENDING" else None,
        started,
    )


_LIVELINESS = {state: 3 if state == "PENDING" else 2 for state in slurm.ACTIVE_STATES} | {"RUNNING": 4, "COMPLETED": 0}
"""Of an array's elements, the one with the highest says how the array is: running, waiting, failed; completed if all are."""


def ended_status(entries: list[Entry]) -> str | None:
    """How the run has ended since it was last submitted or resumed, by its journal; None: it has not."""
    since = _since_typed(entries)
    ended = _last(since, "run_ended", "stage_failed")  # a report that fails does so after it has said how the run ended
    if ended and _last(since, "run_ended"):
        return {"FINISHED": "finished", "KILLED": "cancelled"}.get(ended.get("status", ""), "failed")
    return "cancelled" if _last(since, "cancel_requested") else None


def _state(entries: list[Entry], jobs: tuple[JobStatus, ...]) -> str:
    active = [job.state for job in jobs if job.state in slurm.ACTIVE_STATES]
    if active:
        return "running" if any(state not in WAITING for state in active) else "waiting"
    since = _since_typed(entries)
    if any(job.state == slurm.NO_ANSWER for job in jobs) and not _last(since, "run_ended"):
        return "unknown"
    foreground = _last(since, "foreground")
    if foreground and not _has_died(foreground) and not _last(since, "run_ended"):
        return "running" if _last(since, "stage_started") else "waiting"
    if ended := ended_status(entries):
        return ended
    if _last(since, "stage_failed"):
        return "failed"
    if jobs or (foreground and _has_died(foreground)):
        return "lost"
    return "running" if _last(since, "stage_started") else "waiting"


def _since_typed(entries: list[Entry]) -> list[Entry]:
    typed = [index for index, entry in enumerate(entries) if is_typed(entry)]
    return entries[typed[-1] :] if typed else entries


def _has_died(foreground: Entry) -> bool:
    """Whether the command that ran the stages on this machine is gone."""
    return foreground["host"] == os.uname().nodename and not Path(f"/proc/{foreground['pid']}").exists()


_BEGINNINGS = {"train": "training_began", "evaluate": "part_began"}
"""What a stage writes when it has loaded everything; the others load nothing."""


def _is_starting(spec: RunSpec, entries: list[Entry], stage: str, last: Entry | None) -> bool:
    """Whether the stage that has a node is not yet at what it is for; of an array: no part of it."""
    if last is None or last["stage"] != stage:
        return True  # its process has not said a word
    if last["event"] != "stage_started" or stage not in _BEGINNINGS:
        return False
    began = [attempt_of(entry) for entry in entries if entry["event"] == _BEGINNINGS[stage]]
    return not began if spec.parts(last["stage"]) > 1 else attempt_of(last) not in began


def _attempt(entries: list[Entry], stage: str) -> int:
    parts = Counter(entry["part"] for entry in entries if entry["event"] == "stage_started" and entry["stage"] == stage)
    return max(parts.values(), default=0)


def _message(entries: list[Entry], jobs: Sequence[JobStatus], state: str) -> str:
    """What happened last; of a run that waits, also why, and until when."""
    pending = next((job for job in jobs if job.state == "PENDING" and job.reason != "Dependency"), None)
    waits = _waits(pending) if pending and state == "waiting" else ""
    return "; ".join(filter(None, [_happened(entries), waits]))


def _waits(job: JobStatus) -> str:
    start = job.start_time and job.start_time - time.time()
    expected = f", expected to start in {duration(start)}" if start and start > 0 else ""
    reason = f" ({job.reason})" if job.reason else ""
    return f"{job.stage} is pending{reason}{expected}"


def _happened(entries: list[Entry]) -> str:
    last = _last(entries, "stage_failed", "left", "stage_started", "stage_finished")
    if last and last["event"] == "stage_failed":
        return str(last["message"])
    if last and last["event"] == "left":
        where = {"evaluate": "after {} records", "train": "at step {}"}.get(last["stage"], "")
        return " ".join(
            filter(None, [f"{last['stage']} was {last['cause']}", last["step"] and where.format(last["step"])])
        )
    return ""


def _last(entries: list[Entry], *events: str) -> Entry | None:
    return next((entry for entry in reversed(entries) if entry["event"] in events), None)


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
