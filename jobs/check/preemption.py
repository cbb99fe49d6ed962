"""Preemption: whether its signal reaches the training, and whether a save fits into its grace."""

from collections.abc import Iterator
from typing import Any

from jobs.check.memory import settings_of
from jobs.check.shared.deepspeed_file import deepspeed_file
from jobs.check.shared.finding import Finding
from jobs.check.shared.memory_model import Model, checkpoint_bytes
from jobs.check.shared.places import Places
from jobs.slurm.site import SlurmSite
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage


def partition_of(spec: RunSpec, stage: Stage, site: SlurmSite) -> str | None:
    """The partition of a stage's jobs; None: the profile names none, and the site has no default."""
    return spec.profile.parameters(stage).get("slurm_partition") or site.default_partition


def preemption_findings(
    spec: RunSpec, places: Places, site: SlurmSite, counts: dict[str, Any] | None
) -> Iterator[Finding]:
    """Findings about the partition's grace period. `counts`: None: the size of a save is not known."""
    name = partition_of(spec, "train", site)
    if name not in site.partitions:
        return
    facts, place = site.partitions[name].facts, places.profile("train", "slurm_partition")
    if facts.preempt_mode in ("OFF", "SUSPEND", "GANG"):
        return
    kill_wait = site.facts({"train": name}).kill_wait_seconds
    grace = facts.grace_seconds or kill_wait
    text = f"{name}: PreemptMode {facts.preempt_mode}, GraceTime {facts.grace_seconds} s, KillWait {kill_wait} s"
    if not facts.grace_seconds:
        yield Finding.warning(
            "site.no-grace",
            place,
            found=text,
            cost=f"a preempted job has only {grace} s from TERM to KILL to save a checkpoint",
            fix="ask the site's administrators for a GraceTime, or save more often (save_steps)",
        )
    speed = spec.profile.write_gb_per_s
    if speed and counts and "trainable" in counts:
        yield from _save_fits(spec, places, counts, grace, speed)


def _save_fits(spec: RunSpec, places: Places, counts: dict[str, Any], grace: int, speed: float) -> Iterator[Finding]:
    size = checkpoint_bytes(Model.from_counts(counts), settings_of(spec, deepspeed_file(spec)))
    seconds = size / 1e9 / speed
    if seconds > grace:
        yield Finding.warning(
            "site.save-does-not-fit",
            places.profile("write_gb_per_s"),
            found=f"a checkpoint of {size / 1e9:.1f} GB takes {seconds:.0f} s at {speed} GB/s, but the grace period is {grace} s",
            cost="Slurm would kill the job during the save; the steps since the previous checkpoint would be trained again",
            fix="save more often (save_steps), or train fewer parameters",
        )
