"""Facts about a site's Slurm; read at submit and stored in run.json."""

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
