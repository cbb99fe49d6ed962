"""The dev cluster's site: what differs from one Slurm installation to the next, as options, and the files that say so."""

import getpass
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Literal

GPU_NODES = ("gpu-a100-1", "gpu-a100-2")
NODES = (*GPU_NODES, "cpu-1")
GPUS_PER_NODE = 4
CPUS_PER_GPU_NODE = 64
PREEMPTABLE = "gpu-preempt"
"""The partition whose jobs give the GPU nodes away."""
TEMPLATE = Path(__file__).with_name("slurm.conf.template")


@dataclass(frozen=True)
class Site:
    """Ways in which sites differ, by Slurm's own names."""

    slurm: str | None = None
    """The version of Slurm, e.g. `24.11`, from a root folder of its own; None: the machine's own Slurm."""
    user_signal: bool = True
    """`preempt_send_user_signal`: a preempted job gets its --signal first; otherwise TERM alone."""
    proctrack: Literal["linuxproc", "cgroup"] = "linuxproc"
    """linuxproc signals the whole process tree, cgroup the srun task alone (needs root)."""
    grace_time: int = 10
    """GraceTime of the partition gpu-preempt, seconds."""
    preempt_mode: Literal["REQUEUE", "CANCEL", "SUSPEND"] = "REQUEUE"
    """PreemptMode of the partition gpu-preempt. With `SUSPEND`, gang scheduling wakes the jobs up later."""
    preempt_exempt: int = 0
    """PreemptExemptTime: seconds after its start in which a job is not preempted."""
    expedited_requeue: bool = False
    """`enable_expedited_requeue` (25.11 and newer): `--requeue=expedite` starts a requeued job at once."""
    preempt_type: Literal["partition_prio", "qos"] = "partition_prio"
    """PreemptType: what decides about a preemption. With `qos`, grace_time and preempt_mode are those of the QOS `normal`."""
    job_requeue: bool = True
    """JobRequeue: whether jobs that do not say may be requeued."""
    accounting: bool = True
    """slurmdbd with a MariaDB of its own."""
    max_array_size: int = 1001
    task_affinity: bool = False
    """TaskPlugin task/affinity, otherwise task/none."""
    kill_wait: int = 5
    """Seconds between TERM and KILL."""
    cred_expire: int = 5
    """A requeued job waits one second longer than this; Slurm's own default is 120."""
    shared: str = ""
    """A folder with a subfolder a node: each node sees its own at `<folder>/shared`."""


@dataclass(frozen=True)
class Ports:
    """TCP ports of the daemons, all on 127.0.0.1."""

    slurmctld: int
    slurmdbd: int
    nodes: dict[str, int]


def slurm_conf(site: Site, ports: Ports, folder: Path, version: tuple[int, int]) -> str:
    """The text of slurm.conf. `version`: of the Slurm that reads it."""
    values = {
        key: value for key, value in asdict(site).items() if key not in ("accounting", "job_requeue", "shared")
    } | {
        "folder": folder,
        "host": socket.gethostname(),
        "user": getpass.getuser(),
        "slurmctld_port": ports.slurmctld,
        "parameters": "\n".join(_parameters(site, version)),
        "preempt_mode_of_all": "SUSPEND,GANG" if site.preempt_mode == "SUSPEND" else "REQUEUE",
        "shared": "OverSubscribe=FORCE:1" if site.preempt_mode == "SUSPEND" else "",
        "task_plugin": "affinity" if site.task_affinity else "none",
        "job_requeue": int(site.job_requeue),
        "accounting": _accounting(ports, folder, site.preempt_type == "qos") if site.accounting else "",
        **{f"{node.replace('-', '_')}_port": port for node, port in ports.nodes.items()},
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(values)


def _parameters(site: Site, version: tuple[int, int]) -> Iterator[str]:
    """The lines of SlurmctldParameters and PreemptParameters."""
    of_controller = ["enable_expedited_requeue"] if site.expedited_requeue else []
    if site.user_signal and version >= (23, 2):
        yield "PreemptParameters=send_user_signal"
    elif site.user_signal:
        of_controller.append("preempt_send_user_signal")
    if of_controller:
        yield f"SlurmctldParameters={','.join(of_controller)}"


def _accounting(ports: Ports, folder: Path, by_qos: bool) -> str:
    return "\n".join(
        [
            "AccountingStorageType=accounting_storage/slurmdbd",
            "AccountingStorageHost=127.0.0.1",
            f"AccountingStoragePort={ports.slurmdbd}",
            f"AccountingStoragePass={folder}/munge/socket",
            "AccountingStorageTRES=gres/gpu,gres/gpu:a100",
            *(["AccountingStorageEnforce=associations,limits,qos"] if by_qos else []),
        ]
    )


def gres_conf(folder: Path) -> str:
    """The text of gres.conf: a GPU needs a file of its own, or its node is invalid."""
    return f"NodeName={','.join(GPU_NODES)} Name=gpu Type=a100 File={folder}/dev/nvidia[0-{GPUS_PER_NODE - 1}]\n"


def cgroup_conf() -> str:
    """The text of cgroup.conf: version 1, since version 2 is fatal where both are mounted."""
    return "CgroupAutomount=no\nCgroupPlugin=cgroup/v1\n"


def slurmdbd_conf(ports: Ports, folder: Path) -> str:
    """The text of slurmdbd.conf, which must be readable by its owner alone."""
    settings = {
        "AuthType": "auth/munge",
        "AuthInfo": f"{folder}/munge/socket",
        "DbdHost": "localhost",
        "DbdPort": ports.slurmdbd,
        "SlurmUser": getpass.getuser(),
        "StorageType": "accounting_storage/mysql",
        "StorageHost": "localhost",  # by the socket in MYSQL_UNIX_PORT
        "StorageUser": getpass.getuser(),
        "StorageLoc": "slurm_acct",
        "LogFile": f"{folder}/log/slurmdbd.log",
        "PidFile": f"{folder}/run/slurmdbd.pid",
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())
