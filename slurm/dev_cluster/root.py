"""Slurm in other versions: each is Debian's, installed in a root folder of its own, and seen by one cluster's processes alone.

The processes of such a cluster share a mount namespace: its root is the version's folder, with this machine's folders in it, so
that jobs find the checkout, Python and the run folders at their paths. The namespace ends with its last process: nothing is
mounted on this machine itself.
"""

import os
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev_cluster.processes import wait_until

VERSIONS = {"22.05": "bookworm", "24.11": "trixie", "26.05": "sid"}
"""Slurm's versions, and the suite of Debian that has each of them."""
ROOTS = Path("~/.cache/regrow/slurm-roots").expanduser()
MAKE = "make slurm-roots"
CLIENTS = ("sbatch", "squeue", "scontrol", "scancel", "sacct", "sacctmgr", "sinfo", "srun")
OF_DEBIAN = frozenset({"bin", "boot", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr", "var"})
"""Top-level folders that are the root's own. All others are this machine's."""
OURS = ("usr/local", "etc/hosts", "etc/passwd", "etc/group")
"""What is this machine's all the same."""
_HOLD = """
echo $$ >"$1"; root=$2; shift 2
for each; do mount --rbind "/$each" "$root/$each" || exit; done
exec chroot "$root" sleep infinity
"""
"""A shell's command: write its process id, mount, then keep the namespace."""


def root_of(version: str) -> Path:
    """The folder with this version of Slurm; it may be missing."""
    return (ROOTS / version).resolve()


def why_not_version(version: str) -> str:
    """Why a cluster cannot use this version here, and what to type; empty: it can."""
    if os.geteuid() != 0:
        return f"Slurm {version} has a root folder of its own, which only root can use\nhint: run the command with sudo"
    if Path(sys.base_prefix) == Path("/usr"):
        return f"{sys.executable} is this system's own Python, which the root folder of Slurm {version} does not have"
    if not root_of(version).is_dir():
        return f"Slurm {version} is not installed in {root_of(version)}\nhint: {MAKE}"
    return ""


def hold(version: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Make the namespace of the cluster in `folder`, and start the process that keeps it.

    Raises:
        TimeoutError: it was not made; the log has the reason.
    """
    root = root_of(version)
    seen = [path.name for path in Path("/").iterdir() if path.name not in OF_DEBIAN and path.is_dir()]
    for name in (*seen, *OURS):
        if Path("/", name).is_dir():
            (root / name).mkdir(parents=True, exist_ok=True)
        else:
            (root / name).touch()
    shell = ["sh", "-c", _HOLD, "sh", str(_pid_file(folder)), str(root), *seen, *OURS]
    with (folder / "log" / "root.start").open("wb") as log:
        subprocess.run(
            ["setsid", "--fork", "unshare", "--mount", "--propagation", "private", *shell],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd="/",
            check=True,
        )
    wait_until(lambda: _root_of_holder(folder) == str(root), 30, f"mounts of {root}")


def inside(folder: Path, command: Sequence[str], cwd: Path | str = "/") -> list[str]:
    """The command as the cluster in `folder` must run it: in its root, or, without one, as it is."""
    if not _pid_file(folder).exists():
        return list(command)
    pid, program = _pid_file(folder).read_text().strip(), command[0]
    if program in CLIENTS:
        program = f"/usr/bin/{program}"  # PATH may have `<folder>/bin`
    return ["nsenter", f"--target={pid}", "--mount", "--root", f"--wdns={cwd}", program, *command[1:]]


def write_clients(folder: Path, paths: Mapping[str, str]) -> None:
    """Slurm's commands for this cluster, in `<folder>/bin`. `paths`: where the machine's own commands are."""
    (folder / "bin").mkdir()
    for name in CLIENTS:
        file = folder / "bin" / name
        if _pid_file(folder).exists():
            words = " ".join(inside(folder, [name], '"$PWD"'))
            file.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
        else:
            file.symlink_to(paths[name])


def _pid_file(folder: Path) -> Path:
    return folder / "run" / "root.pid"


def _root_of_holder(folder: Path) -> str:
    try:
        return str(Path("/proc", _pid_file(folder).read_text().strip(), "root").readlink())
    except OSError:
        return ""
