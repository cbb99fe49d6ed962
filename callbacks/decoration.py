"""Steps after the final save only decorate a finished training: its model card, its upload. They cannot make it fail."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axolotl.train
from transformers import Trainer

from callbacks.completion import Completion
from callbacks.shared import events


def guard_decoration(completion: Completion | None, output_dir: Path) -> None:
    """Write `finished` before Axolotl writes the model card or uploads. An error in these steps is only reported.

    Axolotl (0.19, train.py) calls `create_model_card` right after the final save, on every rank. With a `hub_model_id`, the
    call also uploads.

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
    """Call `decorate`. An exception goes into the log and, on rank 0, into the journal."""
    try:
        decorate()
    except Exception as error:  # any error of a library or a hub
        traceback.print_exc()
        if completion:
            message = f"{type(error).__name__}: {error}"
            completion.journal.write(events.FailedAfterTheEnd(message=message))
