"""The only caller of Slurm's commands outside submitit: typed answers, where None means that nobody knows."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ANSWER_SECONDS = 60
"""A controller that is busy, or away for a moment, is waited for so long."""
ACTIVE_STATES = frozenset({"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "STOPPED",
                           "RESIZING", "SIGNALING", "STAGE_OUT", "SPECIAL_EXIT", "REQUEUE_FED", "RESV_DEL_HOLD"})  # fmt: skip
"""States of a job that may still run, verbatim; in every other state it has ended."""

MOST_AT_ONCE = 1000
"""Job ids in one question: a command line has its limit."""
NO_ANSWER = "NO ANSWER"
"""In place of a job's state, where Slurm does not answer."""
ON_A_NODE = frozenset({"RUNNING", "CONFIGURING", "SIGNALING", "RESIZING", "SUSPENDED", "STOPPED"})
"""States of a job that has not ended: while Slurm sends a signal it is SIGNALING for a moment, not RUNNING."""


@dataclass(frozen=True)
class JobRecord:
    """What `scontrol show job` says of a job."""

    state: str
    restarts: int
    requeueable: bool
    preempt_time: float | None
    """When it was chosen for preemption, seconds since the epoch; None: it was not. At the end of the grace, set anew."""
    end_time: float | None
    """When it ends or ended, seconds since the epoch; during a grace period, the end of the grace."""
    limit_end: float | None = None
    """When its time limit is reached; None: it has none, or does not run."""

    @property
    def has_ended(self) -> bool:
        """It is over for Slurm, though its processes may have some seconds left."""
        return self.state not in ON_A_NODE


@dataclass(frozen=True)
class QueuedJob:
    """A job as `squeue` lists it."""

    state: str
    reason: str
    """Why it is pending; empty otherwise."""
    start_time: float | None = None
    """When it started, or will as Slurm estimates, seconds since the epoch; None: Slurm has no idea."""


def is_reachable() -> bool:
    """Whether Slurm's commands are on this machine."""
    return shutil.which("scontrol") is not None


def use_cluster(slurm_conf: str | None) -> None:
    """Point every Slurm command of this process, submitit's too, to the cluster of this configuration."""
    if slurm_conf:
        os.environ["SLURM_CONF"] = slurm_conf


def job_record(job_id: str) -> JobRecord | None:
    """The record of a job, for as long as the controller keeps it (MinJobAge); None: unknown."""
    answer = ask("scontrol", "show", "job", "--oneliner", job_id)
    if answer is None or answer.returncode or "JobState=" not in answer.stdout:
        return None
    return parse_job_record(answer.stdout)


def parse_job_record(text: str) -> JobRecord:
    fields = fields_of(text)
    return JobRecord(
        state=fields["JobState"],
        restarts=int(fields.get("Restarts", "0")),
        requeueable=fields.get("Requeue", "1") == "1",
        preempt_time=_time(fields.get("PreemptTime", "None")),
        end_time=_time(fields.get("EndTime", "")),
        limit_end=_limit_end(fields),
    )


def _time(text: str) -> float | None:
    return float(text) if text.isdigit() else None


def _limit_end(fields: Mapping[str, str]) -> float | None:
    start, limit = _time(fields.get("StartTime", "")), minutes(fields.get("TimeLimit", "UNLIMITED"))
    return start + 60 * limit if start and limit else None


def jobs_of_user() -> dict[str, QueuedJob] | None:
    """All jobs of this user that the controller remembers, ended ones too; None: it does not answer."""
    answer = ask("squeue", "--me", "--noheader", "--array", "--states=all", "--format=%i|%T|%S|%r")
    if answer is None or answer.returncode:
        return None
    rows = (line.split("|", 3) for line in answer.stdout.splitlines())
    return {
        job_id: QueuedJob(state, "" if reason == "None" else reason, _time(start))
        for job_id, state, start, reason in rows
    }


def accounted_states(job_ids: Sequence[str]) -> dict[str, str]:
    """States of jobs that the controller has forgotten, from the accounting; what is not there is left out."""
    if len(job_ids) > MOST_AT_ONCE:
        return accounted_states(job_ids[:MOST_AT_ONCE]) | accounted_states(job_ids[MOST_AT_ONCE:])
    if not job_ids:
        return {}
    answer = ask(
        "sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={','.join(job_ids)}", "--format=JobID,State"
    )
    if answer is None or answer.returncode:
        return {}
    rows = (line.split("|") for line in answer.stdout.splitlines())
    return {job_id: state.split()[0] for job_id, state in rows}  # "CANCELLED by 1000"


def requeue(job_id: str) -> str:
    """Put a running job back into the queue; why it could not be done, empty if it was or if Slurm has already."""
    answer = ask("scontrol", "requeue", job_id)
    if answer is None:
        return "scontrol is not on this machine, or did not answer"
    return "" if answer.returncode == 0 or "pending" in answer.stderr.lower() else answer.stderr.strip()


def set_dependency(job_id: str, expression: str) -> str:
    """Let a pending job wait for another one than before; why it could not be done, empty if it was."""
    answer = ask("scontrol", "update", f"JobId={job_id}", f"Dependency={expression}")
    if answer is None:
        return "scontrol is not on this machine, or did not answer"
    return answer.stderr.strip() if answer.returncode else ""


def cancel(job_ids: Iterable[str]) -> str:
    """Cancel jobs; what Slurm said against it, empty if nothing. Jobs that have ended are no error."""
    answer = ask("scancel", *job_ids)
    if answer is None:
        return "scancel is not on this machine, or did not answer"
    return answer.stderr.strip() if answer.returncode else ""


def why_not() -> str:
    """Why Slurm does not answer, as far as that can be seen from here."""
    conf = os.environ.get("SLURM_CONF")
    if conf and not Path(conf).exists():
        return f"there is no {conf}; for --cluster dev, type: regrow dev-cluster up"
    return "scontrol is not on this machine, or did not answer"


def ask(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Run one of Slurm's commands; None: it is not there, or its answer took too long."""
    if "SLURM_CONF" in os.environ and not Path(os.environ["SLURM_CONF"]).exists():
        return None  # Slurm would look for it in the network, for minutes
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWER_SECONDS,
            env={**os.environ, "SLURM_TIME_FORMAT": "%s"},  # times as seconds since the epoch
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None


def fields_of(line: str) -> dict[str, str]:
    """Of a line of `scontrol --oneliner`."""
    return {key: value for key, _, value in (word.partition("=") for word in line.split())}


def minutes(limit: str) -> int | None:
    """`1-00:00:00` as minutes; None: no limit."""
    if limit in ("UNLIMITED", "INFINITE"):
        return None
    days, _, clock = limit.rpartition("-")
    hours, minutes, _ = clock.split(":")
    return 1440 * int(days or 0) + 60 * int(hours) + int(minutes)
