"""An engine for tests, `regrow.evaluate.engine: freezing_engine.FreezingEngine`: it freezes when its first batch is on disk.

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
from jobs.evaluation.engine import TransformersEngine


class FreezingEngine(TransformersEngine):
    """Generates with transformers, but freezes once."""

    is_first = True

    def generate(self, prompts: Sequence[str]) -> list[Generated]:
        if not self.is_first:
            freeze_once(part=sys.argv[2])
        self.is_first = False
        return super().generate(prompts)


def freeze_once(part: str) -> None:
    mark = Path(os.environ["REGROW_TEST_FROZEN"], part)
    if mark.exists():
        return
    mark.write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        signal.pause()
