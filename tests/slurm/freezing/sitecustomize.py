"""Python imports this by itself where PYTHONPATH names this folder: a generator freezes once the journal has its first batch.

Slurm wakes what it takes away, before the stage has heard of it: from then on the generator waits for its end, since eight
batches are quickly made. REGROW_TEST_FROZEN names a folder for a file per part, with the generator's process id. A part
that has one does not freeze again.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

if "jobs.evaluation.generate" in sys.orig_argv:
    from callbacks.shared.journal import Entry, Journal

    say = Journal.event

    def say_and_freeze(self: Journal, event: str, **fields: Any) -> Entry:
        entry = say(self, event, **fields)
        mark = Path(os.environ["REGROW_TEST_FROZEN"], str(fields.get("part")))
        if event == "generated" and not mark.exists():
            mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGSTOP)
            while True:
                signal.pause()
        return entry

    Journal.event = say_and_freeze
