"""Facts about a site's Slurm; read at submit and stored in run.json."""

import re

from jobs.spec.stages import Stage
from jobs.spec.strict import Strict


class PartitionFacts(Strict):
    """The facts about a partition, from `scontrol show partition`."""

    preempt_mode: str
    """REQUEUE, CANCEL, SUSPEND or OFF."""
    grace_seconds: int
    max_minutes: int | None
    """MaxTime; None: no limit."""


class SiteFacts(Strict):
    """The facts that decide who requeues a job, and what fits into its grace."""

    version: str
    user_signal: bool
    """Whether a preempted job first gets its --signal (preempt_send_user_signal), and not only TERM."""
    kill_wait_seconds: int
    """Seconds from TERM to KILL."""
    job_requeue: bool
    cred_expire_seconds: int
    """A requeued job waits one second longer than this before it can start."""
    max_array_size: int
    accounting: bool
    partitions: dict[Stage, PartitionFacts]
    """The partition of each stage, without the stages whose partition is unknown."""

    @property
    def release(self) -> tuple[int, int]:
        """Slurm's version: year and month."""
        year, month = re.findall(r"\d+", self.version)[:2]
        return int(year), int(month)

    def requeues(self, stage: Stage) -> bool:
        """Whether Slurm requeues a preempted job of this stage."""
        partition = self.partitions.get(stage)
        return partition is not None and partition.preempt_mode == "REQUEUE"

    def preempts(self, stage: Stage) -> bool:
        """Whether a job of this stage may be preempted."""
        partition = self.partitions.get(stage)
        return partition is None or partition.preempt_mode != "OFF"

    @property
    def leaving_is_preemption(self) -> bool:
        """Whether a job that leaves in its grace period counts as preempted, whatever its exit code.

        Slurm then requeues it, or ends it as PREEMPTED. Before 24.05 it was COMPLETED or FAILED, by its exit code.
        """
        return self.release >= (24, 5)
