"""The timeline of the attempts: it shows how each one ended, and is readable for any number of attempts."""

from typing import Any

import pytest

from callbacks.shared.journal import Entry
from jobs.history.time_spent import attempt_times, total
from jobs.node.requeue_policy import Cause
from jobs.report.endings import ENDINGS
from jobs.report.timeline import LAST_TICK, MOST_ROWS, MOST_TICKS, Timeline, part_names, shares, timeline


def seen(entries: list[Entry], status: str = "FINISHED") -> Timeline:
    return timeline(attempt_times(entries), status, part_names(entries))


def test_rows_say_which_attempt_and_how_it_ended(preempted: list[Entry]) -> None:
    rows = seen(preempted).rows
    assert [(row.label, row.ending) for row in rows] == [
        ("prepare", "finished"),
        ("train, attempt 1", "preempted"),
        ("train, attempt 2", "preempted"),
        ("train, attempt 3", "finished"),
        ("evaluate final 1/2", "finished"),
        ("evaluate final 2/2", "finished"),
    ]
    assert rows[1].facts == ("job 2", "gpu-1", "steps 0 to 30", "waited 8s", "ran 45s")
    assert [bar.kind for bar in rows[1].bars] == ["queued", "taken"]


def test_bars_lie_within_the_row_and_follow_each_other(preempted: list[Entry]) -> None:
    for row in seen(preempted).rows:
        queued, ran = row.bars
        assert queued.start + queued.width == pytest.approx(ran.start, abs=0.02)
        assert 0 <= queued.start <= ran.start + ran.width <= 100.02


def test_hundreds_of_array_tasks_stay_readable(journal: Any) -> None:
    journal.say(0, "submitted", "login-1-cli", stage="evaluate", parts=list(range(400)), job_id="3")
    for part in range(400):
        journal.evaluate_part(5 + part, part, 400)
    journal.start(500, "evaluate", "3_17", 1, part=17)
    journal.leave(501, "evaluate", "3_17", "crashed", 1, part=17)
    entries = journal.done()
    rows = seen(entries).rows
    assert len(rows) == MOST_ROWS + 1
    assert "evaluate final 18/400, attempt 2" in [row.label for row in rows], "what went wrong comes first"
    assert (rows[-1].label, rows[-1].ending) == ("evaluate, 389 more attempts", "389 finished")
    spent = sum(row.spent.allocated for row in rows)
    assert spent == pytest.approx(total(attempt_times(entries)).allocated), "none is lost from the sums"


def test_attempt_at_work_is_not_gone(journal: Any) -> None:
    journal.say(0, "submitted", "login-1-cli", stage="train", job_id="2")
    journal.train(5, 0, 0, 20, 80)
    journal.train(60, 1, 20, 40, 80)
    entries = journal.done()
    assert [row.ending for row in seen(entries, "RUNNING").rows] == ["ended without a message", "still running"]
    assert [row.ending for row in seen(entries, "FAILED").rows] == ["ended without a message"] * 2


def test_every_cause_has_words() -> None:
    assert set(Cause.__args__) <= set(ENDINGS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("seconds", [0.01, 3, 95, 1000, 8 * 3600, 3 * 86400, 40 * 86400, 300 * 86400])
def test_time_axis_has_a_few_ticks(journal: Any, seconds: float) -> None:
    journal.start(0, "prepare", "1")
    journal.finish(seconds, "prepare", "1")
    ticks = seen(journal.done()).ticks
    assert len(ticks) <= MOST_TICKS
    assert all(0 <= at <= LAST_TICK for at, _ in ticks)
    assert ticks or seconds < 1


def test_shares_fill_the_bar(preempted: list[Entry]) -> None:
    pieces = list(shares(total(attempt_times(preempted))))
    assert sum(piece.width for piece in pieces) == pytest.approx(100, abs=0.1)
    assert {piece.kind for piece in pieces} >= {"queued", "starting", "productive", "replayed"}
