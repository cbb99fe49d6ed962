"""What the journal says about budgets: counted since somebody typed submit or resume, over requeues and successors."""

from typing import Any

from callbacks.journal import Entry
from jobs.leaving import has_successor, is_cancelled, job_ids, saved_step, since_submission


def submitted(stage: str, job_id: str, **fields: Any) -> Entry:
    return {"event": "submitted", "stage": stage, "job_id": job_id, **fields}


def left(cause: str) -> Entry:
    return {"event": "left", "stage": "train", "cause": cause}


def test_budgets_begin_anew_when_somebody_types_resume_and_go_on_over_successors() -> None:
    entries = [
        submitted("train", "2"), left("crashed"),
        submitted("train", "5", successor_of="2"), left("timed_out"),
        submitted("train", "7"), left("preempted"),
        submitted("train", "8", successor_of="7"), left("crashed"),
    ]  # fmt: skip
    causes = [entry["cause"] for entry in since_submission(entries, "train") if entry["event"] == "left"]
    assert causes == ["preempted", "crashed"]
    assert since_submission(entries[:4], "train") == entries[:4]


def test_newest_job_of_a_stage_is_its_successor() -> None:
    entries = [submitted("train", "2"), submitted("evaluate", "3"), submitted("train", "5", successor_of="2")]
    assert job_ids(entries) == {"train": "5", "evaluate": "3"}
    assert has_successor(entries, "2")
    assert not has_successor(entries, "5")


def test_run_is_cancelled_until_somebody_types_resume() -> None:
    cancel: Entry = {"event": "cancel_requested"}
    entries = [submitted("train", "2"), cancel, submitted("train", "3", successor_of="2")]
    assert is_cancelled(entries)
    assert not is_cancelled([*entries, submitted("train", "4")])
    assert not is_cancelled([])


def test_saved_step_is_the_highest() -> None:
    assert saved_step([]) is None
    assert saved_step([{"event": "saved", "step": 12}, {"event": "saved", "step": 8}]) == 12
