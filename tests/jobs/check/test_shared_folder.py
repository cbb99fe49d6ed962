"""The trial of runs_root: on a good file system nothing is found, and on a failing one what is missing."""

from pathlib import Path

import pytest
from faulty_fs import Faults, FaultyMount

from jobs.check.shared_folder import tried


def test_good_folder_lacks_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    found = tried(tmp_path / "not" / "there")
    assert (found.refused, found.without_locks) == ("", "") and abs(found.clock_ahead) < 5
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", ["ENOLCK", "ENOSYS"])
def test_file_system_without_locks_is_named(error: str, mount: FaultyMount, shared: Path) -> None:
    mount.set(Faults(locks=error))
    assert (tried(shared).refused, tried(shared).without_locks) == ("", error)


@pytest.mark.parametrize("seconds", [600, -600])
def test_clock_of_the_file_server_is_compared(seconds: int, mount: FaultyMount, shared: Path) -> None:
    mount.set(Faults(clock=seconds))
    assert tried(shared).clock_ahead == pytest.approx(seconds, abs=5)


@pytest.mark.parametrize(
    ("first", "what"),
    list(
        enumerate(
            [
                "create a file",
                "create a file",
                "write a file to the disk (fsync)",
                "replace a file by another (rename)",
                "replace a file by another (rename)",
                "replace a file by another (rename)",
                "write a folder to the disk (fsync)",
            ],
            start=1,
        )
    ),
)
def test_what_a_full_or_failing_file_system_refuses_is_named(
    first: int, what: str, mount: FaultyMount, shared: Path
) -> None:
    mount.set(Faults(writes="EDQUOT", first=first, count=1))
    assert tried(shared).refused == f"it cannot {what}: Disk quota exceeded"
    mount.set(Faults())
    assert not list(shared.iterdir())


def test_folder_that_nobody_may_write_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "no folder can be made in" in tried(tmp_path / "file" / "runs").refused
