"""The journal's order is that in which things happened, however far apart the clocks of the machines are."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from entries import fresh

from callbacks.shared import events, journal
from callbacks.shared.events import Event
from callbacks.shared.journal import Journal, know_newest, read_journal
from callbacks.shared.projection import PointId, Projection

REAL_TIME = time.time
CLOCKS = (-600.0, 0.0, 600.0)
"""Seconds by which a machine's clock is off."""


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """From now on this is a new process on a machine whose clock is off by so many seconds."""

    def switch(off: float) -> None:
        monkeypatch.setattr(journal.time, "time", lambda: REAL_TIME() + off)
        monkeypatch.setattr(journal, "_BEHIND", {})

    return switch


def types(folder: Path) -> list[type[Event]]:
    return [type(entry) for entry in read_journal(folder)]


@pytest.mark.parametrize("login", CLOCKS)
@pytest.mark.parametrize("first", CLOCKS)
@pytest.mark.parametrize("second", CLOCKS)
def test_whoever_has_read_comes_after(
    login: float, first: float, second: float, tmp_path: Path, on: Callable[[float], None]
) -> None:
    """A submit, an attempt, a cancel and a resume on the login node, an attempt on another node with its rank."""
    on(login)
    Journal(tmp_path / "login-1-cli.jsonl").write(events.Submitted(stage="train", job_id="1"))
    on(first)
    know_newest(tmp_path)
    Journal.of_writer(str(tmp_path / "train-1-0"), "stage").write(events.RanksStarted(world_size=1, checkpoint=None))
    Journal.of_writer(str(tmp_path / "train-1-0"), "rank0").write(events.Saved(step=3))
    on(login)
    read_journal(tmp_path)
    Journal(tmp_path / "login-2-cli.jsonl").write(events.CancelRequested())
    on(login)
    read_journal(tmp_path)
    Journal(tmp_path / "login-3-cli.jsonl").write(fresh("foreground"))
    on(second)
    know_newest(tmp_path)
    Journal.of_writer(str(tmp_path / "train-2-0"), "stage").write(events.RanksStarted(world_size=1, checkpoint=None))
    on(second)  # a process that reads only what the stage has said
    rank = Journal.of_writer(str(tmp_path / "train-2-0"), "rank0")
    rank.write(events.TrainingBegan(step=3, target_step=9))
    rank.write(events.Finished(step=9))
    assert types(tmp_path) == [
        events.Submitted,
        events.RanksStarted,
        events.Saved,
        events.CancelRequested,
        events.Foreground,
        events.RanksStarted,
        events.TrainingBegan,
        events.Finished,
    ]


def test_times_stay_those_of_the_machine(tmp_path: Path, on: Callable[[float], None]) -> None:
    """Durations are differences of one clock."""
    on(600)
    ahead = Journal(tmp_path / "a.jsonl").write(fresh("foreground"))
    on(0)
    read_journal(tmp_path)
    here = Journal(tmp_path / "b.jsonl").write(events.CancelRequested())
    assert ahead.time - here.time == pytest.approx(600, abs=60)
    assert here.order > ahead.order and here.behind == pytest.approx(600, abs=60)
    assert '"behind"' not in (tmp_path / "a.jsonl").read_text()


def test_of_a_step_that_another_node_did_again_its_value_counts(tmp_path: Path, on: Callable[[float], None]) -> None:
    on(600)
    Journal(tmp_path / "train-1-0-rank0.jsonl").write(events.Metrics(step=3, values={"loss": 0.5}))
    on(0)
    know_newest(tmp_path)
    Journal(tmp_path / "train-1-1-rank0.jsonl").write(events.Metrics(step=3, values={"loss": 0.4}))
    first, second = read_journal(tmp_path)
    found = Projection()
    found.add([first, second])
    assert found.points[PointId("loss", 3, second.order)] == (second.order, 0.4)
