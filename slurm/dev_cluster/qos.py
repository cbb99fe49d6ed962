"""Preemption by QOS: a job of the QOS `high` takes the nodes of jobs of the QOS `normal`, which every job has by default."""

import getpass
import subprocess
from collections.abc import Callable

from dev_cluster.site import CPUS_PER_GPU_NODE, GPUS_PER_NODE, PREEMPTABLE, Site

HIGH = "high"


def make_qos(run: Callable[..., subprocess.CompletedProcess[str]], site: Site) -> None:
    """Set up the QOS in the accounting. `run`: runs one of Slurm's commands.

    Raises:
        RuntimeError: sacctmgr refused something.
    """
    user = getpass.getuser()
    commands = [
        ("add", "qos", HIGH),
        ("modify", "qos", HIGH, "set", "Preempt=normal", "Priority=100"),
        ("modify", "qos", "normal", "set", f"GraceTime={site.grace_time}", f"PreemptMode={site.preempt_mode}"),
        *([] if user == "root" else [("add", "account", "dev"), ("add", "user", user, "account=dev")]),
        ("modify", "user", user, "set", f"qos=normal,{HIGH}"),
    ]
    for command in commands:
        done = run("sacctmgr", "--immediate", *command)
        if done.returncode:
            raise RuntimeError(f"sacctmgr {' '.join(command)}: {done.stdout}{done.stderr}")


def higher_priority(site: Site) -> list[str]:
    """The options of a job that takes the GPU nodes away from others."""
    whose = [f"--partition={PREEMPTABLE}", f"--qos={HIGH}"] if site.preempt_type == "qos" else ["--partition=gpu"]
    if site.preempt_mode == "SUSPEND":  # a suspended job keeps its GPUs and its memory, and gives away its CPUs alone
        return [*whose, f"--ntasks-per-node={CPUS_PER_GPU_NODE}", "--mem-per-cpu=1"]
    return [*whose, f"--gres=gpu:{GPUS_PER_NODE}"]
