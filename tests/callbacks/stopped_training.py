"""A real Trainer with a real GracefulStop on a model of one weight: `python stopped_training.py FOLDER PHASE`.

PHASE says where the request comes: `step` (after step 1), `accumulation` (within step 3), `evaluation` (at step 2), `none`.
With WORLD_SIZE set, the ranks train together by gloo; the rank of REGROW_TEST_ASKS alone asks.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from line import Line, Numbers
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.exact.callback_states import CallbackStates
from callbacks.exact.checkpoint_manifest import CheckpointManifest
from callbacks.exact.digests import Digests
from callbacks.exact.position import Position
from callbacks.exact.record_order import own_order
from callbacks.exact.stop import GracefulStop, StopRequest
from callbacks.shared.journal import Journal
from callbacks.shared.manifest import Owed, checkpoints, owed_at

FOLDER, PHASE = Path(sys.argv[1]), sys.argv[2]
STOP = FOLDER / "stop"
IS_ASKING = os.environ.get("RANK", "0") == os.environ.get("REGROW_TEST_ASKS", "0")


class Asks(TrainerCallback):
    """Somebody who asks for the stop in the phase."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.ask_in("step", state.global_step == 1)

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.ask_in("accumulation", state.global_step == 2)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.ask_in("evaluation", state.global_step == 2)

    def ask_in(self, phase: str, is_time: bool) -> None:
        if phase == PHASE and is_time and IS_ASKING:
            STOP.write_text("stop\n")


def main() -> None:
    torch.manual_seed(3)
    arguments = TrainingArguments(
        output_dir=str(FOLDER / "checkpoints"), max_steps=4, gradient_accumulation_steps=2, per_device_train_batch_size=2,
        save_steps=4, eval_strategy="steps", eval_steps=2, logging_steps=1, use_cpu=True, report_to=[], seed=3,
        disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(Line(), arguments, train_dataset=Numbers(), eval_dataset=Numbers())
    rank = dist.get_rank() if dist.is_initialized() else 0
    journal = Journal(FOLDER / "journal" / "train-1-0-rank0.jsonl") if rank == 0 else None
    newest = next(iter(checkpoints(FOLDER / "checkpoints")), None)
    stop = GracefulStop(trainer, StopRequest(STOP), journal, owed_at(newest) if newest else Owed())
    position = Position(trainer)
    own_order(trainer, lambda: position.epoch)
    parts = (position, CallbackStates(trainer), Digests(trainer))
    manifest = CheckpointManifest(trainer, journal, lambda: stop.is_evaluating, parts, newest)
    for callback in (Asks(), manifest, position, stop):
        trainer.add_callback(callback)
    trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    if rank == 0:
        (FOLDER / "weight").write_text(trainer.model.w.item().hex())


if __name__ == "__main__":
    main()
