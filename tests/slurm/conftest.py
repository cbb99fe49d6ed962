"""A dev cluster for the tests, and the chaos table on it. Without Slurm's packages, the tests are skipped."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from chaos import Table
from dev_cluster.cluster import DevCluster, temporary_cluster
from dev_cluster.daemons import missing_packages
from dev_cluster.ownership import exit_on_signals
from dev_cluster.site import Site


def require_slurm() -> None:
    """Skip the test and say what to type. If REGROW_REQUIRE_SLURM is set, as in continuous integration, fail instead."""
    if missing := missing_packages(Site()):
        text = f"a real Slurm is needed, {', '.join(missing)} not installed; hint: make slurm-packages"
        if os.environ.get("REGROW_REQUIRE_SLURM"):
            pytest.fail(text)
        pytest.skip(text)


def _leave(status: int) -> None:
    pytest.exit(f"ended by {signal.Signals(status - 128).name}", returncode=status)


if threading.current_thread() is threading.main_thread():
    exit_on_signals(_leave)  # pytest then tears down the fixtures, and so the clusters


@pytest.fixture
def cluster() -> Iterator[DevCluster]:
    """A cluster that is down. If the test brings it up, it is taken down after the test."""
    require_slurm()
    with temporary_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """Runs rows of the chaos table; the reference runs are made once."""
    require_slurm()
    with temporary_cluster() as cluster:
        yield Table(tmp_path_factory.mktemp("chaos"), cluster)
