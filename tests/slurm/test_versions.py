"""Rows of the chaos table on other versions of Slurm, which decide differently about a job that leaves in its grace time."""

import os
from collections.abc import Iterator

import pytest
from chaos import Table
from dev_cluster.cluster import temporary_cluster
from dev_cluster.root import why_not
from rows import ROWS

VERSIONS = ("24.11", "26.05")
SHORT = (
    "preempted three times",
    "preempted after the last step",
    "PreemptMode CANCEL: early and two more preemptions, time limit",
)


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """A version that is installed. Otherwise skip, or fail if REGROW_REQUIRE_SLURM is set, as in continuous integration."""
    if reason := why_not(request.param):
        if os.environ.get("REGROW_REQUIRE_SLURM"):
            pytest.fail(reason)
        pytest.skip(reason)
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def table_of(version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    with temporary_cluster() as cluster:
        yield Table(tmp_path_factory.mktemp("chaos"), cluster)


@pytest.mark.parametrize("name", SHORT)
def test_chaos_row_holds(table_of: Table, version: str, name: str) -> None:
    (row,) = [row for row in ROWS if row.name == name]
    _, problems, _ = table_of.run(row.on(version))
    assert not problems
