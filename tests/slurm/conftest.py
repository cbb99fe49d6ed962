"""A dev cluster for the tests, and the chaos table's own machinery on it. Without Slurm's packages they are skipped."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import Table
from dev_cluster.cluster import DevCluster
from dev_cluster.daemons import missing_packages
from dev_cluster.site import Site


def require_slurm() -> None:
    """Skip with what to type; where REGROW_REQUIRE_SLURM is set, as in continuous integration, fail."""
    if missing := missing_packages(Site()):
        text = f"a real Slurm is needed, {', '.join(missing)} not installed; hint: make slurm-packages"
        if os.environ.get("REGROW_REQUIRE_SLURM"):
            pytest.fail(text)
        pytest.skip(text)


@pytest.fixture
def cluster() -> Iterator[DevCluster]:
    """A cluster that is down; whatever the test brings up is brought down."""
    require_slurm()
    folder = Path(tempfile.mkdtemp(prefix="regrow-"))  # short: a socket's path has at most 107 characters
    cluster = DevCluster(folder / "c")
    yield cluster
    cluster.down()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """Runs rows of the chaos table; the reference runs are made once."""
    require_slurm()
    folder = Path(tempfile.mkdtemp(prefix="regrow-"))
    table = Table(tmp_path_factory.mktemp("chaos"), folder / "c")
    yield table
    table.close()
    shutil.rmtree(folder)
