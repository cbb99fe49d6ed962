"""Slurm's controller does not answer: the attempt asks again, and never asks twice for what was carried out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from entries import named

from jobs.node.handover import leave

PREEMPTED = {"PreemptTime": "1500", "EndTime": "1510"}
AWAY = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What happens in each of the next pauses, in place of the time; a pause for which nothing is left is an error."""
    left: list[Callable[[], None]] = []
    monkeypatch.setattr("jobs.slurm.patience.sleep", lambda seconds: left.pop(0)())
    return left


def test_controller_that_is_away_is_asked_again(here: Any, pauses: list[Callable[[], None]]) -> None:
    here.slurm.job_is(**PREEMPTED)
    here.slurm.refuses("scontrol-show", AWAY)
    pauses += [lambda: None, lambda: here.slurm.accepts("scontrol-show")]
    assert leave(here.attempt, "preempted").action == "requeue"
    assert here.slurm.asked == ["scontrol requeue 2"]
    assert [entry.pause for entry in named(here.entries, "slurm_silent")] == [1, 2]


def test_requeue_that_was_carried_out_without_an_answer_is_not_asked_for_again(
    here: Any, pauses: list[Callable[[], None]]
) -> None:
    here.slurm.job_is(**PREEMPTED)
    here.slurm.refuses("scontrol-requeue", "Unexpected message received\n")
    pauses += [lambda: here.slurm.job_is(JobState="COMPLETING", Restarts="1")]
    assert leave(here.attempt, "preempted").action == "exit"
    assert here.slurm.asked == ["scontrol requeue 2"]
    assert [(left.cause, left.action) for left in named(here.entries, "left")] == [
        ("preempted", "requeue"), ("requeued", "exit")
    ]  # fmt: skip


def test_successor_that_was_accepted_without_an_answer_is_taken(here: Any, pauses: list[Callable[[], None]]) -> None:
    here.slurm.job_is(**PREEMPTED, Requeue="0")
    here.slurm.refuses(
        "sbatch", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"
    )
    word = f"regrow:{here.attempt.spec.run_uuid}:train:afterany:2.0"
    pauses += [lambda: (here.slurm.folder / "squeue").write_text(f"1|else\n8|mine {word}\n") and None]
    assert leave(here.attempt, "preempted").action == "successor"
    assert [entry.job_id for entry in named(here.entries, "submitted") if entry.successor_of] == ["8"]
    assert sum(question.startswith("sbatch") for question in here.slurm.asked) == 1
    assert (here.attempt.spec.paths.slurm / "8_submitted.pkl").exists()  # without it, the job would not know its work


def test_successor_that_nobody_has_accepted_is_submitted_again(here: Any, pauses: list[Callable[[], None]]) -> None:
    here.slurm.job_is(**PREEMPTED, Requeue="0")
    here.slurm.refuses("sbatch", "sbatch: error: Batch job submission failed: Unable to contact slurm controller\n")
    (here.slurm.folder / "squeue").write_text("1|else\n")
    pauses += [lambda: here.slurm.accepts("sbatch")]
    assert leave(here.attempt, "preempted").action == "successor"
    assert [entry.job_id for entry in named(here.entries, "submitted") if entry.successor_of] == ["7"]


def test_attempt_gives_up_at_its_time_limit_and_says_what_to_type(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here.slurm.refuses("scontrol-show", AWAY)
    monkeypatch.setattr("jobs.node.handover.LEAST_PATIENCE_SECONDS", 0)
    decision = leave(replace(here.attempt, started_at=0), "preempted")
    assert (decision.action, "regrow resume" in decision.reason) == ("fail", True)
