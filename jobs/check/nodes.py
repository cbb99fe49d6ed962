"""What the jobs would find on the nodes: their run folder, the MLflow data base, this checkout's code."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.slurm.site import Node
from jobs.spec.paths import REPO_ROOT, child_environment
from jobs.spec.run_spec import RunSpec, python_of

LOCAL_FILE_SYSTEMS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "ramfs", "f2fs"})
IMPORT = "import jobs; print(jobs.__file__)"


def node_findings(spec: RunSpec, places: Places, nodes: list[Node]) -> Iterator[Finding]:
    """Findings about shared file systems and the nodes' Python."""
    yield from _shared_files(spec, places, nodes)
    yield from _python(spec, places)


def _shared_files(spec: RunSpec, places: Places, nodes: list[Node]) -> Iterator[Finding]:
    """Find folders that the nodes cannot see, and a data base that they cannot share."""
    if all(node.host == socket.gethostname() for node in nodes):
        return
    for path, place in (
        (Path(spec.profile.runs_root), places.profile("runs_root")),
        (REPO_ROOT, places.profile("python")),
    ):
        if (kind := _file_system(path)) in LOCAL_FILE_SYSTEMS:
            yield Finding.warning(
                "site.not-shared",
                place,
                found=f"{path} is on {kind}, which only this machine seems to have",
                cost="the jobs would not find their run folder, or their code",
                fix="move it to the site's shared file system",
            )
    if spec.profile.tracking_uri.startswith("sqlite:"):
        yield Finding.warning(
            "site.sqlite",
            places.profile("tracking_uri"),
            found="SQLite on a file system that several nodes share",
            cost="SQLite's locks do not work there: points may be lost, and the file may be damaged",
            fix="write the URI of an MLflow server",
        )


def _file_system(path: Path) -> str:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    done = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(there)], capture_output=True, text=True, check=False
    )
    kind = done.stdout.strip()
    return {"ext2/ext3": "ext4", "overlayfs": "overlay"}.get(kind, kind)


def _python(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Find out whether the nodes' Python imports this checkout."""
    python = python_of(spec, sys.executable)
    if python == sys.executable:
        return  # it has imported this checkout already
    try:
        done = subprocess.run(
            [python, "-c", IMPORT], capture_output=True, text=True, check=False, cwd="/", env=child_environment({})
        )
        found = done.stdout.strip() or done.stderr.strip()[-200:] or f"it exited with {done.returncode}"
    except OSError as error:
        found = str(error)
    if found != str(REPO_ROOT / "jobs" / "__init__.py"):
        yield Finding.error(
            "site.python",
            places.profile("python"),
            found=f"{python} does not find this checkout: {found}",
            cost="the jobs would run other code, or none",
            fix="write the path of the virtual environment's python (`make setup`)",
        )
