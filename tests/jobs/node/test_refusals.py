"""How an attempt leaves where something is refused: a new job, a requeue, the journal; and what it may not touch."""

import errno
import os
import signal
from dataclasses import replace
from typing import Any

import pytest
from entries import named

from callbacks.shared.journal import Journal
from callbacks.shared.stop_file import StopFile, is_asked_to_stop
from jobs.node import handover
from jobs.node.handover import leave
from jobs.node.lease import Lease

PREEMPTED = {"PreemptTime": "1500", "EndTime": "1510"}


def test_successor_that_is_refused_fails_and_says_what_to_type(here: Any) -> None:
    here.slurm.job_is(**PREEMPTED, Requeue="0")
    here.slurm.refuses("sbatch", "sbatch: error: QOSMaxSubmitJobPerUserLimit\n")
    decision = leave(here.attempt, "preempted")
    assert decision.action == "fail"
    assert "QOSMaxSubmitJobPerUserLimit" in decision.reason and "regrow resume" in decision.reason
    assert len(named(here.entries, "successor_failed")) == 1


@pytest.mark.parametrize(("cause", "action"), [("preempted", "requeue"), ("crashed", "fail"), ("not_started", "fail")])
def test_journal_that_cannot_be_written_keeps_no_preempted_job_from_coming_back(
    here: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cause: Any, action: str
) -> None:
    """A crash must be counted: a job that crashes again and again would come back for ever."""
    here.slurm.job_is(**(PREEMPTED if cause == "preempted" else {}))

    def full(*arguments: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(Journal, "write", full)
    monkeypatch.setattr(Lease, "release", full)
    monkeypatch.setattr("jobs.node.view.read_journal", full)
    assert leave(here.attempt, cause).action == action
    assert here.slurm.asked == (["scontrol requeue 2"] if action == "requeue" else [])
    assert "the journal cannot be written: [Errno 122] Disk quota exceeded" in capsys.readouterr().out


def test_job_comes_back_itself_if_its_user_may_have_no_more_jobs(here: Any) -> None:
    here = here.at_site(version="24.11.5", preempt_mode="CANCEL")
    here.slurm.job_is(**PREEMPTED)
    here.slurm.refuses("sbatch", "sbatch: error: AssocMaxSubmitJobLimit\n")
    decision = leave(here.attempt, "preempted")
    assert decision.action == "requeue" and "AssocMaxSubmitJobLimit" in decision.reason
    assert here.slurm.asked[-1] == "scontrol requeue 2"
    assert [entry.job_id for entry in named(here.entries, "requeued")] == ["2"]


def test_neither_a_new_job_nor_a_requeue_is_asked_for_twice(here: Any) -> None:
    here.slurm.job_is()
    here.slurm.refuses("scontrol-requeue", "Operation not permitted\n")
    here.slurm.refuses("sbatch", "sbatch: error: AssocMaxSubmitJobLimit\n")
    assert leave(here.attempt, "timed_out").action == "fail"
    assert [question.split()[:2] for question in here.slurm.asked].count(["scontrol", "requeue"]) == 1


@pytest.mark.parametrize(("cause", "action"), [("config", "fail"), ("superseded", "exit")])
def test_job_that_ends_with_an_error_is_not_held_where_requeues_are_expedited(
    here: Any, cause: Any, action: str
) -> None:
    here = here.at_site(version="26.05.5", preempt_mode="OFF", expedited_requeue=True)
    here.says("submitted", "train-2-0-stage", stage="train", job_id="7", successor_of="2")
    assert leave(here.attempt, cause).action == action
    assert here.slurm.asked == ["scontrol update JobId=2 Requeue=0"]


def test_attempt_that_another_one_of_the_same_job_has_replaced_does_not_touch_the_job(here: Any) -> None:
    here = here.at_site(version="26.05.5", expedited_requeue=True)
    assert leave(here.attempt, "superseded").action == "exit"
    assert here.slurm.asked == []


def test_job_that_must_stay_does_so_for_as_long_as_the_site_s_grace(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = here.at_site(grace_seconds=3600)
    here.slurm.job_is(**PREEMPTED)
    here.slurm.refuses("scontrol-requeue", "Operation not permitted\n")
    waits: list[float] = []
    clock = iter(range(0, 100_000, 100))
    monkeypatch.setattr(handover, "monotonic", lambda: next(clock))
    monkeypatch.setattr(handover, "next_signal", waits.append)
    assert leave(here.attempt, "preempted").action == "stay"
    assert max(waits) > 3600


def test_ranks_are_asked_to_save_though_nothing_else_can_be_done(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Ranks:
        ended = False

        def end(self) -> None:
            self.ended = True

    here.slurm.job_is(**PREEMPTED)
    here.says("training_began", "rank0", step=0, target_step=9)
    monkeypatch.setattr(Journal, "write", full)
    attempt, ranks = replace(here.attempt, on_stop=full), Ranks()
    with StopFile() as file:
        attempt._stop(ranks, file, signal.SIGUSR2)
        assert is_asked_to_stop(file.path)
    assert attempt.stop_cause == "preempted"
    assert not ranks.ended
