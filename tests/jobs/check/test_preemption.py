"""What `regrow check --cluster` says about preemption at a site is what the stages do there."""

from itertools import product

import pytest

from jobs.check.preemption import what_preemption_means
from jobs.node.requeue_policy import Cause, Fate, Situation, decide
from jobs.spec.site_facts import PartitionFacts, SiteFacts

SAID = {
    "leave": "Slurm requeues it",
    "exit": "Slurm requeues it",
    "requeue": "it requeues itself",
    "successor": "a new job",
}
"""By what an attempt does when it leaves (`exit`: Slurm has requeued the job already)."""


@pytest.mark.parametrize(
    ("version", "mode", "grace", "prefers_successor"),
    list(product(("22.05.8", "24.11.5"), ("REQUEUE", "CANCEL"), (0, 10), (False, True))),
)
def test_it_says_who_brings_a_preempted_training_back(
    version: str, mode: str, grace: int, prefers_successor: bool
) -> None:
    facts = PartitionFacts(preempt_mode=mode, grace_seconds=grace, max_minutes=None)
    site = SiteFacts(version=version, user_signal=True, kill_wait_seconds=5, job_requeue=True, cred_expire_seconds=120,
                     max_array_size=1001, accounting=False, partitions={"train": {"gpu": facts}})  # fmt: skip
    requeues = mode == "REQUEUE"
    fate: Fate = "as it exits" if not site.leaving_is_preemption else "requeued" if requeues else "ended"
    cause: Cause = "preempted" if grace else "requeued" if requeues else "evicted"
    situation = Situation(site_requeues=requeues, prefer_successor=prefers_successor, when_it_leaves=fate)
    said = what_preemption_means(site, facts, prefers_successor)
    action = decide(cause, situation).action
    assert SAID[action] in said
    assert ("121 s later" in said) == (action != "successor")


def test_it_says_when_nothing_is_lost_and_when_a_requeue_is_expedited() -> None:
    site = SiteFacts(version="26.05.5", user_signal=False, kill_wait_seconds=5, job_requeue=True, cred_expire_seconds=120,
                     max_array_size=1001, accounting=False, partitions={}, expedited_requeue=True)  # fmt: skip
    modes = {mode: PartitionFacts(preempt_mode=mode, grace_seconds=10, max_minutes=None)
             for mode in ("OFF", "SUSPEND", "REQUEUE")}  # fmt: skip
    said = {mode: what_preemption_means(site, facts, False) for mode, facts in modes.items()}
    assert "does not preempt" in said["OFF"]
    assert "stands still" in said["SUSPEND"]
    assert "TERM" in said["REQUEUE"] and said["REQUEUE"].endswith("may start at once")
