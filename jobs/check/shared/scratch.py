"""One folder under the cache for all that the probe's libraries write to temporary places; it is reused, and found empty."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from jobs.check.shared.cache import cache_folder


@dataclass(frozen=True)
class Scratch:
    """The folder, in use by this process and perhaps by others."""

    folder: Path
    lock: int
    """File descriptor; whoever inherits it uses the folder too."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead libraries here: wandb and torch write to TMPDIR, Triton and DeepSpeed's Triton to ~/.triton, and
        datasets to ~/.cache/huggingface."""
        own = {"TRITON_CACHE_DIR": "triton", "HF_DATASETS_CACHE": "datasets"}
        return {"TMPDIR": str(self.folder)} | {name: str(self.folder / folder) for name, folder in own.items()}


@contextmanager
def scratch() -> Iterator[Scratch]:
    """The folder, for the time of the block.

    Libraries clean up at their process's end, which a kill forestalls. So whoever comes or goes and finds no other process
    in the folder empties it.
    """
    folder = cache_folder() / "scratch"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = folder.with_suffix(".lock").open("ab")
    except OSError:  # a home that cannot be written
        with TemporaryFile() as nobody_else_s, TemporaryDirectory(prefix="regrow-check-") as own:
            yield Scratch(Path(own), nobody_else_s.fileno())
        return
    with opened as lock:
        _empty_if_unused(folder, lock.fileno())
        _try_lock(lock.fileno(), fcntl.LOCK_SH)
        try:
            yield Scratch(folder, lock.fileno())
        finally:
            _empty_if_unused(folder, lock.fileno())


def _empty_if_unused(folder: Path, lock: int) -> None:
    if _try_lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
        for each in list(folder.iterdir()):
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)


def _try_lock(lock: int, operation: int) -> bool:
    """Whether it was got; a file system without locks never gives one, and nothing is removed there."""
    with suppress(OSError):
        fcntl.flock(lock, operation)
        return True
    return False
