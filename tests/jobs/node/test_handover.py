"""How an attempt leaves: it looks once, decides once, and writes the decision before it acts. No job comes back that must not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from entries import named

from jobs.history.submissions import awaited
from jobs.node.attempt import Stopped
from jobs.node.handover import finish, leave
from jobs.node.successors import prepare_to_leave, rejoin
from jobs.node.view import look

PREEMPTED = {"PreemptTime": "1500", "EndTime": "1510"}


def test_preempted_attempt_requeues_its_job_once_it_has_said_so_and_let_the_lease_go(here: Any) -> None:
    here.slurm.job_is(**PREEMPTED)
    here.says("saved", "rank0", step=12)
    decision = leave(here.attempt, "preempted")
    assert decision.action == "requeue"
    assert here.slurm.asked == ["scontrol requeue 2"]
    assert here.slurm.journal_at("scontrol requeue")[-1] == "left"
    (left,) = named(here.entries, "left")
    assert (left.cause, left.action, left.step) == ("preempted", "requeue", 12)
    assert [entry.job_id for entry in named(here.entries, "requeued")] == ["2"]
    assert not here.attempt.spec.paths.lease.exists()


def test_job_that_slurm_has_requeued_meanwhile_is_not_requeued_again(here: Any) -> None:
    here.slurm.job_is(JobState="COMPLETING", Restarts="1")
    assert leave(here.attempt, "preempted").action == "exit"
    assert here.slurm.asked == []
    assert [entry.cause for entry in named(here.entries, "left")] == ["requeued"]


@pytest.mark.parametrize("cause", ["preempted", "timed_out", "crashed", "signalled"])
def test_job_that_somebody_has_cancelled_is_not_brought_back(here: Any, cause: str) -> None:
    here.slurm.job_is(JobState="COMPLETING", EndTime="1200", TimeLimit="01:00:00")
    assert leave(here.attempt, cause).action == "exit"  # type: ignore[arg-type]
    assert here.slurm.asked == []
    assert [entry.cause for entry in named(here.entries, "left")] == ["cancelled"]


def test_run_that_somebody_has_cancelled_is_not_brought_back_though_slurm_knows_nothing_yet(here: Any) -> None:
    here.slurm.job_is(**PREEMPTED)
    here.says("cancel_requested", "login-2-cli", job_ids=["2"])
    assert leave(here.attempt, "preempted").action == "exit"
    assert here.slurm.asked == []


def test_requeue_that_is_pending_already_is_done(here: Any) -> None:
    here.slurm.job_is(**PREEMPTED)
    here.slurm.refuses("scontrol-requeue", "Job is pending execution\n")
    assert leave(here.attempt, "preempted").action == "requeue"
    assert len(named(here.entries, "requeued")) == 1


def test_job_that_cannot_be_requeued_is_followed_by_a_new_one_that_the_dependent_waits_for(here: Any) -> None:
    here.slurm.job_is()
    here.slurm.refuses("scontrol-requeue", "Operation not permitted\n")
    assert leave(here.attempt, "timed_out").action == "successor"
    assert [entry.error for entry in named(here.entries, "requeue_failed")] == ["Operation not permitted"]
    (successor,) = [entry for entry in named(here.entries, "submitted") if entry.successor_of]
    assert (successor.job_id, successor.successor_of, successor.after) == ("7", "2", "afterany:2")
    assert here.slurm.asked[-1] == "scontrol update JobId=3 Dependency=afterok:7"
    assert awaited(here.entries, "train") == ["7"]


def test_job_that_may_not_be_requeued_is_followed_by_a_new_one(here: Any) -> None:
    here.slurm.job_is(**PREEMPTED, Requeue="0")
    assert leave(here.attempt, "preempted").action == "successor"
    assert not [question for question in here.slurm.asked if question.startswith("scontrol requeue")]


def test_successor_is_submitted_before_the_save_of_a_job_that_is_over_and_only_once(here: Any) -> None:
    here = here.at_site(preempt_mode="CANCEL")
    here.slurm.job_is(JobState="COMPLETING", PreemptTime="1500", EndTime="1500")
    here.attempt.stop_cause = "evicted"
    prepare_to_leave(here.attempt)
    assert len(named(here.entries, "submitted")) == 5
    assert leave(here.attempt, "evicted").action == "successor"
    assert len(named(here.entries, "submitted")) == 5


@pytest.mark.parametrize("version", ["24.05.0-0rc1", "24.11.5", "26.05.5"])
def test_new_slurm_requeues_a_preempted_job_that_just_leaves(here: Any, version: str) -> None:
    here = here.at_site(version=version)
    here.slurm.job_is(**PREEMPTED)
    assert leave(here.attempt, "preempted").action == "leave"
    assert here.slurm.asked == []  # `scontrol requeue` would leave a flag on the job (24.11)


def test_new_slurm_ends_a_preempted_job_at_a_site_that_cancels(here: Any) -> None:
    here = here.at_site(version="24.11.5", preempt_mode="CANCEL")
    here.slurm.job_is(**PREEMPTED)
    assert leave(here.attempt, "preempted").action == "successor"
    assert here.slurm.asked[1:] == ["scontrol update JobId=3 Dependency=afterok:7", "scontrol update JobId=2 Requeue=0"]


@pytest.mark.parametrize("cause", ["config", "crashed"])
def test_new_slurm_must_not_requeue_what_failed_in_its_grace(here: Any, cause: str) -> None:
    for attempt in range(3):
        here.says("left", f"train-1-{attempt}-stage", stage="train", cause="crashed", step=attempt)
    here = here.at_site(version="24.11.5")
    here.slurm.job_is(**PREEMPTED)
    assert leave(here.attempt, cause).action == "fail"  # type: ignore[arg-type]
    assert here.slurm.asked == ["scontrol update JobId=2 Requeue=0"]


def test_new_slurm_is_asked_to_requeue_a_job_that_is_not_preempted(here: Any) -> None:
    here = here.at_site(version="24.11.5")
    assert leave(here.attempt, "timed_out").action == "requeue"
    assert here.slurm.asked == ["scontrol requeue 2"]


@pytest.mark.parametrize("mode", ["REQUEUE", "CANCEL"])
def test_dependents_of_finished_work_start_whatever_new_slurm_calls_the_job(here: Any, mode: str) -> None:
    here = here.at_site(version="24.11.5", preempt_mode=mode)
    finish(here.attempt)
    assert here.slurm.asked == ["scontrol update JobId=3 Dependency=", "scontrol update JobId=2 Requeue=0"]
    assert [(moved.job_id, moved.to) for moved in named(here.entries, "dependent_moved")] == [("3", [])]


@pytest.mark.parametrize(("version", "mode"), [("22.05.8", "REQUEUE"), ("24.11.5", "OFF")])
def test_slurm_is_not_asked_at_the_end_where_it_counts_by_the_exit_code(here: Any, version: str, mode: str) -> None:
    finish(here.at_site(version=version, preempt_mode=mode).attempt)
    assert here.slurm.asked == []


def test_job_that_is_started_though_it_has_a_successor_ends_at_once(here: Any) -> None:
    here.says("submitted", "train-2-0-stage", stage="train", job_id="7", successor_of="2")
    with pytest.raises(Stopped):
        rejoin(here.attempt)
    assert here.attempt.stop_cause == "superseded"


def test_attempt_that_has_some_grace_left_prepares_nothing(here: Any) -> None:
    here.attempt.stop_cause = "preempted"
    prepare_to_leave(here.attempt)
    assert here.slurm.asked == []


def test_budgets_count_the_attempts_since_somebody_typed(here: Any) -> None:
    for attempt in range(3):
        here.says("left", f"train-1-{attempt}-stage", stage="train", cause="crashed", step=attempt)
    assert leave(here.attempt, "crashed").action == "fail"
    here.says("submitted", "login-9-cli", stage="train", job_id="9")
    assert look(here.attempt).situation("crashed").crashes == 1


def test_two_crashes_at_one_step_end_the_run_and_a_preemption_between_them_does_not(here: Any) -> None:
    here.says("saved", "rank0", step=4)
    here.says("left", "train-1-0-stage", stage="train", cause="crashed", step=4)
    assert look(here.attempt).situation("crashed").is_stuck
    assert not look(here.attempt).situation("preempted").is_stuck
    here.says("saved", "rank0", step=8)
    assert not look(here.attempt).situation("crashed").is_stuck


def test_node_without_scontrol_says_what_to_type(here: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing here"))
    here = here.at_site(preempt_mode="CANCEL")
    decision = leave(here.attempt, "preempted")
    assert (decision.action, "regrow resume" in decision.reason) == ("fail", True)


def test_job_of_a_run_that_was_cancelled_meanwhile_ends_at_once(here: Any) -> None:
    here.says("cancel_requested", "login-2-cli")
    with pytest.raises(Stopped):
        rejoin(here.attempt)
    assert here.attempt.stop_cause == "cancelled"


def test_successor_sees_to_it_that_the_dependent_waits_for_it(here: Any) -> None:
    here.says("submitted", "train-2-0-stage", stage="train", job_id="7", successor_of="2")
    rejoin(replace(here.attempt, job_id="7"))
    assert here.slurm.asked == ["scontrol update JobId=3 Dependency=afterok:7"]


def test_journal_is_read_once_and_the_job_asked_for_once(here: Any) -> None:
    here.slurm.job_is(**PREEMPTED)
    leave(here.attempt, "preempted")
    questions = (here.slurm.folder / "asked").read_text().splitlines()
    assert questions == ["scontrol show job --oneliner 2", "scontrol requeue 2"]
