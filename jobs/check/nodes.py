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
from jobs.spec.run_spec import RunSpec, generating_python, python_of

LOCAL_FILE_SYSTEMS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "ramfs", "f2fs"})
IMPORT = "import jobs; print(jobs.__file__)"
HAS = "import sys, importlib.util as u, jobs.evaluation.generate; print(u.find_spec(sys.argv[1]) is not None)"


def node_findings(spec: RunSpec, places: Places, nodes: list[Node]) -> Iterator[Finding]:
    """Findings about shared file systems and the nodes' Python."""
    yield from _shared_files(spec, places, nodes)
    yield from _python(spec, places)
    yield from engine_findings(spec, places)


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


def engine_findings(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Find out whether the Python that generates answers has the engine, and what our modules need."""
    python, engine = generating_python(spec, sys.executable), spec.regrow.evaluate.engine
    if python == python_of(spec, sys.executable) and engine == "transformers":
        return
    needed = {"transformers": "peft"}.get(engine, engine.partition(".")[0])
    try:
        done = subprocess.run(
            [python, "-c", HAS, needed], capture_output=True, text=True, check=False, cwd="/", env=child_environment({})
        )
        lines = (done.stdout.strip() or done.stderr.strip() or f"it exited with {done.returncode}").splitlines()
        found = f"{python} has no {needed}" if lines[-1] == "False" else f"{python}: {lines[-1]}"
    except OSError as error:
        lines, found = [""], f"{python}: {error}"
    if lines[-1] != "True":
        yield Finding.error(
            "site.engine",
            places.profile("evaluate", "python"),
            found=found,
            cost="the evaluation would fail after the training",
            fix=f"install {needed} and xxhash there, or name another Python",
        )
