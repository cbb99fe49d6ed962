"""Which failures of a save mean that there is no room."""

import errno
import shutil
from pathlib import Path

import pytest

from callbacks.checkpoint_manifest import is_full


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
