"""What comes after the final save decorates a finished training: its model card, its upload. It cannot fail it."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axolotl.train
from transformers import Trainer

from callbacks.completion import Completion
from callbacks.shared import events


def guard_decoration(completion: Completion | None, output_dir: Path) -> None:
    """Let the training be finished before Axolotl writes the card or uploads; what fails there is only said.

    Axolotl (0.19, train.py) calls `create_model_card` right after the final save, on every rank; with a `hub_model_id` it
    uploads there.

    Args:
        completion: rank 0's; None on the other ranks.
    """
    decorate = axolotl.train.create_model_card

    def finish_and_decorate(cfg: Any, trainer: Trainer) -> None:
        if completion:
            completion.adapter_saved(output_dir)
        run_decoration(lambda: decorate(cfg, trainer), completion)

    axolotl.train.create_model_card = finish_and_decorate


def run_decoration(decorate: Callable[[], None], completion: Completion | None) -> None:
    """Call it; an exception goes into the log and, on rank 0, into the journal."""
    try:
        decorate()
    except Exception as error:  # whatever libraries and hubs raise
        traceback.print_exc()
        if completion:
            message = f"{type(error).__name__}: {error}"
            completion.journal.write(events.FailedAfterTheEnd(message=message))
