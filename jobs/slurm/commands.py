"""The only caller of Slurm's commands outside submitit. Answers are typed; None means unknown."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.slurm.answers import SILENT, JobRecord, QueuedJob, last_line, parse_job_record, time_of
from jobs.spec.errors import NoAnswer
from jobs.spec.profile import ClusterProfile

ANSWER_SECONDS = 60
"""How long to wait for a controller that is busy or away for a moment."""
FOR_PEOPLE = ("SBATCH_", "SQUEUE_", "SACCT_", "SCONTROL_", "SCANCEL_", "SINFO_", "SLURM_CLUSTERS", "SLURM_BITSTR_LEN",
              "SLURM_JSON", "SLURM_YAML", "SLURM_DEBUG_FLAGS", "SLURM_TIME_FORMAT", "COLUMNS")  # fmt: skip
"""Names, or beginnings of names, of environment variables that change what Slurm's commands show or which jobs they mean."""
MOST_AT_ONCE = 1000
"""The most job ids in one command: the length of a command line is limited."""


def _without_display_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the variables by which people choose what Slurm's commands show, and which jobs they mean."""
    return {key: value for key, value in environment.items() if not key.startswith(FOR_PEOPLE)}


@dataclass(frozen=True)
class SlurmCluster:
    """One cluster, asked through Slurm's commands."""

    conf: str | None = None
    """Slurm's configuration (SLURM_CONF). None: that of this process's environment, or else of this machine."""
    bin: str | None = None
    """The folder of Slurm's commands. None: those on the PATH."""
    clusters: str | None = None
    """The cluster's name in the accounting. None: the cluster of the configuration."""

    @classmethod
    def of(cls, profile: ClusterProfile) -> "SlurmCluster":
        """The cluster of a profile, as the machine sees it where `regrow` is typed."""
        is_here = profile.slurm_clusters == os.environ.get("SLURM_CLUSTER_NAME")  # in a job of that cluster
        return cls(profile.slurm_conf, profile.slurm_bin, None if is_here else profile.slurm_clusters)

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs in its environment to use this cluster."""
        conf = {"SLURM_CONF": self.conf} if self.conf else {}
        if self.clusters:
            conf["SLURM_CLUSTERS"] = self.clusters
        return conf | ({"PATH": f"{self.bin}:{os.environ.get('PATH', os.defpath)}"} if self.bin else {})

    @property
    def _conf(self) -> str | None:
        return self.conf or os.environ.get("SLURM_CONF")

    def _is_conf_missing(self) -> bool:
        return self._conf is not None and not Path(self._conf).exists()

    def is_reachable(self) -> bool:
        """Whether Slurm's commands are on this machine."""
        return shutil.which("scontrol", path=self.environment.get("PATH")) is not None

    def job_record(self, job_id: str) -> JobRecord | None:
        """The record of a job; None: there is none. The controller keeps it for MinJobAge after the job's end.

        Raises:
            NoAnswer: the controller does not answer.
        """
        answer = self.ask("scontrol", "show", "job", "--oneliner", job_id)
        if answer is None or answer.returncode or "JobState=" not in answer.stdout:
            return None
        return parse_job_record(answer.stdout)

    def jobs_of_user(self) -> dict[str, QueuedJob] | None:
        """All jobs of this user that the controller remembers, ended ones included; None: Slurm cannot be asked here.

        Raises:
            NoAnswer: the controller does not answer.
        """
        answer = self.ask("squeue", "--me", "--noheader", "--array", "--states=all", "--format=%i|%T|%S|%r|%j|%k")
        if answer is None or answer.returncode:
            return None
        jobs: dict[str, QueuedJob] = {}
        for line in answer.stdout.splitlines():
            match line.split("|", 5):
                case [job_id, state, start, reason, name, comment]:
                    jobs[job_id] = QueuedJob(state, "" if reason == "None" else reason, time_of(start), name, comment)
                case _:
                    pass  # the rest of a comment with a line break
        return jobs

    def job_with(self, token: str) -> str | None:
        """The id of the newest job (or array) whose comment has this token; None: there is none.

        Raises:
            NoAnswer: the controller does not answer.
        """
        answer = self.ask("squeue", "--me", "--noheader", "--states=all", "--format=%A|%k")
        if answer is None or answer.returncode:
            raise NoAnswer(f"squeue: {answer.stderr.strip() if answer else self.why_not()}")
        rows = (line.split("|", 1) for line in answer.stdout.splitlines())
        found = [job_id for job_id, comment in rows if token in comment.split()]
        return max(found, key=int, default=None)

    def accounted_states(self, job_ids: Sequence[str]) -> dict[str, str]:
        """States of jobs from the accounting, for jobs that the controller has forgotten; without those that it does not know."""
        if len(job_ids) > MOST_AT_ONCE:
            return self.accounted_states(job_ids[:MOST_AT_ONCE]) | self.accounted_states(job_ids[MOST_AT_ONCE:])
        if not job_ids:
            return {}
        try:
            answer = self.ask(
                "sacct",
                "--noheader",
                "--parsable2",
                "--allocations",
                *([f"--clusters={self.clusters}"] if self.clusters else []),
                f"--jobs={','.join(job_ids)}",
                "--format=JobID,State",
            )
        except NoAnswer:
            return {}
        if answer is None or answer.returncode:
            return {}
        rows = (line.split("|") for line in answer.stdout.splitlines())
        return {job_id: state.split()[0] for job_id, state in rows}  # "CANCELLED by 1000"

    def requeue(self, job_id: str) -> str:
        """Requeue a running job. Return why that failed; empty: it worked, or Slurm has requeued the job already.

        Raises:
            NoAnswer: the controller does not answer. This holds for every request that changes something.
        """
        answer = self.ask("scontrol", "requeue", job_id)
        if answer is None:
            return "scontrol is not on this machine"
        return "" if answer.returncode == 0 or "pending" in answer.stderr.lower() else answer.stderr.strip()

    def set_dependency(self, job_id: str, expression: str) -> str:
        """Change the dependency of a pending job; empty: it waits for no job. Return why that failed; empty: it worked."""
        return self._update(job_id, f"Dependency={expression}")

    def forbid_requeue(self, job_id: str) -> str:
        """Let Slurm not requeue a job any more. Return why that failed; empty: it worked."""
        return self._update(job_id, "Requeue=0")

    def _update(self, job_id: str, assignment: str) -> str:
        answer = self.ask("scontrol", "update", f"JobId={job_id}", assignment)
        if answer is None:
            return "scontrol is not on this machine"
        return answer.stderr.strip() if answer.returncode else ""

    def cancel(self, job_ids: Iterable[str]) -> str:
        """Cancel jobs; jobs that have ended are no error. Return Slurm's error message; empty: it worked."""
        answer = self.ask("scancel", *job_ids)
        if answer is None:
            return "scancel is not on this machine"
        return answer.stderr.strip() if answer.returncode else ""

    def why_not(self) -> str:
        """Why Slurm does not answer, as far as this machine can tell."""
        if self._is_conf_missing():
            return f"{self._conf} does not exist; `regrow dev-cluster up` starts the cluster of `--cluster dev`"
        return "scontrol is not on this machine"

    def ask(self, *command: str) -> subprocess.CompletedProcess[str] | None:
        """Run one of Slurm's commands, with times as seconds since the epoch; None: the command cannot be run here.

        Raises:
            NoAnswer: the controller does not answer.
        """
        if self._is_conf_missing():
            return None  # Slurm would search the network for it, for minutes
        try:
            answer = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",  # a comment may have any bytes
                check=False,
                timeout=ANSWER_SECONDS,
                env=_without_display_settings(os.environ) | self.environment | {"SLURM_TIME_FORMAT": "%s"},
            )
        except (FileNotFoundError, PermissionError):
            return None
        except subprocess.TimeoutExpired:
            raise NoAnswer(f"{command[0]} has given no answer for {ANSWER_SECONDS} s") from None
        if answer.returncode and SILENT.search(answer.stderr):
            raise NoAnswer(f"{command[0]}: {last_line(answer.stderr)}")
        return answer
