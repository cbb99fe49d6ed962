"""Position: where a training stands in its records and in its logged sums. HF only knows the optimizer step."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

STORED = ("_metrics", "_stored_metrics", "_total_train_tokens")
"""Where TRL's and Axolotl's trainers keep the values of the steps since the last log, and a counter of tokens."""


def stored_metrics(trainer: Trainer) -> dict[str, Any]:
    """A copy of the values that the trainer has stored and not yet logged, without those of an evaluation: it is done again."""
    found = {name: getattr(trainer, name) for name in STORED if getattr(trainer, name, None)}
    try:
        copied: dict[str, Any] = json.loads(json.dumps(found, default=lambda value: value.item())) if found else {}
    except (TypeError, AttributeError, RuntimeError):  # values of another kind: the next logged means lack these steps
        return {}
    for values in copied.values():
        if isinstance(values, dict):
            values.pop("eval", None)
    return copied


def restore_metrics(trainer: Trainer, metrics: dict[str, Any]) -> None:
    """Let the trainer go on with stored values, in its own dicts."""
    for name in STORED:
        if isinstance(has := getattr(trainer, name, None), dict):
            _replace(has, metrics.get(name, {}))
        elif name in metrics:
            setattr(trainer, name, metrics[name])


def _replace(has: dict[str, Any], values: dict[str, Any]) -> None:
    for key in [key for key in has if key not in values and not isinstance(has[key], dict)]:
        del has[key]
    for key in has.keys() | values.keys():
        if not isinstance(values.get(key, {}), dict):
            has[key] = values[key]
        elif key in has or isinstance(has, defaultdict):  # which makes an inner dict of its own kind
            _replace(has[key], values.get(key, {}))


class Position(TrainerCallback):
    """Counts epochs, and optimizer steps within the epoch.

    HF computes both from the optimizer step, which is wrong as soon as one epoch had fewer steps than another. And it takes
    a checkpoint of an epoch's last step for the next epoch's begin: what is due at the end of an epoch would be left out.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.epoch = 0
        self.steps = 0
        """Optimizer steps that were done in this epoch."""
        self._trainer = trainer
        self._begin, self._run_epoch = trainer._init_training_state, trainer._run_epoch
        trainer._init_training_state = self._begin_at_position
        trainer._run_epoch = self._run_from_position

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.steps += 1

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The epoch is over, also for a checkpoint that is saved because it is over."""
        self.epoch, self.steps = self.epoch + 1, 0

    def save(self, checkpoint: Path) -> None:
        """Write the position, and the loss that is summed up but not yet logged, into a checkpoint that is being made."""
        trainer = self._trainer
        position = {
            "epoch": self.epoch,
            "steps": self.steps,
            "loss": trainer._tr_loss.item(),
            "loss_logged": trainer._total_loss_scalar,
            "last_logged": trainer._globalstep_last_logged,
            "metrics": stored_metrics(trainer),
        }
        self._file(checkpoint).write_text(json.dumps(position), encoding="utf-8")

    def load(self, checkpoint: Path) -> None:
        """Go on with the sums, so that the next logged loss is a mean over the same steps."""
        if self._file(checkpoint).exists():
            position = json.loads(self._file(checkpoint).read_bytes())
            self._trainer._tr_loss.fill_(position["loss"])
            self._trainer._total_loss_scalar = position["loss_logged"]
            self._trainer._globalstep_last_logged = position["last_logged"]
            restore_metrics(self._trainer, position["metrics"])

    def _file(self, checkpoint: Path) -> Path:
        """Of this rank: each sums up its own loss."""
        return checkpoint / f"regrow_position_{self._trainer.args.process_index}.json"

    def _begin_at_position(self, *arguments: Any) -> tuple[int, int]:
        """HF's method, whose result are the epoch, and the micro-batches to skip in it."""
        epoch, batches = self._begin(*arguments)
        accumulation = self._trainer.args.gradient_accumulation_steps
        checkpoint = arguments[3]
        if checkpoint is None or not self._file(Path(checkpoint)).exists():  # of another program: HF's computation
            self.epoch, self.steps = epoch, batches // accumulation
            return epoch, batches
        position = json.loads(self._file(Path(checkpoint)).read_bytes())
        self.epoch, self.steps = position["epoch"], position["steps"]
        return self.epoch, 0 if self._trainer.args.ignore_data_skip else self.steps * accumulation

    def _run_from_position(self, **arguments: Any) -> None:
        """HF's method. It restores the random numbers only at a batch, and an epoch that is just over has none left. And it would
        train one more step if the target step is saved, or if early stopping ends the training (transformers 5.16)."""
        trainer = self._trainer
        if trainer.state.global_step >= trainer.state.max_steps or trainer.control.should_training_stop:
            if self.steps:
                self._end_epoch(**arguments)
            trainer.control.should_training_stop = True
            return
        if arguments["epoch"] == arguments["epochs_trained"]:
            trainer._load_rng_state(arguments["resume_from_checkpoint"])
        self._run_epoch(**arguments)

    def _end_epoch(self, *, model: Any, epoch: int, trial: Any, start_time: float, **arguments: Any) -> None:
        """What HF does after an epoch's last step. The attempt that did the step was stopped in the step's evaluation."""
        trainer = self._trainer
        trainer.control = trainer.callback_handler.on_epoch_end(trainer.args, trainer.state, trainer.control)
        trainer._maybe_log_save_evaluate(trainer._tr_loss, None, model, trial, epoch, None, start_time, None)
