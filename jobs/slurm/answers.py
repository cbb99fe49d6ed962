"""What Slurm's commands answer, parsed: a job's record, times and limits, errors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

ACTIVE_STATES = frozenset({"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "STOPPED",
                           "RESIZING", "SIGNALING", "STAGE_OUT", "SPECIAL_EXIT", "REQUEUE_FED", "RESV_DEL_HOLD"})  # fmt: skip
"""States of a job that may still run, verbatim; in every other state the job has ended."""
SILENT = re.compile(
    "Unable to contact slurm controller|Socket timed out|Unexpected message received|Zero Bytes were transmitted|"
    "Connection (refused|timed out|reset)|Unable to connect|temporarily unable to accept job|standby mode|"
    "Resource temporarily unavailable|Insane message length|Communication (connection|shutdown)|Message (receive|send) failure",
    re.IGNORECASE,
)
"""What Slurm's commands say if the controller is down, busy or stopped. After a time-out, it may still carry out the request."""
NO_ANSWER = "NO ANSWER"
"""Shown in place of a job's state if Slurm does not answer."""
ON_A_NODE = frozenset({"RUNNING", "CONFIGURING", "SIGNALING", "RESIZING", "SUSPENDED", "STOPPED"})
"""States of a job on a node. While Slurm sends a signal, the job is SIGNALING for a moment, not RUNNING."""


@dataclass(frozen=True)
class JobRecord:
    """The answer of `scontrol show job` about a job."""

    state: str
    restarts: int
    requeueable: bool
    preempt_time: float | None
    """When Slurm chose the job for preemption, seconds since the epoch; None: it did not. Set again at the end of the grace."""
    end_time: float | None
    """When the job ends or ended, seconds since the epoch; during a grace period, the end of the grace."""
    partition: str = ""
    """The partition that the job runs in; of a waiting job, all that it may get."""
    qos: str = ""
    limit_end: float | None = None
    """When the time limit is reached, seconds since the epoch; None: the job has no limit, or does not run."""

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended for Slurm; its processes may still have some seconds left."""
        return self.state not in ON_A_NODE


@dataclass(frozen=True)
class QueuedJob:
    """A job in the list of `squeue`."""

    state: str
    reason: str
    """Why the job is pending; empty if it is not."""
    start_time: float | None = None
    """When the job started, or will start by Slurm's estimate, seconds since the epoch; None: unknown."""
    name: str = ""
    comment: str = ""


def parse_job_record(text: str) -> JobRecord:
    fields = fields_of(text)
    return JobRecord(
        state=fields["JobState"],
        restarts=int(fields.get("Restarts", "0")),
        requeueable=fields.get("Requeue", "1") == "1",
        preempt_time=time_of(fields.get("PreemptTime", "None")),
        end_time=time_of(fields.get("EndTime", "")),
        limit_end=_limit_end(fields),
        partition=fields.get("Partition", ""),
        qos=fields.get("QOS", ""),
    )


def time_of(text: str) -> float | None:
    return float(text) if text.isdigit() else None


def _limit_end(fields: Mapping[str, str]) -> float | None:
    start, limit = time_of(fields.get("StartTime", "")), minutes(fields.get("TimeLimit", "UNLIMITED"))
    return start + 60 * limit if start and limit else None


def fields_of(line: str) -> dict[str, str]:
    """The fields of a line of `scontrol --oneliner`. A key counts where it first stands: comments and paths, in which users
    may write anything, stand behind the fields that Slurm itself writes."""
    found: dict[str, str] = {}
    for key, is_field, value in (word.partition("=") for word in line.split()):
        if is_field:
            found.setdefault(key, value)
    return found


def minutes(limit: str) -> int | None:
    """A time limit such as `1-00:00:00` in minutes; None: no limit, or one that is not a time (UNLIMITED, Partition_Limit)."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):\d+", limit)
    return 1440 * int(found[1] or 0) + 60 * int(found[2]) + int(found[3]) if found else None


def last_line(text: str) -> str:
    """The last line, without `scontrol: fatal:`. The lines before it say in Slurm's own words what it tried."""
    line = (text.strip().splitlines() or ["no reason given"])[-1]
    return re.sub(r"^(\w+: )?(error|fatal): ", "", line)
