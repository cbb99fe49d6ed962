"""An Axolotl plugin for tests: asks for a stop at a chosen moment, as the stage would.

Its environment variable is `<phase>@<step>`: `step` while that optimizer step is computed, `accumulation` after its first
micro-batch, `evaluation` at a batch of the evaluation after it, `save` in its save, `begin` before the next step begins. Three
phases are no request: at `kill`, each rank is killed in the save of this step, at `die` while it computes the step, and at
`freeze` it is stopped by a signal in the save. The plugin also prints what a callback is told, and writes the Trainer's last
state.
"""

import os
import sys
from pathlib import Path
from typing import Any

from axolotl.integrations.base import BasePlugin
from outcome import FINAL_STATE
from trainings import SIGNALS, STOP_ENV
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.shared.stop_file import STOP_FILE_ENV


class StopAt(TrainerCallback):
    """Comes before regrow's callbacks, so that a stop is seen at the moment itself."""

    def __init__(self, trainer: Trainer) -> None:
        self.moment = os.environ.get(STOP_ENV)
        self._save, self._says = trainer._save_checkpoint, trainer.args.process_index == 0
        trainer._save_checkpoint = self._save_and_pass

    def _save_and_pass(self, model: Any, trial: Any) -> None:
        """HF's method, before regrow renames what it has written."""
        self._save(model, trial)
        step = self._save.__self__.state.global_step
        self._pass("save", step)
        self._pass("kill", step)
        self._pass("freeze", step)
        self._say("save", step)

    def _pass(self, phase: str, step: int) -> None:
        if self.moment == f"{phase}@{step}":
            if phase in SIGNALS:
                os.kill(os.getpid(), SIGNALS[phase])
                return
            Path(os.environ[STOP_FILE_ENV]).write_text("stop\n", encoding="utf-8")

    def _say(self, event: str, step: int) -> None:
        if self._says:
            sys.stdout.write(f"\nEVENT {event} {step}\n")  # in one piece: other ranks write to the same file
            sys.stdout.flush()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._pass("begin", state.global_step)

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._pass("accumulation", state.global_step + 1)
        self._say("substep", state.global_step + 1)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._pass("step", state.global_step + 1)
        self._pass("die", state.global_step + 1)
        self._say("optimizer step", state.global_step + 1)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._pass("evaluation", state.global_step)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._say("epoch end", state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._say("step end", state.global_step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._say("log", state.global_step)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._say("evaluate", state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if args.should_save:
            state.save_to_json(str(Path(str(args.output_dir)) / FINAL_STATE))


class Stops(BasePlugin):
    """Adds the callback; `plugins: [stop_at.Stops, callbacks.plugin.RegrowPlugin]`."""

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Trainer) -> list[TrainerCallback]:
        return [StopAt(trainer)]
