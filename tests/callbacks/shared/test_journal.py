"""The journal: whole lines only, merged over writers, the newest value of a step counts."""

import resource
import signal
from pathlib import Path

import pytest

from callbacks.shared.journal import Journal, metric_rows, read_journal


def test_journal_merges_writers_by_time(tmp_path: Path) -> None:
    one, two = (
        Journal.of_writer(str(tmp_path / "train-1-0"), "rank0"),
        Journal.of_writer(str(tmp_path / "train-1-0"), "stage"),
    )
    one.event("first", step=1)
    two.event("second")
    one.event("third")
    entries = read_journal(tmp_path)
    assert [entry["event"] for entry in entries] == ["first", "second", "third"]
    assert entries[1]["writer"] == "train-1-0-stage"


def test_journal_is_appended_by_a_second_process_of_the_same_name(tmp_path: Path) -> None:
    for event in ("one", "two"):
        Journal(tmp_path / "x.jsonl").event(event)
    assert [entry["event"] for entry in read_journal(tmp_path)] == ["one", "two"]


def test_entry_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    Journal(tmp_path / "x.jsonl").event("whole")
    with (tmp_path / "x.jsonl").open("a") as file:
        file.write('{"time": 1, "eve')
    assert [entry["event"] for entry in read_journal(tmp_path)] == ["whole"]


def test_line_cut_off_by_a_full_disk_is_shown_and_hides_nothing_else(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "x.jsonl")
    journal.event("before")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails, and not the process
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 20, limit[1]))
    try:
        with pytest.raises(OSError, match=r"full|large"):
            journal.event("cut off", text="x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    journal.event("after")
    assert [entry["event"] for entry in read_journal(tmp_path)] == ["before", "torn_line", "after"]


def test_metric_rows_take_the_newest_value_of_a_step(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "x.jsonl")
    journal.metrics(1, {"loss": 2.0})
    journal.metrics(1, {"eval_loss": 3.0})
    journal.metrics(1, {"loss": 1.0})
    assert metric_rows(read_journal(tmp_path)) == {1: {"loss": 1.0, "eval_loss": 3.0}}
