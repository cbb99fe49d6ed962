"""The request to stop, from the stage to its ranks: a file of the node. Light: the stage writes it."""

import os
from pathlib import Path

STOP_FILE_ENV = "REGROW_STOP_FILE"
"""Environment variable: the file whose presence means "save and leave"."""
EXIT_STOPPED = 75
"""Exit code of a rank that has saved and left."""


def stop_file() -> Path | None:
    """The file of this process; None: it was started by hand, and nobody asks it to stop."""
    path = os.environ.get(STOP_FILE_ENV)
    return Path(path) if path else None
