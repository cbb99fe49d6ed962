"""CheckpointManifest: makes a saved checkpoint valid, by writing its manifest once every rank has saved its part."""

from pathlib import Path
from typing import Any

import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.journal import Journal
from callbacks.manifest import write_manifest


class CheckpointManifest(TrainerCallback):
    """Writes the manifest after HF's save, which itself ends without a barrier of the ranks."""

    def __init__(self, journal: Journal | None) -> None:
        self.journal = journal
        """Rank 0's journal; None on the other ranks."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if dist.is_available() and dist.is_initialized():
            dist.barrier()
        if self.journal is None:
            return
        checkpoint = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        write_manifest(checkpoint, step=state.global_step, world_size=args.world_size)
        self.journal.event("saved", step=state.global_step, checkpoint=checkpoint.name)
