"""The lease: taken at once where nobody is, after a watch where the owner is dead, never from a live one."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.node import lease
from jobs.node.lease import Lease


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.6)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.02)


@pytest.fixture
def live_owner(tmp_path: Path) -> Iterator[Lease]:
    """An owner that gives a sign of life every 50 ms."""
    owner, over = Lease(tmp_path / "lease", "train-1-0"), threading.Event()
    owner.take()

    def live() -> None:
        while not over.wait(0.05):
            owner.is_kept()

    thread = threading.Thread(target=live)
    thread.start()
    yield owner
    over.set()
    thread.join()


def test_free_lease_is_taken_at_once_and_released(tmp_path: Path) -> None:
    mine = Lease(tmp_path / "lease", "train-1-0")
    started = time.monotonic()
    mine.take()
    assert time.monotonic() - started < 0.3
    assert mine.is_kept()
    mine.release()
    assert mine.holder() is None


def test_own_lease_is_taken_again(tmp_path: Path) -> None:
    Lease(tmp_path / "lease", "train-1-0").take()
    Lease(tmp_path / "lease", "train-1-0").take()


def test_live_owner_keeps_his_lease_and_the_other_may_stop_waiting(live_owner: Lease) -> None:
    calls: list[None] = []

    def stop_after_a_second() -> None:
        calls.append(None)
        if len(calls) * lease.POLL_SECONDS > 2 * lease.STALE_SECONDS:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        Lease(live_owner.path, "train-2-0").take(meanwhile=stop_after_a_second)
    assert live_owner.is_kept()


def test_lease_is_taken_as_soon_as_its_owner_has_left(live_owner: Lease) -> None:
    Lease(live_owner.path, "train-2-0").take(meanwhile=live_owner.path.unlink)
    assert live_owner.holder() == "train-2-0"


def test_dead_owners_lease_is_taken_and_he_ends_when_he_comes_back(tmp_path: Path) -> None:
    dead, mine = Lease(tmp_path / "lease", "train-1-0"), Lease(tmp_path / "lease", "train-1-1")
    dead.take()
    mine.take()
    assert mine.is_kept()
    assert not dead.is_kept()
    dead.release()  # not his to release
    assert mine.holder() == "train-1-1"


def test_lease_that_somebody_removed_is_written_anew(tmp_path: Path) -> None:
    mine = Lease(tmp_path / "lease", "train-1-0")
    mine.take()
    mine.path.unlink()
    assert mine.is_kept()
    assert mine.holder() == "train-1-0"


def test_clock_of_the_other_node_does_not_count(tmp_path: Path) -> None:
    dead = Lease(tmp_path / "lease", "train-1-0")
    dead.take()
    os.utime(dead.path, (time.time() + 3600, time.time() + 3600))
    Lease(tmp_path / "lease", "train-1-1").take()
