"""What the core writes, on file systems that fail as shared ones do: nothing half-written counts, and one owner works."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest
from dev_cluster.processes import wait_until
from faulty_fs import Faults, FaultyMount
from patience import HANGS_AFTER_SECONDS
from world import REPO_ROOT

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Journal, read_journal
from callbacks.shared.manifest import MANIFEST, torn_reason, write_atomically, write_manifest, wrong_files
from jobs.node import lease as leases
from jobs.node.lease import Lease

WRITE_ERRORS = ["ENOSPC", "EDQUOT", "EIO", "ESTALE"]


@pytest.mark.parametrize("error", WRITE_ERRORS)
@pytest.mark.parametrize("first", range(1, 8))
def test_journal_that_cannot_be_written_for_a_moment_loses_only_those_events(
    error: str, first: int, mount: FaultyMount, shared: Path
) -> None:
    journal, written = Journal(shared / "train-1-0-stage.jsonl"), list[int]()
    mount.set(Faults(writes=error, first=first, count=2))
    for step in range(1, 9):
        try:
            journal.write(events.Saved(step=step))
            written.append(step)
        except OSError as raised:
            assert raised.errno == getattr(errno, error)
    steps = [entry.step for entry in only(read_journal(shared), events.Saved)]
    assert set(written) <= set(steps) and steps == sorted(
        set(steps)
    )  # an event that was written may not be on disk yet
    assert 6 <= len(written) <= 7


@pytest.mark.parametrize("error", WRITE_ERRORS)
@pytest.mark.parametrize("first", range(1, 8))
def test_checkpoint_counts_only_if_it_is_whole(error: str, first: int, mount: FaultyMount, shared: Path) -> None:
    checkpoint = shared / "checkpoint-8"
    checkpoint.mkdir()
    for name in ("weights", "optimizer"):
        (checkpoint / name).write_bytes(os.urandom(1000))
    mount.set(Faults(writes=error, first=first, count=1))
    try:
        write_manifest(checkpoint, step=8, world_size=1)
        is_said = True
    except OSError:
        is_said = False
    mount.set(Faults())
    is_there = (checkpoint / MANIFEST).exists()
    assert is_there or not is_said
    if is_there:
        assert torn_reason(checkpoint) == ""
        assert not any(problem for _, _, problem in wrong_files(checkpoint))
    else:
        assert torn_reason(checkpoint) == "it has no manifest, because the save did not end"


@pytest.mark.parametrize("first", range(1, 6))
def test_file_that_is_replaced_is_the_old_one_or_the_new_one(first: int, mount: FaultyMount, shared: Path) -> None:
    path = shared / "status.json"
    write_atomically(path, "old")
    mount.set(Faults(writes="EIO", first=first, count=1))
    with suppress(OSError):
        write_atomically(path, "new")
    mount.set(Faults())
    assert path.read_text() in ("old", "new")


FAULTS = {
    "no locks": Faults(locks="ENOLCK"),
    "locks are not supported": Faults(locks="EOPNOTSUPP"),
    "the server's clock is ahead": Faults(clock=600),
    "the server's clock is behind": Faults(clock=-600),
    "every call takes 100 ms": Faults(delay=0.1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_lease_of_a_live_owner_stays_and_that_of_a_dead_one_goes(
    fault: str, mount: FaultyMount, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "STALE_SECONDS", 3.0)
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)
    mount.set(FAULTS[fault])
    owner, other = Lease(shared / "lease", "train-1-0"), Lease(shared / "lease", "train-2-0")
    owner.take()
    has_left, taken = threading.Event(), threading.Event()

    def wait_for_it() -> None:
        other.take()
        assert has_left.is_set()
        taken.set()

    waiting = threading.Thread(target=wait_for_it)
    with owner.beating() as is_kept:
        waiting.start()
        waiting.join(2 * leases.STALE_SECONDS)
        assert is_kept() and owner.holder() == "train-1-0"
    has_left.set()  # without a release, as after kill -9
    assert taken.wait(HANGS_AFTER_SECONDS) and not owner.is_kept()


def test_server_that_was_away_for_longer_than_a_lease_lasts_changes_no_owner(
    mount: FaultyMount, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "STALE_SECONDS", 2.0)
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)
    owner, looks = Lease(shared / "lease", "train-1-0"), list[str | None]()
    owner.take()

    def look() -> None:
        looks.append(owner.holder())
        if len(looks) > 40:
            raise InterruptedError

    def wait_for_it() -> None:
        with pytest.raises(InterruptedError):
            Lease(owner.path, "train-2-0").take(meanwhile=look)

    waiting = threading.Thread(target=wait_for_it)
    with owner.beating() as is_kept:
        waiting.start()
        wait_until(lambda: len(looks) > 3, HANGS_AFTER_SECONDS, "the other to wait")
        mount.set(Faults(stopped=True))
        threading.Event().wait(2 * leases.STALE_SECONDS)
        mount.set(Faults())
        waiting.join(HANGS_AFTER_SECONDS)
        assert set(looks) == {"train-1-0"} and is_kept()


@pytest.fixture
def two_nodes(mount: FaultyMount, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The same folder on two nodes, each of which believes what it knows of a file, or that there is none, for 30 s."""
    mounts = [FaultyMount(tmp_path / name, tmp_path / "backing", attribute_seconds=30) for name in ("one", "two")]
    try:
        yield mounts[0].path, mounts[1].path
    finally:
        for each in mounts:
            each.close()


def test_lease_of_a_live_owner_stays_where_a_node_knows_files_as_they_were(
    two_nodes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "STALE_SECONDS", 2.0)
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)
    owner, other = (Lease(folder / "lease", f"train-{number}-0") for number, folder in enumerate(two_nodes))
    assert other.holder() is None  # the other node knows for 30 s that there is no file
    owner.take()
    until = monotonic() + 3 * leases.STALE_SECONDS

    def look() -> None:
        if monotonic() > until:
            raise InterruptedError

    with owner.beating() as is_kept, pytest.raises(InterruptedError):
        other.take(meanwhile=look)
    assert is_kept() and owner.is_kept()
    other.take()  # the owner is dead
    assert other.is_kept() and not owner.is_kept()
    other.release()
    owner.take()
    assert owner.is_kept() and not other.is_kept()


@pytest.mark.parametrize("error", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_libraries_lock_where_the_file_system_has_no_locks(error: str, mount: FaultyMount, shared: Path) -> None:
    """As Axolotl does it: many processes count in a file under filelock's lock, and one is killed while it has the lock."""
    mount.set(Faults(locks=error))
    counter = shared / "counter"
    counter.write_text("0")
    program = (
        "import os, sys, time\n"
        "from callbacks.shared.process.file_locks import lock_on_this_node_where_there_are_no_locks\n"
        "lock_on_this_node_where_there_are_no_locks()\n"
        "from filelock import FileLock\n"
        "for _ in range(5):\n"
        "    with FileLock(sys.argv[1] + '.lock'):\n"
        "        if sys.argv[2] == 'dies': os.kill(os.getpid(), 9)\n"
        "        number = int(open(sys.argv[1]).read())\n"
        "        time.sleep(0.01)\n"
        "        open(sys.argv[1], 'w').write(str(number + 1))\n"
    )
    command = [sys.executable, "-c", program, str(counter)]
    first = subprocess.run([*command, "dies"], cwd=REPO_ROOT, check=False)
    assert first.returncode == -9
    others = [subprocess.Popen([*command, "counts"], cwd=REPO_ROOT) for _ in range(4)]
    assert [other.wait(HANGS_AFTER_SECONDS) for other in others] == [0] * 4
    assert counter.read_text() == "20"
