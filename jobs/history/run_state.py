"""The state of a run: its journal knows the past, Slurm the present. Pure, except for a look at this machine's processes."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from callbacks.shared import events
from callbacks.shared.events import newest, only
from callbacks.shared.journal import Entry
from jobs.history.pace import Pace, pace
from jobs.history.progress import stages_finished
from jobs.history.status import STOPPED, WAITING, JobStatus, RunStatus, duration
from jobs.history.submissions import current, is_typed
from jobs.history.time_spent import attempt_times, main_stage, steps_lost, total
from jobs.slurm import answers as slurm
from jobs.spec.find import name_to_type
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage

HELD = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
"""States of a job that does not start before a person releases it."""


def run_status(spec: RunSpec, entries: list[Entry], job: Callable[[RunSpec, str], slurm.QueuedJob]) -> RunStatus:
    """One run's status. `job`: gives Slurm's answer for a job, by the run and the job's id."""
    jobs = tuple(_job_statuses(spec, entries, job)) if spec.profile.executor == "slurm" else ()
    last = _last_mark(entries)
    on_a_node = next((job.stage for job in jobs if job.state in slurm.ON_A_NODE), None)
    stage = on_a_node or (last.stage if last else None)
    began, saved = newest(entries, events.TrainingBegan), newest(entries, events.Saved)
    steps = [entry.step for entry in entries if isinstance(entry, events.Metrics | events.TrainingBegan)]
    losses = [entry.values["loss"] for entry in only(entries, events.Metrics) if "loss" in entry.values]
    state, attempts = _state(entries, jobs), attempt_times(entries)
    now = pace(entries, last.stage) if last and state == "running" else Pace(None, None, None)
    is_evaluation = last is not None and last.stage == "evaluate"
    return RunStatus(
        name=spec.name,
        stage=stage or "",
        state=state,
        submitted_at=spec.submitted_at,
        step=steps[-1] if steps else None,
        target_step=began.target_step if began else None,
        records=now.done if is_evaluation else None,
        target_records=now.target if is_evaluation else None,
        eta_seconds=now.seconds_left,
        is_starting=state == "running" and _is_starting(spec, entries, stage, last),
        loss=losses[-1] if losses else None,
        attempt=_attempt(entries, main_stage(attempts)),
        saved_at=saved.time if saved else None,
        goodput=total(attempts, main_stage(attempts)).goodput,
        steps_lost=steps_lost(attempts),
        message="" if state == "finished" else _message(entries, jobs, state),
        to_go_on=f"regrow resume {name_to_type(spec)}" if state in STOPPED else "",
        jobs=jobs,
        attempts=tuple(attempts),
    )


def newest_jobs(entries: list[Entry], stage: Stage) -> list[str]:
    """The newest job of each part of a stage."""
    return list(
        {part: job_id for found in current(entries, stage) for job_id, part in found.job_parts.items()}.values()
    )


def _job_statuses(
    spec: RunSpec, entries: list[Entry], job: Callable[[RunSpec, str], slurm.QueuedJob]
) -> Iterator[JobStatus]:
    finished = stages_finished(spec, entries)
    for stage in spec.stages:
        if job_ids := newest_jobs(entries, stage):
            jobs = [job(spec, job_id) for job_id in job_ids]
            if stage in finished:  # Slurm may not know it, or may call it PREEMPTED
                jobs = [job if job.state in slurm.ACTIVE_STATES else slurm.QueuedJob("COMPLETED", "") for job in jobs]
            started = sum(entry.stage == stage for entry in only(entries, events.StageStarted))
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
"""The array task with the highest value gives the array's state: running, waiting, failed; completed if all are completed."""


def ended_status(entries: list[Entry]) -> str | None:
    """How the run has ended since it was last submitted or resumed, by its journal; None: it has not ended."""
    since = _since_typed(entries)
    endings = [entry for entry in since if isinstance(entry, events.RunEnded | events.StageFailed)]
    if newest(since, events.RunEnded):
        match endings[-1]:
            case events.RunEnded(status="FINISHED"):
                return "finished"
            case events.RunEnded(status="KILLED"):
                return "cancelled"
            case _:  # a report that fails has already written `run_ended`
                return "failed"
    return "cancelled" if newest(since, events.CancelRequested) else None


def _state(entries: list[Entry], jobs: tuple[JobStatus, ...]) -> str:
    active = [job.state for job in jobs if job.state in slurm.ACTIVE_STATES]
    if active:
        return "running" if any(state not in WAITING for state in active) else "waiting"
    since = _since_typed(entries)
    has_ended, has_started = newest(since, events.RunEnded) is not None, newest(since, events.StageStarted) is not None
    if any(job.state == slurm.NO_ANSWER for job in jobs) and not has_ended:
        return "unknown"
    foreground = newest(since, events.Foreground)
    if foreground and not _has_died(foreground) and not has_ended:
        return "running" if has_started else "waiting"
    if ended := ended_status(entries):
        return ended
    if newest(since, events.StageFailed):
        return "failed"
    if jobs or (foreground and _has_died(foreground)):
        return "lost"
    return "running" if has_started else "waiting"


def _since_typed(entries: list[Entry]) -> list[Entry]:
    typed = [index for index, entry in enumerate(entries) if is_typed(entry)]
    return entries[typed[-1] :] if typed else entries


def _has_died(foreground: events.Foreground) -> bool:
    """Whether the command that ran the stages on this machine has ended."""
    return foreground.host == os.uname().nodename and not Path(f"/proc/{foreground.pid}").exists()


_BEGINNINGS: dict[Stage, type[Entry]] = {"train": events.TrainingBegan, "evaluate": events.PartBegan}
"""The event that a stage writes when it has loaded everything. The other stages load nothing."""
Mark = events.StageStarted | events.StageFinished | events.StageFailed | events.Left
"""The events that show how a stage stands."""


def _last_mark(entries: list[Entry]) -> Mark | None:
    return next((entry for entry in reversed(entries) if isinstance(entry, Mark)), None)


def _is_starting(spec: RunSpec, entries: list[Entry], stage: Stage | None, last: Mark | None) -> bool:
    """Whether the stage has a node but has not begun its real work; for an array: whether no part has begun."""
    if last is None or last.stage != stage:
        return True  # its process has not written an event yet
    if not isinstance(last, events.StageStarted) or stage not in _BEGINNINGS:
        return False
    began = [entry.attempt_name for entry in only(entries, _BEGINNINGS[stage])]
    return not began if spec.parts(stage) > 1 else last.attempt_name not in began


def _attempt(entries: list[Entry], stage: Stage) -> int:
    parts = Counter(entry.part for entry in only(entries, events.StageStarted) if entry.stage == stage)
    return max(parts.values(), default=0)


def _message(entries: list[Entry], jobs: Sequence[JobStatus], state: str) -> str:
    """The last event; for a waiting run, also why and until when it waits."""
    if held := next((job for job in jobs if _is_held(job)), None):
        why = f" ({held.reason})" if held.reason else ""
        return f"Slurm holds {held.stage}{why}; `scontrol release {held.job_id}` lets it start"
    pending = next((job for job in jobs if job.state == "PENDING" and job.reason != "Dependency"), None)
    waits = _waits(pending) if pending and state == "waiting" else ""
    return "; ".join(filter(None, [_happened(entries), waits]))


def _is_held(job: JobStatus) -> bool:
    """Whether a job waits until a person releases it, whatever the cluster does."""
    return job.state in HELD or (job.state == "PENDING" and "held" in job.reason.lower())


def _waits(job: JobStatus) -> str:
    start = job.start_time and job.start_time - time.time()
    expected = f", expected to start in {duration(start)}" if start and start > 0 else ""
    reason = f" ({job.reason})" if job.reason else ""
    return f"{job.stage} is pending{reason}{expected}"


_WORDS: Mapping[events.Cause, str] = {
    "finished": "has done its work",
    "timed_out": "was near its time limit",
    "expired": "reached its time limit",
    "crashed": "crashed",
    "not_started": "could not be started by Slurm",
    "unsaved": "could not write a checkpoint",
    "config": "met an error in the config",
    "unknown": "got a signal that Slurm does not explain",
}
"""What happened to a stage that left, for the causes that do not read well after `was`."""


def _words(cause: events.Cause) -> str:
    return _WORDS.get(cause, f"was {cause}")


def _happened(entries: list[Entry]) -> str:
    last = _last_mark(entries)
    if (told := newest(entries, events.StopRequested)) and last and told.order >= last.order:
        return f"{last.stage} {_words(told.cause)}: it saves its work and leaves"
    match last:
        case events.StageFailed() as failed:
            return failed.message
        case events.Left() as left:
            where = {"evaluate": "after {} records", "train": "at step {}"}.get(left.stage, "")
            return " ".join(
                filter(None, [f"{left.stage} {_words(left.cause)}", where.format(left.step) if left.step else ""])
            )
        case _:
            return ""
