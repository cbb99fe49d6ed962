"""A save that failed: whether there is no room, and who says so."""

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from callbacks.exact.checkpoint_manifest import CheckpointManifest, is_full
from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import JOURNAL_ENV, read_journal
from callbacks.shared.manifest import write_manifest


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (RuntimeError("Error while serializing: No space left on device (os error 28)"), True),
        (RuntimeError("Error while serializing: I/O error: Disk quota exceeded (os error 122)"), True),
        (OSError(errno.EIO, "Input/output error"), False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
    ],
)
def test_error_says_whether_the_disk_is_full(error: Exception, full: bool, tmp_path: Path) -> None:
    assert shutil.disk_usage(tmp_path).free > 2**30
    assert is_full(error, tmp_path) is full


def test_there_is_no_room_if_the_next_checkpoint_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch says only that a file could not be written."""
    error = RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")
    checkpoint = tmp_path / "checkpoint-3"
    checkpoint.mkdir()
    (checkpoint / "weights").write_bytes(bytes(2**20))
    write_manifest(checkpoint, step=3, world_size=1)
    usage = shutil.disk_usage(tmp_path)
    for free, full in ((2**21, False), (2**19, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: usage._replace(free=free))
        assert is_full(error, tmp_path) is full


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EIO, "I/O error")])
def test_every_rank_says_that_its_part_of_a_save_failed(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under ZeRO, rank 1 writes files of its own, and may be the only one whose quota is full."""
    monkeypatch.setenv(JOURNAL_ENV, str(tmp_path / "journal" / "train-1-0"))
    monkeypatch.setenv("RANK", "1")
    trainer: Any = SimpleNamespace(
        args=SimpleNamespace(output_dir=str(tmp_path), save_total_limit=None), _save_checkpoint=None
    )
    failed = CheckpointManifest(trainer, None)._set_aside(tmp_path / "checkpoint-3", error)
    assert str(error) in str(failed)
    (said,) = only(read_journal(tmp_path / "journal"), events.SaveFailed)
    assert (said.writer, said.is_full, said.renamed) == (
        "train-1-0-rank1",
        error.errno == errno.ENOSPC,
        "torn-3-train-1-0",
    )
