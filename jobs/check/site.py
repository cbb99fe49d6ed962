"""The site: whether Slurm would take the jobs, ever start them, and what would reach them when it takes the node away."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from jobs.check.deepspeed import deepspeed_file
from jobs.check.memory import settings_of
from jobs.check.shared.finding import Finding, Place
from jobs.check.shared.memory_model import Model, checkpoint_bytes
from jobs.check.shared.places import Places
from jobs.check.stage_parameters import is_number
from jobs.slurm import commands as slurm
from jobs.slurm.sbatch import sbatch_options
from jobs.slurm.site import Node, SlurmSite, accounted, nodes, read_site, test_only
from jobs.spec.errors import ConfigError, nearest
from jobs.spec.paths import REPO_ROOT, child_environment
from jobs.spec.run_spec import RunSpec, python_of
from jobs.spec.site_facts import PartitionFacts
from jobs.spec.stages import STAGES, Stage

NOT_AVAILABLE = "node configuration is not available"
LOCAL_FILE_SYSTEMS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "ramfs", "f2fs"})
IMPORT = "import jobs; print(jobs.__file__)"


def site_findings(spec: RunSpec, places: Places, counts: dict[str, Any] | None) -> Iterator[Finding]:
    """Findings about the cluster of the profile; one note where it is not reachable from here."""
    if spec.profile.executor == "local":
        yield from _tracking_server(spec, places)
        return
    slurm.use_cluster(spec.profile.slurm_conf)
    try:
        site = read_site()
    except ConfigError as error:
        yield Finding(
            "note",
            "site.unchecked",
            places.profile(),
            str(error),
            "partitions, nodes, limits, file systems and MLflow are not looked at",
            f"run this on a login node of {spec.cluster}",
        )
        return
    with ThreadPoolExecutor() as pool:  # they wait for Slurm side by side
        asked = [pool.submit(test_only, sbatch_options(spec, stage)) for stage in STAGES]
        here = nodes()
    for stage, said in zip(STAGES, asked, strict=True):
        yield from _stage(spec, places, stage, site, here, said.result())
    yield from _preemption(spec, places, site, counts)
    yield from _shared_files(spec, places, here)
    yield from _python(spec, places)
    yield from _tracking_server(spec, places)


def _stage(
    spec: RunSpec, places: Places, stage: Stage, site: SlurmSite, nodes: list[Node], said: CompletedProcess[str]
) -> Iterator[Finding]:
    """`said`: what sbatch says to the stage's job."""
    parameters = spec.profile.parameters(stage)
    name, partitions = _partition_of(spec, stage, site), site.partitions
    place = places.profile(stage, "slurm_partition")
    if name not in partitions:
        yield Finding(
            "error",
            "site.partition",
            place,
            f"{name}: no such partition" if name else "no partition, and the site has no default one",
            "sbatch would refuse the job",
            nearest(name or "", partitions),
        )
        return
    here = [node for node in nodes if name in node.partitions]
    too_much = list(_limits(spec, places, stage, name, partitions[name].facts, here))
    yield from too_much
    if not too_much:
        yield from _refusal(said, place, stage, [node.name for node in here if not node.is_up])
    for key, table in (("slurm_account", "account"), ("slurm_qos", "qos")):
        value = parameters.get(key)
        known = accounted(table) if value else None
        if known is not None and value not in known:
            yield Finding(
                "warning",
                f"site.{table}",
                places.profile(stage, key),
                f"{value}: sacctmgr does not know it",
                "the job may wait for ever, or be billed to nobody",
                nearest(str(value), known) if known else "ask the site",
            )


def _limits(
    spec: RunSpec, places: Places, stage: Stage, name: str, facts: PartitionFacts, here: list[Node]
) -> Iterator[Finding]:
    """What a stage asks for, against its partition's limits and nodes: sbatch takes some of it, and never starts it."""
    parameters = spec.profile.parameters(stage)
    limit, wanted = facts.max_minutes, parameters.get("timeout_min")
    if limit is not None and is_number(wanted) and wanted > limit:
        yield Finding(
            "error",
            "site.time-limit",
            places.profile(stage, "timeout_min"),
            f"{wanted} min, and MaxTime of {name} is {limit}",
            "the job would wait for ever (PartitionTimeLimit)",
            f"write timeout_min: {limit}; a run of several attempts goes on by itself",
        )
    for key, what, most in (
        ("gpus_per_node", "GPUs", max((node.gpus for node in here), default=0)),
        ("cpus_per_task", "CPUs", max((node.cpus for node in here), default=0)),
        ("mem_gb", "GB of memory", max((node.memory_mb // 1024 for node in here), default=0)),
    ):
        value = parameters.get(key)
        if here and is_number(value) and value > most:
            yield Finding(
                "error",
                "site.nodes",
                places.profile(stage, key),
                f"{value}, and the largest node of {name} has {most} {what}",
                "sbatch would refuse the job, or it would wait for ever",
                f"write {key}: {most}, or another slurm_partition",
            )


def _refusal(said: CompletedProcess[str], place: Place, stage: Stage, away: list[str]) -> Iterator[Finding]:
    """What sbatch itself says. `away`: nodes of the partition that are down or drained, which --test-only does not count."""
    found = f"sbatch --test-only: {said.stderr.strip()}"
    if said.returncode and away and NOT_AVAILABLE in said.stderr:
        found = f"{found}; down or drained: {', '.join(away)}"
        yield Finding(
            "warning",
            "site.away",
            place,
            found,
            "the job would wait for these nodes, or be refused",
            "see sinfo --Node",
        )
    elif said.returncode:
        yield Finding(
            "error", "site.refused", place, found, "sbatch would refuse the job", "correct the stage's parameters"
        )
    elif stage == "train" and (start := re.search(r"to start at (\d+)", said.stderr)):
        when = time.strftime("%F %T", time.localtime(int(start[1])))
        found = f"it would start at {when}, were it submitted alone and now"
        yield Finding("note", "site.start", place, found, "others may come before it", "sbatch --test-only says so")


def _partition_of(spec: RunSpec, stage: Stage, site: SlurmSite) -> str | None:
    return spec.profile.parameters(stage).get("slurm_partition") or site.default_partition


def _preemption(spec: RunSpec, places: Places, site: SlurmSite, counts: dict[str, Any] | None) -> Iterator[Finding]:
    """Whether a preemption would reach the training, and whether the save fits into its grace."""
    name = _partition_of(spec, "train", site)
    if name not in site.partitions:
        return
    facts, place = site.partitions[name].facts, places.profile("train", "slurm_partition")
    if facts.preempt_mode in ("OFF", "SUSPEND", "GANG"):
        return
    kill_wait = site.facts({"train": name}).kill_wait_seconds
    grace = facts.grace_seconds or kill_wait
    text = f"{name}: PreemptMode {facts.preempt_mode}, GraceTime {facts.grace_seconds} s, KillWait {kill_wait} s"
    if not facts.grace_seconds:
        yield Finding(
            "warning",
            "site.no-grace",
            place,
            text,
            f"a preempted job has {grace} s from TERM to KILL to save in",
            "ask the site for a GraceTime, or save more often (save_steps)",
        )
    speed = spec.profile.write_gb_per_s
    if speed and counts and "trainable" in counts:
        yield from _save_fits(spec, places, counts, grace, speed)


def _save_fits(spec: RunSpec, places: Places, counts: dict[str, Any], grace: int, speed: float) -> Iterator[Finding]:
    size = checkpoint_bytes(Model.from_counts(counts), settings_of(spec, deepspeed_file(spec)))
    seconds = size / 1e9 / speed
    if seconds > grace:
        yield Finding(
            "warning",
            "site.save-does-not-fit",
            places.profile("write_gb_per_s"),
            f"a checkpoint of {size / 1e9:.1f} GB takes {seconds:.0f} s at {speed} GB/s, and the grace is {grace} s",
            "Slurm would kill the job in its save; the steps since the checkpoint before would be trained again",
            "save more often (save_steps), or train less of the model",
        )


def _shared_files(spec: RunSpec, places: Places, nodes: list[Node]) -> Iterator[Finding]:
    """Folders that jobs on other machines have to see, and a data base that they cannot share."""
    if all(node.host == socket.gethostname() for node in nodes):
        return
    for path, place in (
        (Path(spec.profile.runs_root), places.profile("runs_root")),
        (REPO_ROOT, places.profile("python")),
    ):
        if (kind := _file_system(path)) in LOCAL_FILE_SYSTEMS:
            yield Finding(
                "warning",
                "site.not-shared",
                place,
                f"{path} is on {kind}, which this machine alone seems to see",
                "the jobs would not find their run folder, or their code",
                "put it on the site's shared file system",
            )
    if spec.profile.tracking_uri.startswith("sqlite:"):
        yield Finding(
            "warning",
            "site.sqlite",
            places.profile("tracking_uri"),
            "SQLite, on a file system that several nodes share",
            "its locks do not hold there: points may be lost, the file may break",
            "write the URI of an MLflow server",
        )


def _file_system(path: Path) -> str:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    done = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(there)], capture_output=True, text=True, check=False
    )
    kind = done.stdout.strip()
    return {"ext2/ext3": "ext4", "overlayfs": "overlay"}.get(kind, kind)


def _python(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Whether the nodes' Python would find this checkout."""
    python = python_of(spec, sys.executable)
    if python == sys.executable:
        return  # this very checkout is running
    try:
        done = subprocess.run(
            [python, "-c", IMPORT], capture_output=True, text=True, check=False, cwd="/", env=child_environment({})
        )
        found = done.stdout.strip() or done.stderr.strip()[-200:] or f"it exits with {done.returncode}"
    except OSError as error:
        found = str(error)
    if found != str(REPO_ROOT / "jobs" / "__init__.py"):
        yield Finding(
            "error",
            "site.python",
            places.profile("python"),
            f"{python} does not find this checkout: {found}",
            "the jobs would run other code, or none",
            "write the path of the virtual environment's python (`make setup`)",
        )


def _tracking_server(spec: RunSpec, places: Places) -> Iterator[Finding]:
    if spec.profile.tracking_uri.startswith(("http://", "https://")):
        from jobs.check.tracking_server import mlflow_findings  # what speaks HTTP takes its time to import

        yield from mlflow_findings(spec, places)
