"""How a rank knows whether its attempt may still change the run. The stage takes the lease, and keeps it; so this is light."""

import os
from pathlib import Path

from callbacks.shared.journal import JOURNAL_ENV

LEASE_ENV = "REGROW_LEASE"
"""Environment variable: path of the file with the name of the attempt that works on the run. Unset: there is no lease."""


def attempt_name() -> str:
    """The attempt that this process belongs to, <stage>-<job id>-<attempt>; `by-hand` without a stage."""
    return Path(os.environ.get(JOURNAL_ENV, "by-hand")).name


def has_lost_lease() -> bool:
    """Whether the lease has another attempt's name. False: it is ours, nobody's, or cannot be read."""
    path = os.environ.get(LEASE_ENV)
    try:
        return path is not None and Path(path).read_text(encoding="utf-8") != attempt_name()
    except OSError:
        return False
