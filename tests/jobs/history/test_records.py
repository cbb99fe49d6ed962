"""A ledger tells which steps took other records, and which records were trained twice or never."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callbacks.shared.ledger_file import RECORDS, Begun, Line, Step, ledger_file, read_ledger, record_id, to_lines
from jobs.history.records import shown, trained_records

IDS = [record_id([str(number).encode()]) for number in range(8)]


def begun(after: int = 0, config: str = "c", ranks: int = 1) -> Begun:
    return Begun("train-1-0", config, after, ranks)


def steps(*numbers: int, value: str = "v", records: Sequence[Sequence[int]] = (), epoch: int = 0) -> list[Line]:
    """Lines of these steps; `records`: of each step, by their numbers from 0."""
    taken = [[IDS[each] for each in some] for some in records] or [None] * len(numbers)
    return [Step(number, f"{value}{number}", epoch, some) for number, some in zip(numbers, taken, strict=True)]


def write(folder: Path, *of_ranks: Sequence[Line], ids: Sequence[str] = ()) -> Path:
    for rank, lines in enumerate(of_ranks):
        ledger_file(folder, rank).write_bytes(to_lines(lines))
    if ids:
        (folder / RECORDS).write_text("\n".join(ids), encoding="utf-8")
    return folder


def test_training_without_a_ledger_has_no_steps_and_no_problem(tmp_path: Path) -> None:
    found = trained_records(tmp_path)
    assert (found.steps, found.problems, found.sentence()) == (0, (), "")


def test_steps_that_were_done_again_are_counted(tmp_path: Path) -> None:
    lines = [begun(), *steps(1, 2, 3), begun(1), *steps(2, 3, 4)]
    found = trained_records(write(tmp_path, lines))
    assert (found.steps, found.redone, found.problems) == (4, 2, ())
    assert "took the same records" in found.sentence()


def test_other_records_in_a_step_that_was_done_again_are_a_problem(tmp_path: Path) -> None:
    lines = [begun(), *steps(1, 2, 3), begun(1), *steps(2), *steps(3, 4, value="other")]
    found = trained_records(write(tmp_path, lines))
    assert found.problems == ("rank 0: step 3 took other records when it was done again",)
    assert found.sentence() == ""


def test_another_config_may_take_other_records(tmp_path: Path) -> None:
    lines = [begun(), *steps(1, 2, 3), begun(1, config="d"), *steps(2, 3, 4, value="other")]
    assert trained_records(write(tmp_path, lines)).problems == ()


def test_missing_steps_are_a_problem_of_their_rank(tmp_path: Path) -> None:
    first, second = [begun(ranks=2), *steps(1, 2, 4, 5, 6)], [begun(ranks=2), *steps(1, 2, 3, 4)]
    found = trained_records(write(tmp_path, first, second))
    assert found.problems == ("rank 0: the ledger lacks step 3", "rank 1: the ledger lacks step 5 to 6")


def test_rank_that_took_no_part_in_later_steps_lacks_none(tmp_path: Path) -> None:
    first = [begun(ranks=2), *steps(1, 2), begun(2, ranks=1), *steps(3, 4)]
    found = trained_records(write(tmp_path, first, [begun(ranks=2), *steps(1, 2)]))
    assert found.problems == ()


def test_each_record_once_in_each_epoch_is_right(tmp_path: Path) -> None:
    first = steps(1, 2, records=[[0, 1], [2, 3]]) + steps(3, records=[[7, 6]], epoch=1)
    second = steps(1, 2, records=[[4, 5], [6, 7]]) + steps(3, records=[[1, 0]], epoch=1)
    found = trained_records(write(tmp_path, [begun(ranks=2), *first], [begun(ranks=2), *second], ids=IDS))
    assert found.problems == ()
    assert [(each.taken, each.repeated, each.missing) for each in found.epochs] == [(8, (), 0), (4, (), 4)]
    assert "every record was trained at most once" in found.sentence()


def test_records_twice_and_others_never_are_a_problem(tmp_path: Path) -> None:
    lines = [begun(), *steps(1, 2, 3, 4, records=[[0, 1], [2, 3], [0, 2], [4, 5]])]
    (problem,) = trained_records(write(tmp_path, lines, ids=IDS)).problems
    assert problem == "epoch 1: 2 records were trained more than once (1, 3), and 2 not at all"


@pytest.mark.parametrize("taken", [[[0, 1, 2], [3, 4, 5]], [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1]]])
def test_end_of_an_epoch_may_leave_records_out_or_repeat_some(tmp_path: Path, taken: list[list[int]]) -> None:
    lines = [begun(), *steps(*range(1, len(taken) + 1), records=taken)]
    assert trained_records(write(tmp_path, lines, ids=IDS)).problems == ()


def test_record_that_the_data_set_has_twice_may_be_trained_twice(tmp_path: Path) -> None:
    lines = [begun(), *steps(1, 2, records=[[0, 1], [0, 2]])]
    found = trained_records(write(tmp_path, lines, ids=[IDS[0], IDS[1], IDS[0], IDS[2]]))
    assert [(each.repeated, each.missing) for each in found.epochs] == [((), 0)]


def test_epochs_of_another_config_are_not_counted(tmp_path: Path) -> None:
    lines = [begun(), *steps(1, records=[[0, 0]]), begun(1, config="d"), *steps(2, records=[[0, 1]], epoch=1)]
    found = trained_records(write(tmp_path, lines, ids=IDS))
    assert [each.epoch for each in found.epochs] == [1]


def test_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = ledger_file(tmp_path, 0)
    path.write_bytes(to_lines([begun(), *steps(1)]) + b'{"type":"step","st\n' + to_lines([begun(1), *steps(2)]))
    assert [type(line).__name__ for line in read_ledger(path)] == ["Begun", "Step", "Begun", "Step"]


@given(st.lists(st.integers(1, 60), min_size=1))
@settings(deadline=None)
def test_shown_numbers_say_each_run_once(numbers: list[int]) -> None:
    text = shown(numbers)
    runs = [part.split(" to ") for part in text.partition(" and ")[0].split(", ")]
    found = {number for run in runs for number in range(int(run[0]), int(run[-1]) + 1)}
    assert found == set(numbers) or (" more" in text and found < set(numbers))
