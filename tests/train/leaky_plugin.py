"""An Axolotl plugin for tests: at step 2 a library fails, with a message that quotes what people have in URIs and commands."""

import os
from typing import Any

from axolotl.integrations.base import BasePlugin
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class Leaky(BasePlugin):
    """Raises an error whose message is in REGROW_TEST_MESSAGE."""

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Trainer) -> list[TrainerCallback]:
        return [_Fails()]


class _Fails(TrainerCallback):
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step == 2:
            raise RuntimeError(os.environ["REGROW_TEST_MESSAGE"])
