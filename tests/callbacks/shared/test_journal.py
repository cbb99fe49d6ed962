"""The journal: whole lines only, merged over writers, the newest value of a step counts."""

import math
import resource
import signal
from pathlib import Path

import pytest
from entries import fresh

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Journal, metric_rows, read_journal


def test_journal_merges_writers_by_time(tmp_path: Path) -> None:
    one, two = (
        Journal.of_writer(str(tmp_path / "train-1-0"), "rank0"),
        Journal.of_writer(str(tmp_path / "train-1-0"), "stage"),
    )
    one.write(events.TrainingBegan(step=0, target_step=9))
    two.write(events.CheckSkipped())
    one.write(events.Saved(step=9))
    entries = read_journal(tmp_path)
    assert [type(entry) for entry in entries] == [events.TrainingBegan, events.CheckSkipped, events.Saved]
    assert (entries[1].writer, entries[1].attempt_name) == ("train-1-0-stage", "train-1-0")


def test_journal_is_appended_by_a_second_process_of_the_same_name(tmp_path: Path) -> None:
    for step in (1, 2):
        Journal(tmp_path / "x.jsonl").write(events.Saved(step=step))
    assert [entry.step for entry in only(read_journal(tmp_path), events.Saved)] == [1, 2]


def test_entry_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    Journal(tmp_path / "x.jsonl").write(events.CheckSkipped())
    with (tmp_path / "x.jsonl").open("a") as file:
        file.write('{"time": 1, "eve')
    assert [type(entry) for entry in read_journal(tmp_path)] == [events.CheckSkipped]


def test_line_cut_off_by_a_full_disk_is_shown_and_hides_nothing_else(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "x.jsonl")
    journal.write(events.Saved(step=1))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails, and not the process
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 20, limit[1]))
    try:
        with pytest.raises(OSError, match=r"full|large"):
            journal.write(events.Reported(summary="x" * 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    journal.write(events.Saved(step=2))
    assert [type(entry) for entry in read_journal(tmp_path)] == [events.Saved, events.TornLine, events.Saved]


def test_metric_rows_take_the_newest_value_of_a_step(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "x.jsonl")
    journal.write(events.Metrics(step=1, values={"loss": 2.0}))
    journal.write(events.Metrics(step=1, values={"eval_loss": 3.0}))
    journal.write(events.Metrics(step=1, values={"loss": 1.0}))
    assert metric_rows(read_journal(tmp_path)) == {1: {"loss": 1.0, "eval_loss": 3.0}}


@pytest.mark.parametrize("kind", events.KINDS.values(), ids=list(events.KINDS))
def test_every_event_is_read_as_it_was_written(kind: type[events.Event], tmp_path: Path) -> None:
    """Whatever stands in its fields: no number, text of every kind."""
    name = str(kind.__struct_config__.tag)
    written = Journal.of_writer(str(tmp_path / "train-1-0"), "rank0").write(fresh(name))
    (read,) = read_journal(tmp_path)
    assert written.time > 0
    written.writer = "train-1-0-rank0"
    assert read == written


def test_numbers_that_json_does_not_know_come_back(tmp_path: Path) -> None:
    values = {"loss": math.nan, "grad_norm": math.inf, "low": -math.inf}
    Journal(tmp_path / "x.jsonl").write(events.Metrics(step=1, values=values))
    (read,) = only(read_journal(tmp_path), events.Metrics)
    assert math.isnan(read.values["loss"])
    assert (read.values["grad_norm"], read.values["low"]) == (math.inf, -math.inf)


def test_events_and_fields_of_another_version_are_skipped(tmp_path: Path) -> None:
    lines = [
        '{"time": 1.0, "event": "telepathy_began", "with": "the scheduler"}',
        '{"time": 2.0, "event": "saved", "step": 7, "mood": "good"}',
        '{"time": 3.0, "event": "left", "stage": "train", "cause": "bored", "action": "exit", "reason": ""}',
        '{"time": 4.0, "event": "training_began", "of": NaN}',
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(lines) + "\n")
    assert [(type(entry), entry.time) for entry in read_journal(tmp_path)] == [(events.Saved, 2.0)]


def test_only_metrics_do_not_wait_for_the_disk() -> None:
    assert [kind for kind in events.KINDS.values() if not kind.is_synced] == [events.Metrics]
