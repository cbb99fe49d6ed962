"""The requeue table, and what a signal means according to the job's record."""

from dataclasses import replace
from typing import get_args

import pytest

from jobs.node.requeue_policy import Action, Cause, Fate, Situation, decide, stop_cause
from jobs.slurm.answers import JobRecord

CAUSES: tuple[Cause, ...] = get_args(Cause)
GOOD = Situation()
RUNNING = JobRecord("RUNNING", restarts=0, requeueable=True, preempt_time=None, end_time=10_000, limit_end=10_000)
ENDING = replace(RUNNING, state="COMPLETING", end_time=1000)


@pytest.mark.parametrize(
    ("cause", "changes", "action"),
    [
        ("finished", {}, "exit"),
        ("finished", {"can_ask": False}, "exit"),
        ("config", {}, "fail"),
        ("unsaved", {}, "fail"),
        ("cancelled", {}, "exit"),
        ("cancelled", {"prefer_successor": True}, "exit"),
        ("cancelled", {"requeueable": False}, "exit"),
        ("requeued", {}, "exit"),
        ("requeued", {"can_ask": False}, "exit"),
        ("preempted", {}, "requeue"),
        ("preempted", {"site_requeues": False}, "requeue"),
        ("preempted", {"can_ask": False}, "stay"),
        ("preempted", {"can_ask": False, "site_requeues": False}, "fail"),
        ("preempted", {"requeueable": False}, "successor"),
        ("preempted", {"prefer_successor": True}, "successor"),
        ("preempted", {"crashes": 99, "timeouts": 99, "is_stuck": True}, "requeue"),
        ("superseded", {}, "exit"),
        ("expired", {}, "successor"),
        ("expired", {"timeouts": 21}, "fail"),
        ("expired", {"is_stuck": True}, "fail"),
        ("evicted", {}, "successor"),
        ("evicted", {"can_ask": False}, "fail"),
        ("preempted", {"when_it_leaves": "requeued"}, "leave"),
        ("preempted", {"when_it_leaves": "requeued", "can_ask": False}, "leave"),
        ("preempted", {"when_it_leaves": "requeued", "prefer_successor": True}, "successor"),
        ("preempted", {"when_it_leaves": "ended", "site_requeues": False}, "successor"),
        ("preempted", {"when_it_leaves": "ended", "site_requeues": False, "can_ask": False}, "fail"),
        ("preempted", {"when_it_leaves": "ended", "requeueable": False}, "successor"),
        ("finished", {"when_it_leaves": "requeued"}, "exit"),
        ("crashed", {"when_it_leaves": "requeued"}, "leave"),
        ("crashed", {"when_it_leaves": "requeued", "crashes": 4}, "fail"),
        ("config", {"when_it_leaves": "requeued"}, "fail"),
        ("timed_out", {"when_it_leaves": "requeued"}, "leave"),
        ("timed_out", {"when_it_leaves": "ended"}, "successor"),
        ("unknown", {"when_it_leaves": "requeued", "can_ask": False}, "leave"),
        ("unknown", {"when_it_leaves": "ended", "site_requeues": False, "can_ask": False}, "fail"),
        ("timed_out", {}, "requeue"),
        ("timed_out", {"timeouts": 20}, "requeue"),
        ("timed_out", {"timeouts": 21}, "fail"),
        ("timed_out", {"is_stuck": True}, "fail"),
        ("timed_out", {"can_ask": False}, "fail"),
        ("timed_out", {"prefer_successor": True}, "successor"),
        ("crashed", {}, "requeue"),
        ("crashed", {"crashes": 3}, "requeue"),
        ("crashed", {"crashes": 4}, "fail"),
        ("crashed", {"is_stuck": True}, "fail"),
        ("crashed", {"has_slurm": False}, "fail"),
        ("crashed", {"can_ask": False}, "fail"),
        ("not_started", {}, "requeue"),
        ("not_started", {"is_stuck": True}, "requeue"),
        ("not_started", {"crashes": 4}, "fail"),
        ("signalled", {}, "requeue"),
        ("signalled", {"has_slurm": False}, "fail"),
        ("unknown", {"can_ask": False}, "stay"),
        ("unknown", {"can_ask": False, "site_requeues": False}, "fail"),
        ("unknown", {}, "stay"),
        ("unknown", {"site_requeues": False}, "fail"),
    ],
)
def test_table(cause: Cause, changes: dict[str, object], action: Action) -> None:
    assert decide(cause, replace(GOOD, **changes)).action == action


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("prefer_successor", [False, True])
@pytest.mark.parametrize("requeueable", [False, True])
@pytest.mark.parametrize("can_ask", [False, True])
@pytest.mark.parametrize("site_requeues", [False, True])
@pytest.mark.parametrize("when_it_leaves", get_args(Fate))
def test_every_decision_has_a_reason_and_only_what_may_come_back_does(
    cause: Cause, prefer_successor: bool, requeueable: bool, can_ask: bool, site_requeues: bool, when_it_leaves: Fate
) -> None:
    situation = Situation(
        can_ask=can_ask,
        site_requeues=site_requeues,
        requeueable=requeueable,
        prefer_successor=prefer_successor,
        when_it_leaves=when_it_leaves,
    )
    decision = decide(cause, situation)
    assert decision.reason
    if cause in ("finished", "config", "unsaved", "cancelled", "requeued", "superseded"):
        assert decision.action in ("exit", "fail")
    if not can_ask:
        assert decision.action in ("exit", "leave", "stay", "fail")
    if decision.action == "requeue":
        assert requeueable and not prefer_successor and when_it_leaves == "as it exits"
    if decision.action == "leave":
        assert when_it_leaves == "requeued"


def test_budget_is_named_with_its_figures() -> None:
    assert (
        decide("crashed", replace(GOOD, crashes=4)).reason
        == "regrow.requeue.max_crashes: 3, and the stage has crashed 4 times"
    )


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (RUNNING, "signalled"),
        (replace(RUNNING, end_time=1100, limit_end=1100), "timed_out"),
        (replace(RUNNING, preempt_time=1000, end_time=1010), "preempted"),
        (replace(RUNNING, preempt_time=1000, end_time=1010, state="SIGNALING"), "preempted"),
        (replace(RUNNING, state="SIGNALING"), "signalled"),
        (replace(ENDING, restarts=1), "requeued"),
        (replace(RUNNING, state="PENDING", restarts=1), "requeued"),
        (replace(ENDING, preempt_time=1000), "evicted"),
        (replace(ENDING, preempt_time=995), "cancelled"),  # scancel, within the grace
        (ENDING, "cancelled"),
        (replace(ENDING, end_time=10_000), "expired"),  # the time limit itself, not its warning
        (replace(RUNNING, end_time=None, limit_end=None), "signalled"),  # no time limit
    ],
)
def test_record_tells_the_causes_apart(record: JobRecord, cause: Cause) -> None:
    assert stop_cause(record, 0, now=1000, ends_at=None, warning=60) == cause


def test_without_a_record_only_the_clock_is_left() -> None:
    assert stop_cause(None, 0, now=1000, ends_at=1100, warning=60) == "timed_out"
    assert stop_cause(None, 0, now=1000, ends_at=9000, warning=60) == "unknown"
    assert stop_cause(None, 0, now=1000, ends_at=None, warning=60) == "unknown"
    assert stop_cause(None, 0, now=1000, ends_at=9000, warning=60, is_warning=True) == "timed_out"


def test_restarts_before_this_attempt_do_not_count() -> None:
    assert stop_cause(replace(RUNNING, restarts=2), 2, now=1000, ends_at=None, warning=60) == "signalled"
