"""The lease: an attempt takes a free one at once, that of a dead owner after a wait, that of a live owner never."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from dev_cluster.processes import wait_until
from patience import HANGS_AFTER_SECONDS

from jobs.node import lease
from jobs.node.lease import Lease

NEVER = 3600.0
"""Seconds. A test that waits so long is ended as hanging."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "STALE_SECONDS", NEVER)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.02)


@pytest.fixture
def soon_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that wait until a dead owner's lease is stale."""
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.6)


@pytest.fixture
def owner(tmp_path: Path) -> Lease:
    """A lease that another attempt has just taken."""
    owner = Lease(tmp_path / "lease", "train-1-0")
    owner.take()
    return owner


def no_wait() -> None:
    """Fail: it is called each time that a waiting attempt looks at the lease."""
    pytest.fail("it waits")


def test_free_lease_is_taken_at_once_and_released(tmp_path: Path) -> None:
    mine = Lease(tmp_path / "lease", "train-1-0")
    mine.take(meanwhile=no_wait)
    assert mine.is_kept()
    mine.release()
    assert mine.holder() is None


def test_own_lease_is_taken_again_at_once(tmp_path: Path) -> None:
    Lease(tmp_path / "lease", "train-1-0").take()
    Lease(tmp_path / "lease", "train-1-0").take(meanwhile=no_wait)


@pytest.mark.usefixtures("soon_stale")
def test_live_owner_keeps_his_lease_and_the_other_may_stop_waiting(owner: Lease) -> None:
    """The owner gives a sign of life between any two looks, for longer than a dead owner's lease lasts."""
    until = time.monotonic() + 2 * lease.STALE_SECONDS

    def lives() -> None:
        assert owner.is_kept()
        if time.monotonic() > until:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        Lease(owner.path, "train-2-0").take(meanwhile=lives)
    assert owner.is_kept()


def test_lease_is_taken_as_soon_as_its_owner_has_left(owner: Lease) -> None:
    looks = []

    def leaves() -> None:
        looks.append(owner.holder())
        owner.release()

    Lease(owner.path, "train-2-0").take(meanwhile=leaves)
    assert owner.holder() == "train-2-0"
    assert looks == ["train-1-0"]


@pytest.mark.usefixtures("soon_stale")
def test_dead_owners_lease_is_taken_and_he_ends_when_he_comes_back(owner: Lease) -> None:
    mine = Lease(owner.path, "train-1-1")
    mine.take()
    assert mine.is_kept()
    assert not owner.is_kept()
    owner.release()  # the lease is no longer its own, so this changes nothing
    assert mine.holder() == "train-1-1"


def test_lease_that_somebody_removed_is_written_anew(tmp_path: Path) -> None:
    mine = Lease(tmp_path / "lease", "train-1-0")
    mine.take()
    mine.path.unlink()
    assert mine.is_kept()
    assert mine.holder() == "train-1-0"


@pytest.mark.usefixtures("soon_stale")
def test_clock_of_the_other_node_does_not_count(owner: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = time.time_ns() + 3600 * 10**9
    monkeypatch.setattr(lease, "time_ns", lambda: ahead)
    assert owner.is_kept()
    monkeypatch.undo()
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.1)
    Lease(owner.path, "train-1-1").take()
    assert owner.holder() == "train-1-1"


@pytest.mark.usefixtures("soon_stale")
@pytest.mark.parametrize("content", [b"", b"train-1-0"])
def test_lease_of_an_owner_that_died_while_it_wrote_is_taken(content: bytes, tmp_path: Path) -> None:
    mine = Lease(tmp_path / "lease", "train-1-1")
    mine.path.write_bytes(content)
    mine.take()
    assert mine.holder() == "train-1-1" and mine.is_kept()


def test_sign_of_life_that_comes_late_changes_no_owner(owner: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is taken over between an owner's look and its sign of life."""
    other = Lease(owner.path, "train-2-0")
    write = Lease._write

    def late(self: Lease, data: bytes, at: int) -> None:
        write(other, other._own_name + b"0" * 20, at=0)
        write(self, data, at)

    monkeypatch.setattr(Lease, "_write", late)
    owner.is_kept()
    assert owner.holder() == "train-2-0" and not owner.is_kept()


def test_of_many_that_want_a_free_lease_one_has_it(tmp_path: Path) -> None:
    """Each waits at a barrier, and then tries; the others wait until it leaves, so each has it once."""
    at_once, had = Barrier(8), list[str]()

    def work(name: str) -> None:
        mine = Lease(tmp_path / "lease", name)
        at_once.wait()
        mine.take()
        assert mine.holder() == name
        had.append(name)
        assert mine.is_kept() and had[-1] == name
        mine.release()

    names = [f"prepare-{number}-0" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, names))
    assert sorted(had) == names


@pytest.mark.usefixtures("soon_stale")
def test_of_many_that_wait_for_a_dead_owner_one_has_it(owner: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.1)
    mine = [Lease(owner.path, f"train-{number}-0") for number in range(2, 6)]
    taken = list[str]()

    def work(one: Lease) -> None:
        def meanwhile() -> None:
            if taken:
                raise InterruptedError

        one.take(meanwhile=meanwhile)
        taken.append(one.owner)

    with ThreadPoolExecutor(4) as pool:
        ended = [pool.submit(work, one).exception() for one in mine]
    assert len(taken) == 1 and owner.holder() == taken[0]
    assert [type(error) for error in ended if error] == 3 * [InterruptedError]


def test_work_in_this_process_gives_signs_of_life_and_hears_of_the_loss(
    owner: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.01)
    before = owner.path.read_bytes()
    with owner.beating() as is_kept:
        wait_until(lambda: owner.path.read_bytes() != before, HANGS_AFTER_SECONDS, "a sign of life")
        assert is_kept()
        owner.path.write_text("train-2-0")
        wait_until(lambda: not is_kept(), HANGS_AFTER_SECONDS, "the loss to be noticed")
