"""What the journal says about jobs: budgets since the last typed submission, successors, array tasks, dependencies."""

from typing import Any

import pytest
from entries import entry
from world import REPO_ROOT

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry
from jobs.history.progress import generated_records, reached, saved_step
from jobs.history.submissions import (
    awaited,
    current,
    has_successor,
    is_cancelled,
    is_ours,
    job_ids,
    part_of,
    since_typed,
)
from jobs.slurm.answers import QueuedJob
from jobs.spec.resolve import load_run_spec

TINY = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"


def submitted(stage: str, job_id: str, writer: str = "login-1-cli", **fields: Any) -> Entry:
    return entry(0, "submitted", writer, stage=stage, job_id=job_id, **fields)


def left(cause: str) -> Entry:
    return entry(0, "left", stage="train", cause=cause)


ARRAYS = [
    submitted("evaluate", "20", parts=(0, 1)),
    submitted("report", "21"),
    submitted("evaluate", "30", "login-2-cli", parts=(3, 7, 8)),
    submitted("evaluate", "31", "login-2-cli", parts=(9,)),
    submitted("report", "32", "login-2-cli"),
    submitted("evaluate", "40", "evaluate-30_1-0-stage", parts=(7,), successor_of="30_1"),
    submitted("evaluate", "41", "evaluate-31-0-stage", parts=(9,), successor_of="31"),
]


def test_budgets_begin_anew_when_somebody_types_resume_and_go_on_over_successors() -> None:
    entries = [
        submitted("train", "2"), left("crashed"),
        submitted("train", "5", successor_of="2"), left("timed_out"),
        submitted("train", "7", "login-2-cli"), left("preempted"),
        submitted("train", "8", successor_of="7"), left("crashed"),
    ]  # fmt: skip
    causes = [each.cause for each in only(since_typed(entries, "train"), events.Left)]
    assert causes == ["preempted", "crashed"]
    assert since_typed(entries[:4], "train") == entries[:4]


def test_dependent_of_a_job_waits_for_its_successor() -> None:
    entries = [submitted("train", "2"), submitted("evaluate", "3"), submitted("train", "5", successor_of="2")]
    assert awaited(entries, "train") == ["5"]
    assert awaited(entries, "evaluate") == ["3"]
    assert has_successor(entries, "2")
    assert not has_successor(entries, "5")


def test_dependent_of_arrays_waits_for_all_that_was_typed_last_and_for_the_successors_of_elements() -> None:
    assert awaited(ARRAYS[:2], "evaluate") == ["20"]
    assert awaited(ARRAYS[:5], "evaluate") == ["30", "31"]
    assert awaited(ARRAYS, "evaluate") == ["30", "40", "41"]
    assert [found.job_id for found in current(ARRAYS, "evaluate")] == ["30", "31", "40", "41"]


def test_elements_of_an_array_do_the_parts_that_it_was_submitted_for() -> None:
    assert job_ids(ARRAYS) == ["20_0", "20_1", "21", "30_0", "30_1", "30_2", "31", "32", "40", "41"]
    assert [part_of(ARRAYS, job_id) for job_id in ("30_0", "30_2", "31", "40", "32")] == [3, 8, 9, 7, 0]


def test_run_is_cancelled_until_somebody_types_resume() -> None:
    cancel = entry(0, "cancel_requested")
    entries = [submitted("train", "2"), cancel, submitted("train", "3", successor_of="2")]
    assert is_cancelled(entries)
    assert not is_cancelled([*entries, submitted("train", "4")])
    assert not is_cancelled([])


def test_what_a_stage_has_reached_is_its_newest_save_or_its_generated_records() -> None:
    assert saved_step([]) is None
    assert saved_step([entry(0, "saved", step=12), entry(0, "saved", step=8)]) == 12
    entries = [
        entry(0, "generated", part=1, records=8),
        entry(0, "generated", part=2, records=8),
        entry(0, "generated", part=1, records=3),
        entry(0, "saved", step=4),
    ]
    assert generated_records(entries, 1) == 11
    assert [reached(entries, "evaluate", 1), reached(entries, "evaluate", 0), reached(entries, "train", 0)] == [
        11,
        0,
        4,
    ]


@pytest.mark.parametrize(
    ("job_id", "name", "comment", "is_the_runs"),
    [
        ("2", "one-train", "regrow:{uuid}:train:login-1.0", True),
        ("9", "whatever", "of the project regrow:{uuid}:train:afterany:2.0", True),  # a submission without an answer
        ("2", "one-train", "regrow:another:train:login-1.0", False),  # ids start again with a new cluster
        ("2", "one-train", "", True),  # the site has replaced the comment
        ("2", "notebook", "", False),
        ("9", "one-train", "", False),
    ],
)
def test_job_is_ours_by_its_comment_and_not_by_its_id_alone(
    job_id: str, name: str, comment: str, is_the_runs: bool
) -> None:
    spec = load_run_spec(TINY, "dev", ["slurm_conf=null"], "one")
    job = QueuedJob("RUNNING", "", name=name, comment=comment.format(uuid=spec.run_uuid))
    assert is_ours(spec, job_id, job, {"1", "2", "3"}) == is_the_runs
