"""A short set of rows of the chaos table, which must always hold. test_readme.py cancels a run and resumes it."""

import pytest
from chaos import Table
from rows import ROWS
from sampling import sampled

SHORT = (
    "preempted three times",
    "preempted inside an accumulation, dropout 0.1",
    "preempted while it generates",
    "preempted in the last evaluation",
    "kill -9 of the stage",
    "torn checkpoint: no optimizer.pt",
    "PreemptMode CANCEL, GraceTime 0: early and two more preemptions, time limit",
)


@pytest.mark.parametrize("name", [SHORT[0], *sampled(SHORT[1:], 3)])
def test_chaos_row_holds(table: Table, name: str) -> None:
    (row,) = [row for row in ROWS if row.name == name]
    _, problems, _ = table.run(row)
    assert not problems


def test_rows_have_names_of_their_own() -> None:
    assert len({row.slug for row in ROWS}) == len(ROWS)
