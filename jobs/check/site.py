"""The site: whether Slurm would accept the jobs, and ever start them."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from subprocess import CompletedProcess
from typing import Any

from jobs.check.nodes import engine_findings, node_findings
from jobs.check.preemption import preemption_findings
from jobs.check.shared.finding import Finding, Place
from jobs.check.shared.places import Places
from jobs.check.shared_folder import shared_folder_findings
from jobs.slurm.commands import SlurmCluster
from jobs.slurm.sbatch import sbatch_options
from jobs.slurm.site import Node, SlurmSite, accounted, nodes, read_site, test_only
from jobs.spec.errors import ConfigError, nearest
from jobs.spec.run_spec import RunSpec
from jobs.spec.site_facts import PartitionFacts
from jobs.spec.stages import STAGES, Stage

NOT_AVAILABLE = "node configuration is not available"


def site_findings(spec: RunSpec, places: Places, counts: dict[str, Any] | None) -> Iterator[Finding]:
    """Findings about the cluster of the profile; a single note if it cannot be reached from this machine."""
    if spec.profile.executor == "local":
        yield from shared_folder_findings(spec, places)
        yield from engine_findings(spec, places)
        yield from _tracking_server(spec, places)
        return
    cluster = SlurmCluster.of(spec.profile)
    try:
        site = read_site(cluster)
    except ConfigError as error:
        yield Finding.note(
            "site.unchecked",
            places.profile(),
            found=str(error),
            cost="partitions, nodes, limits, file systems and MLflow are not checked",
            fix=f"run the check on a login node of {spec.cluster}",
        )
        return
    with ThreadPoolExecutor() as pool:  # all wait for Slurm at the same time
        asked = [pool.submit(test_only, cluster, sbatch_options(spec, stage)) for stage in STAGES]
        here = nodes(cluster)
    for stage, said in zip(STAGES, asked, strict=True):
        yield from _stage(spec, places, stage, site, here, said.result())
    yield from preemption_findings(spec, places, site, counts)
    yield from node_findings(spec, places, here)
    yield from shared_folder_findings(spec, places)
    yield from _tracking_server(spec, places)


def _stage(
    spec: RunSpec, places: Places, stage: Stage, site: SlurmSite, nodes: list[Node], said: CompletedProcess[str]
) -> Iterator[Finding]:
    """`said`: the answer of `sbatch --test-only` to the stage's job."""
    parameters, partitions = spec.profile.parameters(stage), site.partitions
    place = places.profile(stage, "slurm_partition")
    names = site.named(parameters.get("slurm_partition"))
    for name in names:
        if name not in partitions:
            yield Finding.error(
                "site.partition",
                place,
                found=f"{name}: no such partition" if name else "no partition is named, and the site has no default",
                cost="sbatch would reject the job",
                fix=nearest(name, partitions),
            )
            return
    here = [node for node in nodes if set(names) & set(node.partitions)]
    refused = [list(_limits(spec, places, stage, name, partitions[name].facts, here)) for name in names]
    too_much = min(refused, key=len)  # one partition that accepts the job is enough
    yield from too_much
    if not too_much:
        yield from _refusal(said, place, stage, [node.name for node in here if not node.is_up])
    for key, table in (("slurm_account", "account"), ("slurm_qos", "qos")):
        value = parameters.get(key)
        known = accounted(SlurmCluster.of(spec.profile), table) if value else None
        if known is not None and value not in known:
            yield Finding.warning(
                f"site.{table}",
                places.profile(stage, key),
                found=f"{value}: sacctmgr does not list it",
                cost="the job may wait forever, or run without accounting",
                fix=nearest(str(value), known) if known else "ask the site's administrators",
            )


def _limits(
    spec: RunSpec, places: Places, stage: Stage, name: str, facts: PartitionFacts, here: list[Node]
) -> Iterator[Finding]:
    """Compare a stage's parameters with its partition's limits and nodes. sbatch accepts some jobs that can never start."""
    parameters = spec.profile.parameters(stage)
    limit, wanted = facts.max_minutes, parameters.get("timeout_min")
    if limit is not None and wanted is not None and wanted > limit:
        yield Finding.error(
            "site.time-limit",
            places.profile(stage, "timeout_min"),
            found=f"{wanted} min, but MaxTime of {name} is {limit} min",
            cost="the job would wait forever (PartitionTimeLimit)",
            fix=f"write timeout_min: {limit}; a run that needs longer continues in further attempts",
        )
    for key, what, most in (
        ("gpus_per_node", "GPUs", max((node.gpus for node in here), default=0)),
        ("cpus_per_task", "CPUs", max((node.cpus for node in here), default=0)),
        ("mem_gb", "GB of memory", max((node.memory_mb // 1024 for node in here), default=0)),
    ):
        value = parameters.get(key)
        if here and value is not None and value > most:
            yield Finding.error(
                "site.nodes",
                places.profile(stage, key),
                found=f"{value}, but the largest node of {name} has {most} {what}",
                cost="sbatch would reject the job, or the job would wait forever",
                fix=f"write {key}: {most}, or another slurm_partition",
            )


def _refusal(said: CompletedProcess[str], place: Place, stage: Stage, away: list[str]) -> Iterator[Finding]:
    """Findings from the answer of sbatch. `away`: nodes that are down or drained, which --test-only does not count."""
    found = f"sbatch --test-only: {said.stderr.strip()}"
    if said.returncode and away and NOT_AVAILABLE in said.stderr:
        found = f"{found}; down or drained: {', '.join(away)}"
        yield Finding.warning(
            "site.away",
            place,
            found=found,
            cost="the job would wait for these nodes, or be rejected",
            fix="sinfo --Node",
        )
    elif said.returncode:
        yield Finding.error(
            "site.refused",
            place,
            found=found,
            cost="sbatch would reject the job",
            fix="correct the stage's parameters",
        )
    elif stage == "train" and (start := re.search(r"to start at (\d+)", said.stderr)):
        when = time.strftime("%F %T", time.localtime(int(start[1])))
        found = f"the job would start at {when} if it were submitted now"
        yield Finding.note(
            "site.start",
            place,
            found=found,
            cost="jobs of higher priority may come first",
            fix="nothing to do; this is the estimate of sbatch --test-only",
        )


def _tracking_server(spec: RunSpec, places: Places) -> Iterator[Finding]:
    if not spec.profile.tracking_uri.startswith("sqlite:"):
        from jobs.check.tracking_server import mlflow_findings  # importing an HTTP client takes time

        yield from mlflow_findings(spec, places)
