"""The command `regrow`. Our packages come first in the import path: where it is typed, another `jobs.py` may stand."""

import sys
from pathlib import Path

_OURS = Path(__file__).resolve().parent
_CHECKOUTS = _OURS / "slurm"
"""Has the package dev_cluster; once installed, that is beside the others."""
sys.path[:0] = [str(_OURS), *([str(_CHECKOUTS)] if (_CHECKOUTS / "dev_cluster").is_dir() else [])]


def main() -> None:
    from jobs.cli.main import main as typed

    typed()
