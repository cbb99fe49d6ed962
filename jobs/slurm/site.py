"""A site's Slurm, as a login node sees it: configuration, partitions, nodes, and the answer to a job."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobs.slurm import answers as slurm
from jobs.slurm.commands import SlurmCluster
from jobs.spec.errors import ConfigError, NoAnswer
from jobs.spec.site_facts import PartitionFacts, QosFacts, SiteFacts
from jobs.spec.stages import Stage

AWAY = frozenset({"DOWN", "DRAIN", "FAIL", "MAINT"})
"""States and flags of a node that accepts no job."""


@dataclass(frozen=True)
class Partition:
    """A partition, and whether it is the default."""

    facts: PartitionFacts
    is_default: bool


@dataclass(frozen=True)
class Node:
    """A node, from `scontrol show node`."""

    name: str
    host: str
    partitions: tuple[str, ...]
    cpus: int
    memory_mb: int
    gpus: int
    is_up: bool
    """False: the node is down or drained, and accepts no job."""


@dataclass(frozen=True)
class SlurmSite:
    """A site's configuration and partitions, from `scontrol show`."""

    config: Mapping[str, str]
    partitions: dict[str, Partition]
    qos: dict[str, QosFacts] = field(default_factory=dict)
    """Every QOS, where the QOS decides about preemption (PreemptType=preempt/qos)."""

    @property
    def default_partition(self) -> str | None:
        return next((name for name, partition in self.partitions.items() if partition.is_default), None)

    def facts(self, partitions: Mapping[Stage, str | None]) -> SiteFacts:
        """The facts that are stored with a run. `partitions`: the partition of each stage; None: the site's default.

        Raises:
            ConfigError: a partition does not exist.
        """
        config = self.config
        user_signal = "send_user_signal" in config.get("SlurmctldParameters", "") + config.get("PreemptParameters", "")
        return SiteFacts(
            version=config["SLURM_VERSION"],
            user_signal=user_signal,
            kill_wait_seconds=self.kill_wait_seconds,
            job_requeue=config["JobRequeue"] == "1",
            cred_expire_seconds=_cred_expire(config.get("AuthInfo", "")),
            max_array_size=int(config["MaxArraySize"]),
            accounting=config["AccountingStorageType"].endswith("slurmdbd"),
            expedited_requeue="enable_expedited_requeue" in config.get("SlurmctldParameters", ""),
            partitions={
                stage: {name: self._partition_of(stage, name) for name in self.named(wanted)}
                for stage, wanted in partitions.items()
            },
            qos=self.qos,
        )

    @property
    def kill_wait_seconds(self) -> int:
        return _seconds(self.config["KillWait"])

    def preempting(self, partition: str | None, qos: str | None) -> Mapping[str, PartitionFacts | QosFacts]:
        """Where a job may be preempted, and how: the partitions that it names, or its QOS. Empty: this is not known."""
        if self.qos:
            return {qos or "normal": self.qos[qos or "normal"]} if (qos or "normal") in self.qos else {}
        named = [name for name in self.named(partition) if name in self.partitions]
        return {name: self.partitions[name].facts for name in named}

    def named(self, wanted: str | None) -> list[str]:
        """The partitions in `slurm_partition`, which may name several: `gpu,gpu-preempt`. None: the site's default, if any."""
        return (wanted or self.default_partition or "").split(",")

    def _partition_of(self, stage: Stage, name: str) -> PartitionFacts:
        if name not in self.partitions:
            known = ", ".join(sorted(self.partitions))
            raise ConfigError(f"{stage}.slurm_partition: {name or None}: no such partition; the site has {known}")
        return self.partitions[name].facts


def read_site(cluster: SlurmCluster) -> SlurmSite:
    """Read the site of this process's Slurm.

    Raises:
        ConfigError: this machine has no Slurm, or it does not answer.
    """
    try:
        answer = cluster.ask("scontrol", "show", "config")
    except NoAnswer as error:
        raise NoAnswer(f"Slurm does not answer: {error}") from None
    if answer is None or answer.returncode:
        raise ConfigError(f"Slurm does not answer: {slurm.last_line(answer.stderr) if answer else cluster.why_not()}")
    lines = (line.partition("=") for line in answer.stdout.splitlines())
    config = {key.strip(): value.strip() for key, _, value in lines}
    mode = config.get("PreemptMode", "OFF")
    by_qos = config.get("PreemptType") == "preempt/qos"
    return SlurmSite(config, _partitions(cluster, mode), _qos(cluster, mode) if by_qos else {})


def _qos(cluster: SlurmCluster, global_mode: str) -> dict[str, QosFacts]:
    """Every QOS. `global_mode`: the PreemptMode of a QOS that says `cluster`."""
    answer = cluster.ask("sacctmgr", "--noheader", "--parsable2", "show", "qos", "format=Name,PreemptMode,GraceTime")
    rows = [line.split("|") for line in (answer.stdout.splitlines() if answer else [])]
    return {
        name: QosFacts(
            preempt_mode=_mode(global_mode if mode in ("", "cluster") else mode), grace_seconds=grace_seconds(grace)
        )
        for name, mode, grace in rows
    }


def _mode(text: str) -> str:
    """The mode among Slurm's words, e.g. REQUEUE of `GANG,REQUEUE` and of `requeue`."""
    words = [word.upper() for word in text.split(",")]
    return next((word for word in words if word not in ("GANG", "WITHIN")), "OFF")


def grace_seconds(text: str) -> int:
    """Seconds of a GraceTime, which sacctmgr prints as `00:01:30`."""
    days, _, clock = text.rpartition("-")
    seconds = 0
    for part in clock.split(":"):
        seconds = 60 * seconds + int(part or 0)
    return 86_400 * int(days or 0) + seconds


def _partitions(cluster: SlurmCluster, global_mode: str) -> dict[str, Partition]:
    """`global_mode`: the PreemptMode of partitions that set none."""
    answer = cluster.ask("scontrol", "show", "partition", "--oneliner")
    found = {}
    for fields in map(slurm.fields_of, answer.stdout.splitlines() if answer else []):
        facts = PartitionFacts(
            preempt_mode=_mode(fields.get("PreemptMode", global_mode)),
            grace_seconds=int(fields.get("GraceTime", "0")),
            max_minutes=slurm.minutes(fields.get("MaxTime", "UNLIMITED")),
        )
        found[fields["PartitionName"]] = Partition(facts, fields.get("Default") == "YES")
    return found


def nodes(cluster: SlurmCluster) -> list[Node]:
    """The site's nodes."""
    answer = cluster.ask("scontrol", "show", "node", "--oneliner")
    found = []
    for fields in map(slurm.fields_of, answer.stdout.splitlines() if answer else []):
        gpus = re.findall(r"gpu(?::[^:,(]+)?:(\d+)", fields.get("Gres", ""))
        found.append(
            Node(
                name=fields.get("NodeName", ""),
                host=fields.get("NodeHostName", ""),
                partitions=tuple(fields.get("Partitions", "").split(",")),
                cpus=int(fields.get("CPUTot", "0")),
                memory_mb=int(fields.get("RealMemory", "0")),
                gpus=sum(map(int, gpus)),
                is_up=not AWAY & set(re.split(r"\W", fields.get("State", ""))),
            )
        )
    return found


def test_only(cluster: SlurmCluster, options: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """The answer of sbatch to a job with these options; the job is not submitted."""
    try:
        answer = cluster.ask("sbatch", "--test-only", *options, "--wrap=true")
    except NoAnswer as error:
        return subprocess.CompletedProcess([], 1, "", str(error))
    return answer or subprocess.CompletedProcess([], 1, "", "sbatch is not on this machine")


def accounted(cluster: SlurmCluster, table: str) -> list[str] | None:
    """Names of the accounts (`account`) or QOS (`qos`) in the accounting; None: there is no accounting."""
    name = "Name" if table == "qos" else "Account"
    try:
        answer = cluster.ask("sacctmgr", "--noheader", "--parsable2", "show", table, f"format={name}")
    except NoAnswer:
        return None
    if answer is None or answer.returncode:
        return None
    return answer.stdout.split()


def _seconds(text: str) -> int:
    return int(text.split()[0])


def _cred_expire(auth_info: str) -> int:
    found = re.search(r"cred_expire=(\d+)", auth_info)
    return int(found[1]) if found else 120  # Slurm's own default
