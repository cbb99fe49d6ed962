"""QuietPlugin: while a file exists, a training logs nothing; the logs that were held back follow afterwards.

So one training takes turns: its steps with logging are compared with its steps without, in the same process and the same
minute. The times of two processes that do the same differ by more than logging costs.
"""

import copy
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from axolotl.integrations.base import BasePlugin
from transformers import Trainer, TrainerCallback
from turns import QUIET, STEPS, TURNS_ENV

LOGGERS = {"MLflowLogger", "MLflowCallback"}
"""Our logger, and Transformers' own."""


class QuietPlugin(BasePlugin):
    """Adds Quiet to a training, beside the plugin whose callback logs."""

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Trainer) -> list[TrainerCallback]:
        return [Quiet(trainer, Path(os.environ[TURNS_ENV]))]


class Quiet(TrainerCallback):
    """Holds back the loggers' work, and writes when each step began."""

    def __init__(self, trainer: Trainer, folder: Path) -> None:
        self._trainer, self._quiet = trainer, folder / QUIET
        self._steps = (folder / STEPS).open("a", buffering=1)  # line-buffered, for readers
        self._held: list[Callable[[], None]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        for callback in self._trainer.callback_handler.callbacks:
            if type(callback).__name__ in LOGGERS:
                callback.on_log = partial(self._log, callback.on_log)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._steps.write(f"{time.time()}\n")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._release()

    def _log(self, log: Callable[..., None], args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self._held.append(partial(log, args, copy.copy(state), control, logs=dict(logs)))
        if not self._quiet.exists():
            self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        for log in held:
            log()
