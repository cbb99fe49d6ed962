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


def preemption_findings(
    spec: RunSpec, places: Places, site: SlurmSite, counts: dict[str, Any] | None
) -> Iterator[Finding]:
    """Findings about the shortest grace period. `counts`: None: the size of a save is not known."""
    parameters, kill_wait = spec.profile.parameters("train"), site.kill_wait_seconds
    where = site.preempting(parameters.get("slurm_partition"), parameters.get("slurm_qos"))
    preempting = {name: facts for name, facts in where.items() if facts.preempt_mode in ("REQUEUE", "CANCEL")}
    if not preempting:
        return
    name, facts = min(preempting.items(), key=lambda each: each[1].grace_seconds)
    place = places.profile("train", "slurm_qos" if site.qos else "slurm_partition")
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
