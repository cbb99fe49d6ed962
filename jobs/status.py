"""What the runs under a runs_root are doing: their journals say what was, Slurm what is."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from callbacks.journal import Entry, read_journal
from jobs import slurm
from jobs.accounting import attempt_times, main_stage, steps_lost, total
from jobs.config_error import ConfigError
from jobs.paths import RunPaths
from jobs.spec import RunSpec
from jobs.stages import Stage
from jobs.submissions import current


@dataclass(frozen=True)
class JobStatus:
    """The newest job of a stage, or its array."""

    stage: Stage
    job_id: str
    state: str
    """As Slurm says, verbatim; UNKNOWN: neither the controller nor the accounting has it any more. Of an array: the state
    of the elements that are still running, else waiting, else failed."""
    array_tasks: dict[str, int]
    """How many elements of the array are in which state; empty: it is no array."""
    reason: str
    """Why it is pending; empty otherwise."""
    attempts: int
    """How often the stage was started, over all its jobs."""


@dataclass(frozen=True)
class RunStatus:
    """One run."""

    name: str
    stage: str
    """The last stage that started; empty: none yet."""
    state: str
    """waiting, running, finished, failed, cancelled; lost: no end was written, and no job is left; unreadable."""
    step: int | None
    target_step: int | None
    goodput: float | None
    """Productive share of the time that the training was allocated; of an evaluation, the generation. None: nothing yet."""
    steps_lost: int
    """Optimizer steps that were done again."""
    message: str
    """Why it failed, or what happened last; empty otherwise."""
    jobs: tuple[JobStatus, ...]
    """Empty for a run on this machine."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def run_statuses(runs_root: Path) -> list[RunStatus]:
    """All runs, the newest first."""
    run_dirs = [path.parent for path in runs_root.glob("*/run.json")]
    newest_first = sorted(run_dirs, key=lambda run_dir: RunPaths(run_dir).run_json.stat().st_mtime, reverse=True)
    queues: dict[str | None, Mapping[str, slurm.QueuedJob]] = {}
    return [_status_of(run_dir, queues) for run_dir in newest_first]


def _status_of(run_dir: Path, queues: dict[str | None, Mapping[str, slurm.QueuedJob]]) -> RunStatus:
    try:
        return run_status(RunSpec.load(run_dir), queues)
    except ConfigError as error:  # one run that cannot be read hides no other
        return RunStatus(run_dir.name, "", "unreadable", None, None, None, 0, str(error), ())


def run_status(spec: RunSpec, queues: dict[str | None, Mapping[str, slurm.QueuedJob]]) -> RunStatus:
    """One run's status. `queues`: what each cluster's controller has answered already; filled in."""
    entries = read_journal(spec.paths.journal)
    jobs = _job_statuses(spec, entries, queues) if spec.profile.executor == "slurm" else ()
    last = _last(entries, "stage_started", "stage_finished", "stage_failed", "left")
    step, target = _last(entries, "metrics"), _last(entries, "training_began")
    state, attempts = _state(entries, jobs), attempt_times(entries)
    return RunStatus(
        name=spec.name,
        stage=last["stage"] if last else "",
        state=state,
        step=step["step"] if step else None,
        target_step=target["target_step"] if target else None,
        goodput=total(attempts, main_stage(attempts)).goodput,
        steps_lost=steps_lost(attempts),
        message="" if state == "finished" else _message(entries),
        jobs=jobs,
    )


def _job_statuses(
    spec: RunSpec, entries: list[Entry], queues: dict[str | None, Mapping[str, slurm.QueuedJob]]
) -> tuple[JobStatus, ...]:
    of_stage = {stage: _newest(entries, stage) for stage in spec.stages}
    conf = spec.profile.slurm_conf
    slurm.use_cluster(conf)
    if conf not in queues:
        queues[conf] = slurm.jobs_of_user() or {}
    queue = queues[conf]
    mine = [job_id for job_ids in of_stage.values() for job_id in job_ids]
    states = slurm.accounted_states([job_id for job_id in mine if job_id not in queue])
    states |= {job_id: queue[job_id].state for job_id in mine if job_id in queue}
    return tuple(_job_status(stage, ids, states, queue, entries) for stage, ids in of_stage.items() if ids)


def _newest(entries: list[Entry], stage: Stage) -> list[str]:
    """The jobs that do the stage's parts, of each part the newest."""
    newest = {part: job_id for found in current(entries, stage) for job_id, part in found.job_parts.items()}
    return list(newest.values())


def _job_status(
    stage: Stage,
    job_ids: list[str],
    states: Mapping[str, str],
    queue: Mapping[str, slurm.QueuedJob],
    entries: list[Entry],
) -> JobStatus:
    found = [states.get(job_id, "UNKNOWN") for job_id in job_ids]
    foremost = max(range(len(found)), key=lambda index: _LIVELINESS.get(found[index], 1))
    return JobStatus(
        stage,
        job_ids[0].partition("_")[0],
        found[foremost],
        dict(Counter(found)) if len(job_ids) > 1 else {},
        queue[job_ids[foremost]].reason if job_ids[foremost] in queue else "",
        sum(entry["event"] == "stage_started" and entry["stage"] == stage for entry in entries),
    )


_LIVELINESS = {state: 3 if state == "PENDING" else 2 for state in slurm.ACTIVE_STATES} | {"RUNNING": 4, "COMPLETED": 0}
"""Of an array's elements, the one with the highest says how the array is: running, waiting, failed; completed if all are."""


def _state(entries: list[Entry], jobs: tuple[JobStatus, ...]) -> str:
    """The run's state since it was last submitted or resumed."""
    typed = [
        index for index, entry in enumerate(entries) if entry["event"] == "submitted" and "successor_of" not in entry
    ]
    since = entries[typed[-1] :] if typed else entries
    if any(job.state in slurm.ACTIVE_STATES for job in jobs):
        return (
            "running" if any(job.state not in ("PENDING", "REQUEUED") for job in jobs if _is_active(job)) else "waiting"
        )
    if ended := _last(since, "run_ended"):
        return {"FINISHED": "finished", "KILLED": "cancelled"}.get(ended["status"], "failed")
    if _last(since, "cancel_requested"):
        return "cancelled"
    if _last(since, "stage_failed"):
        return "failed"
    if jobs:
        return "lost"
    return "running" if _last(since, "stage_started") else "waiting"


def _is_active(job: JobStatus) -> bool:
    return job.state in slurm.ACTIVE_STATES


def _message(entries: list[Entry]) -> str:
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
