"""An engine for tests, `regrow.evaluate.engine: freezing_engine.FreezingEngine`: it freezes once its first batch is on disk.

Slurm wakes what it takes away, before the stage has heard of it: from then on the engine waits for its end, since eight batches
are quickly made. REGROW_TEST_FROZEN names a folder for a file per part, with the process's id. A part that has one does not
freeze again.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from callbacks.shared.predictions import Generated
from jobs.evaluation.engine import TransformersEngine


class FreezingEngine(TransformersEngine):
    """Generates as transformers does."""

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
