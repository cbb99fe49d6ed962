"""CheckpointManifest: makes a checkpoint valid by writing its manifest, after every rank has saved its part."""

import errno
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist
from safetensors import SafetensorError
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.shared import events
from callbacks.shared.journal import Journal
from callbacks.shared.manifest import write_manifest

SAVE_ERRORS = (OSError, RuntimeError, SafetensorError)
"""The errors that Python, torch and safetensors raise if the disk is full."""


LITTLE_ROOM_BYTES = 16 * 2**20


class SaveFailed(RuntimeError):
    """A checkpoint could not be written. Its incomplete folder is renamed; earlier checkpoints are unchanged."""


class CheckpointManifest(TrainerCallback):
    """Writes the manifest after HF's save. It needs a barrier first, because HF's save ends without one."""

    def __init__(
        self, trainer: Trainer, journal: Journal | None, is_evaluating: Callable[[], bool] = lambda: False
    ) -> None:
        self.journal = journal
        """Rank 0's journal; None on the other ranks."""
        self.is_evaluating = is_evaluating
        """Whether an evaluation is being cut short by this save."""
        self._trainer, self._save = trainer, trainer._save_checkpoint
        self._began = 0.0
        trainer._save_checkpoint = self._save_or_set_aside

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if dist.is_available() and dist.is_initialized():
            dist.barrier()
        if self.journal is None:
            return
        checkpoint = _checkpoint(args, state)
        try:
            write_manifest(
                checkpoint, step=state.global_step, world_size=args.world_size, evaluation_owed=self.is_evaluating()
            )
        except OSError as error:
            raise self._set_aside(checkpoint, error) from error
        seconds = time.monotonic() - self._began
        self.journal.write(events.Saved(step=state.global_step, checkpoint=checkpoint.name, seconds=seconds))

    def _save_or_set_aside(self, model: Any, trial: Any) -> None:
        self._began = time.monotonic()
        try:
            self._save(model, trial)
        except SAVE_ERRORS as error:
            raise self._set_aside(_checkpoint(self._trainer.args, self._trainer.state), error) from error

    def _set_aside(self, checkpoint: Path, error: Exception) -> SaveFailed:
        if self.journal is not None:
            aside = checkpoint.with_name(f"torn-{checkpoint.name.partition('-')[2]}-{self.journal.path.stem}")
            if checkpoint.exists():
                checkpoint.rename(aside)
            full = is_full(error, aside.parent)
            said = events.SaveFailed(checkpoint=checkpoint.name, renamed=aside.name, error=str(error), is_full=full)
            self.journal.write(said)
        return SaveFailed(f"{checkpoint} could not be written: {error}")


def is_full(error: Exception, folder: Path) -> bool:
    """Whether the disk or the quota is full. torch and safetensors hide the errno, so their message and the disk count too."""
    no_room = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
    said = isinstance(error, OSError) and error.errno in no_room
    return said or "No space left" in str(error) or shutil.disk_usage(folder).free < LITTLE_ROOM_BYTES


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
