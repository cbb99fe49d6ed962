"""Rows of the chaos table on other versions of Slurm, which decide differently about a job that leaves in its grace time."""

import os
from collections.abc import Iterator

import pytest
from chaos import Table
from dev_cluster.cluster import temporary_cluster
from dev_cluster.root import why_not_version
from rows import ROWS

SHORT = {
    "24.11": (
        "preempted three times",
        "preempted after the last step",
        "PreemptMode CANCEL: early and two more preemptions, time limit",
    ),
    "26.05": ("preempted three times", "preempted after the last step"),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    with temporary_cluster() as cluster:
        yield Table(tmp_path_factory.mktemp("chaos"), cluster)


@pytest.mark.parametrize(("version", "name"), [(version, name) for version in SHORT for name in SHORT[version]])
def test_chaos_row_holds(table: Table, version: str, name: str) -> None:
    if reason := why_not_version(version):
        if os.environ.get("REGROW_REQUIRE_SLURM"):
            pytest.fail(reason)
        pytest.skip(reason)
    (row,) = [row for row in ROWS if row.name == name]
    _, problems, _ = table.run(row.on(version))
    assert not problems
