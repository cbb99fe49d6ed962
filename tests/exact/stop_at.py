"""An Axolotl plugin for tests: asks for a stop at a chosen moment, as the stage would.

Its environment variable is `<phase>@<step>`: `step` while that optimizer step is computed, `accumulation` after its first
micro-batch, `evaluation` at a batch of the evaluation after it, `begin` before the next step begins. It also prints the
steps after which an epoch ends, and those that are evaluated, and writes the Trainer's last state.
"""

import os
from pathlib import Path
from typing import Any

from axolotl.integrations.base import BasePlugin
from trainings import FINAL_STATE, STOP_ENV
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.shared.stop_file import STOP_FILE_ENV


class StopAt(TrainerCallback):
    """Comes before regrow's callbacks, so that a stop is seen at the moment itself."""

    def __init__(self) -> None:
        self.moment = os.environ.get(STOP_ENV)

    def _pass(self, phase: str, step: int) -> None:
        if self.moment == f"{phase}@{step}":
            Path(os.environ[STOP_FILE_ENV]).write_text("stop\n", encoding="utf-8")

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._pass("begin", state.global_step)

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._pass("accumulation", state.global_step + 1)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._pass("step", state.global_step + 1)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._pass("evaluation", state.global_step)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        print(f"\nBORDER {state.global_step}", flush=True)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        print(f"\nEVALUATED {state.global_step}", flush=True)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if args.should_save:
            state.save_to_json(str(Path(str(args.output_dir)) / FINAL_STATE))


class Stops(BasePlugin):
    """Adds the callback; `plugins: [stop_at.Stops, callbacks.plugin.RegrowPlugin]`."""

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Trainer) -> list[TrainerCallback]:
        return [StopAt()]
