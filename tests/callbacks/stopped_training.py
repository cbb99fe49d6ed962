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
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.checkpoint_manifest import CheckpointManifest
from callbacks.shared.journal import Journal
from callbacks.stop import GracefulStop, StopRequest

FOLDER, PHASE = Path(sys.argv[1]), sys.argv[2]
STOP = FOLDER / "stop"
IS_ASKING = os.environ.get("RANK", "0") == os.environ.get("REGROW_TEST_ASKS", "0")


class Numbers(Dataset[dict[str, torch.Tensor]]):
    """Sixteen points of a line."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": torch.tensor([index / 16]), "labels": torch.tensor([index / 8])}


class Line(torch.nn.Module):
    """y = w x, with noise from torch's generator: what it draws shows in the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([0.5]))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        noise = torch.rand(1) / 8 if self.training else torch.zeros(1)
        return {"loss": ((self.w * x + noise - labels) ** 2).mean(), "logits": self.w * x}


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
    stop = GracefulStop(trainer, StopRequest(STOP), journal)
    for callback in (Asks(), CheckpointManifest(trainer, journal, lambda: stop.is_evaluating), stop):
        trainer.add_callback(callback)
    newest = sorted((FOLDER / "checkpoints").glob("checkpoint-*"))[-1:]
    trainer.train(resume_from_checkpoint=str(newest[0]) if newest else None)
    if rank == 0:
        (FOLDER / "weight").write_text(trainer.model.w.item().hex())


if __name__ == "__main__":
    main()
