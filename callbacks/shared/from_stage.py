"""What a stage tells its ranks through their environment: the device, the lease that it has taken and keeps, and, to a script
that trains, the run's config and checkpoint. Light."""

import os
from pathlib import Path

from callbacks.shared.journal import JOURNAL_ENV

DEVICE_ENV = "REGROW_DEVICE"
"""Environment variable: the device for the training, cpu or cuda. Unset: any device."""
LEASE_ENV = "REGROW_LEASE"
"""Environment variable: path of the file with the name of the attempt that works on the run. Unset: there is no lease."""
CONFIG_ENV = "REGROW_CONFIG"
"""Environment variable: path of the run's resolved config, for a script that trains. Unset: a person started the script."""
CHECKPOINT_ENV = "REGROW_CHECKPOINT"
"""Environment variable: the checkpoint from which a script must resume. Unset: none."""
TRAINING_ENV = "REGROW_TRAINING"
"""Environment variable: the name of the training, if another one of the run follows. Unset: it is the last one."""
FIRST_STEP_ENV = "REGROW_FIRST_STEP"
"""Environment variable: the optimizer steps of the run's earlier trainings, on which the journal's steps go on. Unset: 0."""
LEASE_NAME_BYTES = 512
"""The file begins with the name, filled up with spaces to this length."""


def training_name() -> str | None:
    """The name of this training, if another one of the run follows."""
    return os.environ.get(TRAINING_ENV) or None


def first_step() -> int:
    """The optimizer steps of the run's earlier trainings."""
    return int(os.environ.get(FIRST_STEP_ENV) or 0)


def attempt_name() -> str:
    """The attempt that this process belongs to, <stage>-<job id>-<attempt>; `by-hand` without a stage."""
    return Path(os.environ.get(JOURNAL_ENV, "by-hand")).name


def has_lost_lease() -> bool:
    """Whether the lease has another attempt's name. False: it is ours, nobody's, or cannot be read."""
    path = os.environ.get(LEASE_ENV)
    try:
        holder = Path(path).read_bytes()[:LEASE_NAME_BYTES].decode(errors="replace").rstrip() if path else ""
    except OSError:
        return False
    return holder not in ("", attempt_name())
