"""The time that the ledger of records adds to a training step: its own code, around a step that does nothing."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import TrainerControl, TrainerState

from callbacks.exact.ledger import CollatorWithIds, Ledger

STEPS = 2000
RECORDS, TOKENS = 4, 512
"""Of a micro-batch: it is that of a small training. A larger one takes longer to train."""


def ledger_cost(folder: Path, *, audit: bool) -> float:
    """Seconds that the ledger needs for a step of one micro-batch, with its share of the writes to disk."""
    config = folder / "config.yml"
    config.write_text("{}", encoding="utf-8")
    records = [{"input_ids": list(range(each, each + TOKENS))} for each in range(RECORDS)]
    args = SimpleNamespace(device="cpu", output_dir=str(folder / f"audit-{audit}"), process_index=0, world_size=1)
    trainer: Any = SimpleNamespace(
        args=args,
        state=TrainerState(),
        training_step=lambda model, inputs: None,
        train_dataset=records,
        get_train_dataloader=None,
    )
    ledger, control = Ledger(trainer, lambda: 0, [config], with_records=audit), TrainerControl()
    ledger.on_train_begin(args, trainer.state, control)
    collate = CollatorWithIds(collated) if audit else collated
    began = time.perf_counter()
    for step in range(1, STEPS + 1):
        trainer.state.global_step = step
        batch = collate(records)
        ledger.on_step_begin(args, trainer.state, control)
        trainer.training_step(None, batch)
        ledger.on_step_end(args, trainer.state, control)
    ledger.on_train_end(args, trainer.state, control)
    return (time.perf_counter() - began) / STEPS


def collated(records: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """A batch that is ready: collating is not the ledger's work."""
    return {"input_ids": BATCH}


BATCH = torch.arange(RECORDS * TOKENS).reshape(RECORDS, TOKENS)
