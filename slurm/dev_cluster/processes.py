"""Processes of one dev cluster: found by what stands in their environment, never by name."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

CLUSTER_ENV, NODE_ENV = "REGROW_DEV_CLUSTER", "REGROW_DEV_NODE"
"""In the environment of every daemon: the cluster's folder; of a node's daemons: its name."""
POLL_SECONDS = 0.05


def daemons(folder: Path, node: str | None = None) -> list[int]:
    """Process ids of the cluster's daemons (and their step managers), or of one node's."""
    return [
        pid
        for pid, environment in _live_processes()
        if environment.get(CLUSTER_ENV) == str(folder) and node in (None, environment.get(NODE_ENV))
    ]


def tasks(folder: Path, node: str | None = None) -> list[int]:
    """Process ids of what jobs run on the cluster's nodes, or on one of them."""
    conf = str(folder / "slurm.conf")
    return [
        pid
        for pid, environment in _live_processes()
        if environment.get("SLURM_CONF") == conf
        and "SLURMD_NODENAME" in environment
        and node in (None, environment["SLURMD_NODENAME"])
    ]


def controllers(folder: Path) -> list[int]:
    """Process ids of slurmctld."""
    return [pid for pid in daemons(folder) if _program(pid) == "slurmctld"]


def kill(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: it did not come true in time.
    """
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() > deadline:
            raise TimeoutError(f"{what}: still waiting after {seconds:.0f} s")
        sleep(POLL_SECONDS)


def _live_processes() -> Iterator[tuple[int, dict[str, str]]]:
    """Process id and environment of every process that we may look at; zombies are left out, they have none."""
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):  # not ours, or it has just ended
            text = Path("/proc", name, "environ").read_bytes().decode(errors="replace")
            if pairs := [item.partition("=") for item in text.split("\0") if item]:
                yield int(name), {key: value for key, _, value in pairs}


def _program(pid: int) -> str:
    """The name of a process's program, e.g. `slurmctld`; empty: the process has ended."""
    with suppress(OSError):
        return Path(Path("/proc", str(pid), "cmdline").read_bytes().partition(b"\0")[0].decode()).name
    return ""
