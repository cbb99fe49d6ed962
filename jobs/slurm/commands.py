"""The only caller of Slurm's commands outside submitit. Answers are typed; None means unknown."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ANSWER_SECONDS = 60
"""How long to wait for a controller that is busy or away for a moment."""
ACTIVE_STATES = frozenset({"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "STOPPED",
                           "RESIZING", "SIGNALING", "STAGE_OUT", "SPECIAL_EXIT", "REQUEUE_FED", "RESV_DEL_HOLD"})  # fmt: skip
"""States of a job that may still run, verbatim; in every other state the job has ended."""

MOST_AT_ONCE = 1000
"""The most job ids in one command: the length of a command line is limited."""
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


@dataclass(frozen=True)
class SlurmCluster:
    """One cluster, asked through Slurm's commands."""

    conf: str | None = None
    """Slurm's configuration (SLURM_CONF). None: that of this process's environment, or else of this machine."""

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs in its environment to use this cluster."""
        return {"SLURM_CONF": self.conf} if self.conf else {}

    @property
    def _conf(self) -> str | None:
        return self.conf or os.environ.get("SLURM_CONF")

    def _is_conf_missing(self) -> bool:
        return self._conf is not None and not Path(self._conf).exists()

    def is_reachable(self) -> bool:
        """Whether Slurm's commands are on this machine."""
        return shutil.which("scontrol") is not None

    def job_record(self, job_id: str) -> JobRecord | None:
        """The record of a job; None: unknown. The controller keeps it for MinJobAge after the job's end."""
        answer = self.ask("scontrol", "show", "job", "--oneliner", job_id)
        if answer is None or answer.returncode or "JobState=" not in answer.stdout:
            return None
        return parse_job_record(answer.stdout)

    def jobs_of_user(self) -> dict[str, QueuedJob] | None:
        """All jobs of this user that the controller remembers, ended ones included; None: it does not answer."""
        answer = self.ask("squeue", "--me", "--noheader", "--array", "--states=all", "--format=%i|%T|%S|%r")
        if answer is None or answer.returncode:
            return None
        rows = (line.split("|", 3) for line in answer.stdout.splitlines())
        return {
            job_id: QueuedJob(state, "" if reason == "None" else reason, _time(start))
            for job_id, state, start, reason in rows
        }

    def accounted_states(self, job_ids: Sequence[str]) -> dict[str, str]:
        """States of jobs from the accounting, for jobs that the controller has forgotten; without those that it does not know."""
        if len(job_ids) > MOST_AT_ONCE:
            return self.accounted_states(job_ids[:MOST_AT_ONCE]) | self.accounted_states(job_ids[MOST_AT_ONCE:])
        if not job_ids:
            return {}
        answer = self.ask(
            "sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={','.join(job_ids)}", "--format=JobID,State"
        )
        if answer is None or answer.returncode:
            return {}
        rows = (line.split("|") for line in answer.stdout.splitlines())
        return {job_id: state.split()[0] for job_id, state in rows}  # "CANCELLED by 1000"

    def requeue(self, job_id: str) -> str:
        """Requeue a running job. Return why that failed; empty: it worked, or Slurm has requeued the job already."""
        answer = self.ask("scontrol", "requeue", job_id)
        if answer is None:
            return "scontrol is not on this machine, or did not answer"
        return "" if answer.returncode == 0 or "pending" in answer.stderr.lower() else answer.stderr.strip()

    def set_dependency(self, job_id: str, expression: str) -> str:
        """Change the dependency of a pending job. Return why that failed; empty: it worked."""
        answer = self.ask("scontrol", "update", f"JobId={job_id}", f"Dependency={expression}")
        if answer is None:
            return "scontrol is not on this machine, or did not answer"
        return answer.stderr.strip() if answer.returncode else ""

    def cancel(self, job_ids: Iterable[str]) -> str:
        """Cancel jobs; jobs that have ended are no error. Return Slurm's error message; empty: it worked."""
        answer = self.ask("scancel", *job_ids)
        if answer is None:
            return "scancel is not on this machine, or did not answer"
        return answer.stderr.strip() if answer.returncode else ""

    def why_not(self) -> str:
        """Why Slurm does not answer, as far as this machine can tell."""
        if self._is_conf_missing():
            return f"{self._conf} does not exist; `regrow dev-cluster up` starts the cluster of `--cluster dev`"
        return "scontrol is not on this machine, or did not answer"

    def ask(self, *command: str) -> subprocess.CompletedProcess[str] | None:
        """Run one of Slurm's commands; None: the command does not exist, or its answer took too long."""
        if self._is_conf_missing():
            return None  # Slurm would search the network for it, for minutes
        try:
            return subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=ANSWER_SECONDS,
                env={**os.environ, **self.environment, "SLURM_TIME_FORMAT": "%s"},  # times as seconds since the epoch
            )
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return None


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


def fields_of(line: str) -> dict[str, str]:
    """The fields of a line of `scontrol --oneliner`."""
    return {key: value for key, _, value in (word.partition("=") for word in line.split())}


def minutes(limit: str) -> int | None:
    """A time limit such as `1-00:00:00` in minutes; None: no limit."""
    if limit in ("UNLIMITED", "INFINITE"):
        return None
    days, _, clock = limit.rpartition("-")
    hours, minutes, _ = clock.split(":")
    return 1440 * int(days or 0) + 60 * int(hours) + int(minutes)
