"""The request to stop, from the stage to its ranks: a file in memory, which they inherit. Light: the stage writes it."""

import os
from pathlib import Path
from typing import Self

STOP_FILE_ENV = "REGROW_STOP_FILE"
"""Environment variable: path of the file. Whatever stands in it means "save and leave"."""
EXIT_STOPPED = 75
"""Exit code of a rank that has saved and left."""


class StopFile:
    """The stage's side. The file has no name in any file system (memfd_create(2)): nobody cleans it up meanwhile, and nothing
    is left of it when the stage and its ranks have ended, however they ended."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("regrow-stop")

    @property
    def path(self) -> Path:
        """For a process that has inherited the descriptor."""
        return Path(f"/proc/self/fd/{self.descriptor}")

    def request(self) -> None:
        """Ask the ranks to save and leave; to ask again changes nothing."""
        os.write(self.descriptor, b"stop\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self.descriptor)


def stop_file() -> Path | None:
    """The file of this process; None: it was started by hand, and nobody asks it to stop."""
    path = os.environ.get(STOP_FILE_ENV)
    return Path(path) if path else None


def is_asked_to_stop(file: Path) -> bool:
    """Whether something stands in it; False: it is empty, or not there."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False
