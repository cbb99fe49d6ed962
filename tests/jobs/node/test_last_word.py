"""The batch script's last command: it acts only if the stage could not write to the journal itself."""

import os
import subprocess
import sys
from typing import Any

import pytest
from entries import named
from world import REPO_ROOT

from jobs.node.last_word import START_PAUSE_SECONDS, main


def last_word(here: Any, code: int) -> None:
    """Run the last command as the batch script of job 2 does."""
    command = [sys.executable, "-m", "jobs.node.last_word", str(here.attempt.spec.paths.run_dir), "train", str(code)]
    environment = {**os.environ, "PYTHONPATH": str(REPO_ROOT), "SLURM_JOB_ID": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_killed_stage_is_requeued_as_crashed(here: Any) -> None:
    here.says("stage_started", stage="train", job_id="2")
    last_word(here, 137)
    (left,) = named(here.entries, "left")
    assert (left.cause, left.action, left.writer) == ("crashed", "requeue", "train-2-0-last_word")
    assert "exit code was 137" in left.message
    assert here.slurm.asked == ["scontrol requeue 2"]


def test_stage_that_was_killed_in_its_grace_was_preempted_and_costs_no_budget(here: Any) -> None:
    here.slurm.job_is(PreemptTime="1500", EndTime="1510")
    last_word(here, 137)
    assert [entry.cause for entry in named(here.entries, "left")] == ["preempted"]


def test_job_whose_stage_slurm_could_not_start_comes_back_after_a_pause(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("jobs.node.last_word.sleep", pauses.append)
    monkeypatch.setattr(sys, "argv", ["last_word", str(here.attempt.spec.paths.run_dir), "train", "1"])
    monkeypatch.setenv("SLURM_JOB_ID", "2")
    main()
    assert [entry.cause for entry in named(here.entries, "left")] == ["not_started"]
    assert here.slurm.asked == ["scontrol requeue 2"]
    assert pauses == [START_PAUSE_SECONDS]


def test_job_that_the_journal_does_not_know_is_left_alone(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["last_word", str(here.attempt.spec.paths.run_dir), "train", "1"])
    monkeypatch.setenv("SLURM_JOB_ID", "99")
    main()
    assert not named(here.entries, "left")
    assert here.slurm.asked == []


def test_budget_that_is_used_up_ends_the_run(here: Any) -> None:
    here.says("stage_started", stage="train", job_id="2")
    for attempt in range(3):
        here.says("left", f"train-2-{attempt + 1}-stage", stage="train", cause="crashed", step=attempt)
    last_word(here, 1)
    (failed,) = named(here.entries, "stage_failed")
    assert "max_crashes" in failed.message
    assert here.slurm.asked == []


@pytest.mark.parametrize(
    ("action", "deed", "fields"),
    [
        ("exit", None, {}),
        ("leave", None, {}),
        ("requeue", "requeued", {"job_id": "2", "by": "stage"}),
        ("successor", "submitted", {"stage": "train", "job_id": "7", "successor_of": "2"}),
        ("fail", "stage_failed", {"stage": "train"}),
    ],
)
def test_stage_that_has_done_what_it_decided_is_left_alone(
    here: Any, action: str, deed: str | None, fields: dict[str, str]
) -> None:
    here.says("left", stage="train", cause="preempted", action=action)
    if deed:
        here.says(deed, **fields)
    known = here.entries
    last_word(here, 1)
    assert here.entries == known
    assert here.slurm.asked == []


def test_what_a_killed_stage_had_decided_is_done_for_it(here: Any) -> None:
    here.slurm.job_is(PreemptTime="1500", EndTime="1510")
    here.says("left", stage="train", cause="preempted", action="requeue")
    last_word(here, 137)
    assert here.slurm.asked == ["scontrol requeue 2"]
    assert len(named(here.entries, "requeued")) == 1


def test_crash_of_a_stage_that_was_killed_while_it_left_counts_once(here: Any) -> None:
    for attempt in range(2):
        here.says("left", f"train-2-{attempt + 1}-stage", stage="train", cause="crashed", step=attempt)
    here.says("left", stage="train", cause="crashed", action="requeue", step=5)
    last_word(here, 137)
    assert here.slurm.asked == ["scontrol requeue 2"]


def test_dependents_of_finished_work_start_though_its_process_was_killed_afterwards(here: Any) -> None:
    here.says("stage_finished", stage="train")
    last_word(here, 137)
    assert here.slurm.asked == ["scontrol update JobId=3 Dependency="]
