"""Completion: writes into the journal when the training begins and when it is finished. An exit code never means that."""

from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.shared import events
from callbacks.shared.from_stage import training_name
from callbacks.shared.journal import Journal


class Completion(TrainerCallback):
    """Runs on rank 0 only. Writes `finished` once the training has ended and the final adapter is saved."""

    def __init__(self, journal: Journal, may_stop_early: bool = False) -> None:
        """`may_stop_early`: the config has early stopping. Without it, a training that ends before its target step has failed:
        Axolotl's watchdog for the loss, for example, ends a training that diverges."""
        self.journal, self._may_stop_early = journal, may_stop_early
        self.step = -1
        self.target_step = 0
        self._has_ended = False
        """Whether early stopping has ended the training."""
        self._has_said = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.target_step = state.max_steps
        self.journal.write(events.TrainingBegan(step=state.global_step, target_step=state.max_steps))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.step = state.global_step
        self._has_ended = self._may_stop_early and control.should_training_stop
        self.journal.write(events.TrainingEnded(step=state.global_step, target_step=state.max_steps))

    def adapter_saved(self, output_dir: Path) -> None:
        """Write, only once, that the training is finished. Called after Axolotl has saved the final model."""
        adapters = sorted(output_dir.glob("adapter_model*.safetensors")) or sorted(
            output_dir.glob("model*.safetensors")
        )
        if (self._has_ended or self.step == self.target_step) and adapters and not self._has_said:
            self._has_said = True
            files = [path.name for path in adapters]
            if name := training_name():
                self.journal.write(events.TrainingFinished(training=name, step=self.step, files=files))
            else:
                self.journal.write(events.Finished(step=self.step, target_step=self.target_step, files=files))
