"""Preemption: what it means at this site, whether its signal reaches the training, and whether a save fits into its grace."""

from collections.abc import Iterator
from typing import Any

from jobs.check.memory import settings_of
from jobs.check.shared.deepspeed_file import deepspeed_file
from jobs.check.shared.finding import Finding
from jobs.check.shared.memory_model import Model, checkpoint_bytes
from jobs.check.shared.places import Places
from jobs.slurm.site import SlurmSite
from jobs.spec.run_spec import RunSpec
from jobs.spec.site_facts import PartitionFacts, QosFacts, SiteFacts


def preemption_findings(
    spec: RunSpec, places: Places, site: SlurmSite, counts: dict[str, Any] | None
) -> Iterator[Finding]:
    """Findings about the shortest grace period. `counts`: None: the size of a save is not known."""
    parameters, kill_wait = spec.profile.parameters("train"), site.kill_wait_seconds
    where = site.preempting(parameters.get("slurm_partition"), parameters.get("slurm_qos"))
    place = places.profile("train", "slurm_qos" if site.qos else "slurm_partition")
    of_site = site.facts({})
    for name, facts in where.items():
        yield Finding.note(
            "site.preemption",
            place,
            found=f"{name}: Slurm {of_site.version}, {_text(facts, kill_wait)}",
            cost=what_preemption_means(of_site, facts, spec.regrow.requeue.prefer == "successor"),
            fix="nothing to change; docs/preemption.md has the table of all sites",
        )
    preempting = {name: facts for name, facts in where.items() if facts.preempt_mode in ("REQUEUE", "CANCEL")}
    if not preempting:
        return
    name, facts = min(preempting.items(), key=lambda each: each[1].grace_seconds)
    grace = facts.grace_seconds or kill_wait
    if not facts.grace_seconds:
        yield Finding.warning(
            "site.no-grace",
            place,
            found=f"{name}: {_text(facts, kill_wait)}",
            cost=f"a preempted job has only {grace} s from TERM to KILL to save a checkpoint",
            fix="ask the site's administrators for a GraceTime, or save more often (save_steps)",
        )
    speed = spec.profile.write_gb_per_s
    if speed and counts and "trainable" in counts:
        yield from _save_fits(spec, places, counts, grace, speed)


def _text(facts: PartitionFacts | QosFacts, kill_wait: int) -> str:
    return f"PreemptMode {facts.preempt_mode}, GraceTime {facts.grace_seconds} s, KillWait {kill_wait} s"


def what_preemption_means(site: SiteFacts, facts: PartitionFacts | QosFacts, prefers_successor: bool) -> str:
    """What happens to a preempted training, in a sentence.

    Args:
        facts: the partition or QOS that decides about its preemption.
        prefers_successor: `regrow.requeue.prefer` is `successor`.
    """
    signal = "USR2" if site.user_signal else "TERM"
    later = "at once" if site.expedited_requeue else f"{site.cred_expire_seconds + 1} s later at the earliest"
    new_job = "a new job takes over, which may start at once"
    itself = new_job if prefers_successor else f"it requeues itself, and may start {later}"
    by_slurm = f"Slurm requeues it, and it may start {later}"
    match facts.preempt_mode, facts.grace_seconds > 0:
        case "OFF", _:
            return "Slurm does not preempt this job; at its time limit it saves and continues in the next attempt"
        case "SUSPEND", _:
            return "a preempted training stands still, keeps its GPUs' memory, and goes on later; it loses nothing"
        case "REQUEUE", False:
            return f"a preempted training gets {signal} and saves before KillWait is over; {by_slurm}"
        case "CANCEL", False:
            return f"a preempted training gets {signal}; {new_job}; it saves before KillWait is over"
        case "CANCEL", _ if site.leaving_is_preemption:
            return f"a preempted training gets {signal}, saves and leaves in its grace time; {new_job}"
        case _ if site.leaving_is_preemption and not prefers_successor:
            return f"a preempted training gets {signal}, saves and leaves in its grace time; {by_slurm}"
        case _:
            return f"a preempted training gets {signal}, and saves in its grace time; {itself}"


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
