"""How the time was spent, tested with journals whose answer is known: every second of an attempt counts exactly once."""

import sys
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from types import FrameType
from typing import Any

import pytest
from entries import entry

from callbacks.shared.journal import Entry
from jobs.history.spent import Spent
from jobs.history.time_spent import attempt_times, steps_lost, total


def started(time: float, stage: str, job_id: str, attempt: int = 0, part: int = 0) -> Entry:
    return entry(time, "stage_started", f"{stage}-{job_id}-{attempt}-stage", stage=stage, part=part, job_id=job_id,
                 attempt=attempt, host="gpu-1")  # fmt: skip


def steps(job: str, *times: tuple[float, int]) -> list[Entry]:
    return [entry(time, "metrics", f"{job}-rank0", step=step, values={"loss": 1.0}) for time, step in times]


PREEMPTED = [
    entry(0, "submitted", "login-1-cli", stage="prepare", job_id="1"),
    entry(0, "submitted", "login-1-cli", stage="train", job_id="2"),
    entry(0, "submitted", "login-1-cli", stage="evaluate", job_id="3"),
    started(5, "prepare", "1"),
    entry(15, "stage_finished", "prepare-1-0-stage", stage="prepare", part=0),
    # first attempt: 10 s queued, 20 s starting, 40 s steps (in them a save of 2 s and evaluations of 8 s), 1 s leaving
    started(25, "train", "2"),
    entry(45, "training_began", "train-2-0-rank0", step=0, target_step=20),
    *steps("train-2-0", (55, 4), (60, 6)),
    entry(68, "metrics", "train-2-0-rank0", step=6, values={"eval_runtime": 3.0}),
    entry(69, "metrics", "train-2-0-rank0", step=6, values={"gen_seconds": 5.0}),
    *steps("train-2-0", (80, 10)),
    entry(85, "saved", "train-2-0-rank0", step=10, seconds=2.0),
    entry(86, "left", "train-2-0-stage", stage="train", part=0, cause="preempted"),
    # killed at step 16 without an entry in the journal; the steps up to 14 were saved
    started(96, "train", "2", 1),
    entry(106, "training_began", "train-2-1-rank0", step=10, target_step=20),
    *steps("train-2-1", (112, 12), (118, 14), (124, 16)),
    started(130, "train", "2", 2),
    entry(140, "training_began", "train-2-2-rank0", step=14, target_step=20),
    *steps("train-2-2", (158, 20)),
    entry(158, "training_ended", "train-2-2-rank0", step=20),
    entry(160, "stage_finished", "train-2-2-stage", stage="train", part=0),
    started(161, "evaluate", "3_0"),
    entry(171, "part_began", "evaluate-3_0-0-generate", part=0),
    entry(181, "generated", "evaluate-3_0-0-generate", part=0, seconds=9.0),
    entry(183, "stage_finished", "evaluate-3_0-0-stage", stage="evaluate", part=0),
]


def test_every_second_of_a_preempted_run_is_told_apart() -> None:
    prepare, first, second, third, evaluated = (each.spent for each in attempt_times(PREEMPTED))
    assert prepare == Spent(queued=5, productive=10)
    assert first == Spent(queued=10, starting=20, productive=30, evaluating=8, saving=2, leaving=1)
    assert second == Spent(queued=10, starting=10, productive=pytest.approx(12), replayed=pytest.approx(6))
    assert third == Spent(queued=6, starting=10, productive=18, leaving=2)
    assert evaluated == Spent(queued=1, starting=10, productive=9, leaving=3)


def test_what_is_told_apart_adds_up_to_what_was_allocated() -> None:
    for each in attempt_times(PREEMPTED):
        assert each.spent.allocated == pytest.approx(each.ended_at - each.started_at)
        assert min(vars(each.spent).values()) >= 0


def test_attempts_say_how_they_ended_and_what_they_trained() -> None:
    attempts = attempt_times(PREEMPTED)
    assert [each.ending for each in attempts] == ["finished", "preempted", "unknown", "finished", "finished"]
    assert [(each.first_step, each.last_step) for each in attempts] == [
        (None, None),
        (0, 10),
        (10, 16),
        (14, 20),
        (None, None),
    ]
    assert steps_lost(attempts) == 2
    spent = total(attempts, "train")
    assert spent.productive == pytest.approx(60)
    assert spent.goodput == pytest.approx(60 / (61 + 28 + 30))
    assert total([]).goodput is None


@pytest.mark.parametrize(
    ("until", "kind", "seconds"),
    [(40, "starting", 12), (58, "productive", 22), (69, "evaluating", 7), (85, "saving", 1)],
)
def test_time_of_a_suspension_is_neither_productive_nor_allocated(until: float, kind: str, seconds: float) -> None:
    """Whatever the training did when it was suspended, that time counts as suspended, and once."""
    suspended = {"starting": 8, "productive": 8, "evaluating": 1, "saving": 1}[kind]
    entries = sorted(
        [*PREEMPTED, entry(until, "suspended", "train-2-0-stage", seconds=suspended)], key=attrgetter("time")
    )
    _, first, *others = (each.spent for each in attempt_times(entries))
    undisturbed = Spent(queued=10, starting=20, productive=30, evaluating=8, saving=2, leaving=1)
    assert first == replace(undisturbed, suspended=suspended, **{kind: seconds})
    assert first.allocated == undisturbed.allocated - suspended
    assert others == [each.spent for each in attempt_times(PREEMPTED)][2:]


def test_attempt_that_was_stopped_before_its_first_step_has_only_started() -> None:
    entries = [
        entry(0, "submitted", "login-1-cli", stage="train", job_id="2"),
        started(3, "train", "2"),
        entry(9, "left", "train-2-0-stage", stage="train", part=0, cause="preempted"),
    ]
    (times,) = attempt_times(entries)
    assert times.spent == Spent(queued=3, starting=6)
    assert attempt_times([]) == []


def evaluation(parts: int) -> list[Entry]:
    """Entries of an evaluation with `parts` parts side by side, ten batches each."""
    entries = [entry(0, "submitted", "login-1-cli", stage="evaluate", job_id="3")]
    for part in range(parts):
        entries.append(started(part, "evaluate", f"3_{part}", part=part))
        writer = f"evaluate-3_{part}-0"
        entries.append(entry(part + 1, "part_began", f"{writer}-generate", part=part))
        entries += [entry(part + 2 + n, "generated", f"{writer}-generate", part=part, seconds=1.0) for n in range(10)]
    return sorted(entries, key=attrgetter("time"))


def instructions(work: Callable[[], object]) -> int:
    """The number of Python bytecode instructions that a call executes. It is the same on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_evaluation_of_many_parts_is_accounted_for_in_proportion_to_its_entries() -> None:
    few, many = evaluation(100), evaluation(200)
    assert total(attempt_times(many), "evaluate").productive == 2000
    assert instructions(lambda: attempt_times(many)) < 2.2 * instructions(lambda: attempt_times(few))
