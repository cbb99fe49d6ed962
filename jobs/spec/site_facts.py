"""Facts about a site's Slurm; read at submit and stored in run.json."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from jobs.spec.stages import Stage
from jobs.spec.strict import Strict


class QosFacts(Strict):
    """The facts about a QOS, from `sacctmgr show qos`."""

    preempt_mode: str
    """As in `PartitionFacts`."""
    grace_seconds: int


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
    partitions: dict[Stage, dict[str, PartitionFacts]]
    """For each stage, the partitions that its job may get; none: they are unknown."""
    expedited_requeue: bool = False
    """SlurmctldParameters=enable_expedited_requeue: with `--requeue=expedite`, a requeued job starts at once."""
    qos: dict[str, QosFacts] = Field(default={})
    """Where PreemptType is preempt/qos: every QOS. Then the job's QOS decides about its preemption, not its partition."""

    @field_validator("partitions", mode="before")
    @classmethod
    def _one_without_a_name(cls, value: Any) -> Any:
        """Earlier versions have stored one partition for each stage, without its name."""
        if not isinstance(value, Mapping):
            return value
        return {stage: {"": facts} if "preempt_mode" in facts else facts for stage, facts in value.items()}

    @property
    def release(self) -> tuple[int, int]:
        """Slurm's version: year and month."""
        year, month = re.findall(r"\d+", self.version)[:2]
        return int(year), int(month)

    @property
    def leaving_is_preemption(self) -> bool:
        """Whether a job that leaves in its grace period counts as preempted, whatever its exit code.

        Slurm then requeues it, or ends it as PREEMPTED. Before 24.05 it was COMPLETED or FAILED, by its exit code.
        """
        return self.release >= (24, 5)

    def deciding(self, stage: Stage, partition: str = "", qos: str = "") -> list[PartitionFacts | QosFacts]:
        """The facts that decide about the preemption of a stage's job: one, or several if it is unknown which one counts.

        Args:
            partition: the job's partition; empty: unknown. A job that names several gets one of them.
            qos: the job's QOS.
        """
        if self.qos:
            return [self.qos[qos]] if qos in self.qos else list(self.qos.values())
        named = self.partitions.get(stage, {})
        return [named[partition]] if partition in named else list(named.values())

    def requeues(self, stage: Stage, partition: str = "", qos: str = "") -> bool:
        """Whether Slurm certainly requeues a preempted job of this stage. Arguments as for `deciding`."""
        found = self.deciding(stage, partition, qos)
        return bool(found) and all(facts.preempt_mode == "REQUEUE" for facts in found)

    def grace_seconds(self, stage: Stage, partition: str = "", qos: str = "") -> int:
        """The longest grace period that a job of this stage may have. Arguments as for `deciding`."""
        return max((facts.grace_seconds for facts in self.deciding(stage, partition, qos)), default=0)

    def preempts(self, stage: Stage, partition: str = "", qos: str = "") -> bool:
        """Whether a job of this stage may be preempted. Arguments as for `deciding`."""
        found = self.deciding(stage, partition, qos)
        return not found or any(facts.preempt_mode != "OFF" for facts in found)
