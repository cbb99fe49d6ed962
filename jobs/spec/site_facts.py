"""What a site's Slurm does with jobs: read at submit, stored in run.json."""

from jobs.spec.stages import Stage
from jobs.spec.strict import Strict


class PartitionFacts(Strict):
    """A partition, as `scontrol show partition` has it."""

    preempt_mode: str
    """REQUEUE, CANCEL, SUSPEND or OFF."""
    grace_seconds: int
    max_minutes: int | None
    """MaxTime; None: no limit."""


class SiteFacts(Strict):
    """The facts on which it depends who requeues a job, and what fits."""

    version: str
    user_signal: bool
    """A preempted job gets its --signal first (preempt_send_user_signal); otherwise TERM alone."""
    kill_wait_seconds: int
    """From TERM to KILL."""
    job_requeue: bool
    cred_expire_seconds: int
    """A requeued job waits one second longer than this."""
    max_array_size: int
    accounting: bool
    partitions: dict[Stage, PartitionFacts]
    """The partition of each stage; a stage whose partition is unknown is left out."""
