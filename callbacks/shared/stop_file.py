"""The stage's request to its ranks to stop: a file in memory, which the ranks inherit. Light, because the stage imports it."""

import os
from pathlib import Path
from typing import Self

STOP_FILE_ENV = "REGROW_STOP_FILE"
"""Environment variable: path of the file. Any content means "save and leave"."""
EXIT_STOPPED = 75
"""Exit code of a rank that has saved and left."""


class StopFile:
    """The stage's side. The file has no name in any file system (memfd_create(2)). So nothing can delete it during the run,
    and it disappears when the stage and its ranks have ended, however they end."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("regrow-stop")

    @property
    def path(self) -> Path:
        """The file's path, for a process that has inherited the descriptor."""
        return Path(f"/proc/self/fd/{self.descriptor}")

    def request(self) -> None:
        """Ask the ranks to save and leave. A second request changes nothing."""
        os.write(self.descriptor, b"stop\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self.descriptor)


def stop_file() -> Path | None:
    """The path for this process; None: a person started it, and no stage will ask it to stop."""
    path = os.environ.get(STOP_FILE_ENV)
    return Path(path) if path else None


def is_asked_to_stop(file: Path) -> bool:
    """Whether the file has content; False: it is empty or does not exist."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False
