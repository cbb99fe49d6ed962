"""Engines for tests freeze when their first batch is on disk.

Slurm wakes the processes of a job that it preempts, before the stage knows of the preemption. From then on the engine waits to
be ended, because eight batches are generated quickly. REGROW_TEST_FROZEN names a folder in which each part writes a file with
its process id. A part that has such a file does not freeze again.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from callbacks.shared.predictions import Generated
from callbacks.shared.prompts import Prompt


class Freezing:
    """Generates as the other class that an engine is made of, but freezes once."""

    is_first = True

    def generate(self, prompts: Sequence[Prompt]) -> list[Generated]:
        if not self.is_first:
            freeze_once(part=sys.argv[2])
        self.is_first = False
        generated: list[Generated] = super().generate(prompts)  # type: ignore[misc]
        return generated


def freeze_once(part: str) -> None:
    mark = Path(os.environ["REGROW_TEST_FROZEN"], part)
    if mark.exists():
        return
    mark.write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        signal.pause()
