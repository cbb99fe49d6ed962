"""CheckpointManifest: makes checkpoints that are whole or do not exist, and removes old ones by step."""

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import torch.distributed as dist
from safetensors import SafetensorError
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.shared import events
from callbacks.shared.from_stage import attempt_name, has_lost_lease
from callbacks.shared.journal import JOURNAL_ENV, Journal
from callbacks.shared.manifest import (
    Owed,
    checkpoint_files,
    checkpoint_step,
    checkpoints,
    file_digest,
    fsync,
    superfluous,
    torn_reason,
    write_manifest,
)
from callbacks.shared.process.interpreter import leave_now
from callbacks.shared.stop_file import EXIT_STOPPED

SAVE_ERRORS = (OSError, RuntimeError, SafetensorError)
"""The errors that Python, torch and safetensors raise if the disk is full."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
LITTLE_ROOM_BYTES = 16 * 2**20
MAKING = ".making-"
"""How the folder begins in which an attempt makes its checkpoints, below `output_dir`."""
TAKEN_OVER_SECONDS = 60.0
"""The time that the stage has to end the ranks of an attempt that has lost the lease."""


class SaveFailed(RuntimeError):
    """A checkpoint could not be written. Its incomplete folder is renamed; earlier checkpoints are unchanged."""


class Part(Protocol):
    """What regrow adds to a checkpoint. Each rank saves and loads its own."""

    def save(self, checkpoint: Path) -> None:
        """Write into a checkpoint that is being made."""

    def load(self, checkpoint: Path) -> None:
        """Take over what was saved. HF has loaded its own parts; no step is done yet."""


class CheckpointManifest(TrainerCallback):
    """Lets HF save into a folder of this attempt, and renames the checkpoint once every rank's files are on disk.

    So an attempt that was killed in a save leaves no checkpoint, and one that wakes up after its successor has begun changes
    none. Old checkpoints go by their step; HF would go by modification time, and before the new one is whole.
    """

    def __init__(
        self,
        trainer: Trainer,
        journal: Journal | None,
        is_evaluating: Callable[[], bool] = lambda: False,
        parts: Sequence[Part] = (),
        resumed: Path | None = None,
        keep: int = 0,
    ) -> None:
        """`resumed`: the checkpoint that the training resumes from. `keep`: at least so many of the newest stay."""
        self.journal = journal
        """Rank 0's journal; None on the other ranks."""
        self.is_evaluating = is_evaluating
        """Whether an evaluation is being cut short by this save."""
        self._trainer, self._save, self._parts, self._resumed = trainer, trainer._save_checkpoint, parts, resumed
        self._output = Path(str(trainer.args.output_dir))
        self._limit = max(trainer.args.save_total_limit, keep) if trainer.args.save_total_limit else None
        trainer.args.save_total_limit = None  # removing is ours
        trainer._save_checkpoint = self._save_whole

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._resumed is None and state.global_step:  # Axolotl itself has chosen the checkpoint
            self._resumed = self._output / f"checkpoint-{state.global_step}"
        if self._resumed:
            for part in self._parts:
                part.load(self._resumed)
        if self.journal is not None:
            for left in self._output.glob(f"{MAKING}*"):  # of attempts that were killed in a save
                shutil.rmtree(left, ignore_errors=True)

    def _save_whole(self, model: Any, trial: Any) -> None:
        """HF's `_save_checkpoint`; every rank calls it."""
        began, trainer, step = time.monotonic(), self._trainer, self._trainer.state.global_step
        final = self._output / f"checkpoint-{step}"
        best = self._output / f"checkpoint-{trainer.state.best_global_step}"
        if best == final or best.exists():
            trainer.state.best_model_checkpoint = str(best)
        if self._resumed == final and not torn_reason(final):
            return  # this step's state is on disk: an owed evaluation was made up
        making = self._output / f"{MAKING}{attempt_name()}"
        checkpoint, where = making / final.name, trainer._get_output_dir
        trainer._get_output_dir = lambda trial: str(making)
        try:
            self._save(model, trial)
            self._name_best(best, checkpoint)
            for part in self._parts:
                part.save(checkpoint)
            digests = digests_of_all(checkpoint)
            if self.journal is not None:
                owed = Owed(self.is_evaluating(), self.is_evaluating() and trainer.control.should_save)
                write_manifest(checkpoint, step=step, world_size=trainer.args.world_size, owed=owed, digests=digests)
                self._take_place(checkpoint, final)
        except SAVE_ERRORS as error:
            leave_if_taken_over()  # the attempt that works on the run has removed this one's folder
            raise self._set_aside(checkpoint, error) from error
        finally:
            trainer._get_output_dir = where
        if self.journal is not None:
            seconds = time.monotonic() - began
            self.journal.write(events.Saved(step=step, checkpoint=final.name, seconds=seconds))
            self._remove_old()

    def _name_best(self, best: Path, checkpoint: Path) -> None:
        """Give the best checkpoint its final name, on every rank; HF has found it in the folder where it is made."""
        if best.name == checkpoint.name:
            self._trainer.state.best_model_checkpoint = str(best)
            if self._trainer.args.should_save:
                self._trainer.state.save_to_json(str(checkpoint / "trainer_state.json"))

    def _take_place(self, checkpoint: Path, final: Path) -> None:
        """Rename a whole checkpoint to its name, on rank 0. A whole one of another attempt stays."""
        leave_if_taken_over()
        old = checkpoint.with_name(f"old-{final.name}")
        if final.exists():
            final.rename(old)
        checkpoint.rename(final)
        fsync(final.parent)
        shutil.rmtree(checkpoint.parent, ignore_errors=True)

    def _remove_old(self) -> None:
        """Remove the checkpoints that the limit does not allow for, on rank 0."""
        whole = {checkpoint_step(path) or 0: path for path in checkpoints(self._output) if not torn_reason(path)}
        for step in superfluous(whole, self._limit, self._trainer.state.best_global_step):
            going = self._output / f"{MAKING}{attempt_name()}" / f"old-{whole[step].name}"
            going.parent.mkdir(exist_ok=True)
            whole[step].rename(going)  # half a checkpoint must not have a checkpoint's name
            shutil.rmtree(going.parent, ignore_errors=True)

    def _set_aside(self, checkpoint: Path, error: Exception) -> SaveFailed:
        """Write why the save failed, on whichever rank it did: under ZeRO, each rank writes files. Rank 0 renames the folder."""
        step, output, journal = checkpoint.name.partition("-")[2], self._output, self.journal or journal_of_rank()
        aside = output / f"torn-{step}-{attempt_name()}"
        if self.journal is not None and checkpoint.exists():
            checkpoint.rename(aside)
        full = is_full(error, output)
        if journal is not None:
            said = events.SaveFailed(checkpoint=checkpoint.name, renamed=aside.name, error=str(error), is_full=full)
            with suppress(OSError):  # the journal is on the same disk
                journal.write(said)
        return SaveFailed(f"{self._output / checkpoint.name} could not be written: {error}")


def journal_of_rank() -> Journal | None:
    """A journal for this rank alone; None: a person started the training."""
    stem = os.environ.get(JOURNAL_ENV)
    return Journal.of_writer(stem, f"rank{os.environ.get('RANK', '0')}") if stem else None


def leave_if_taken_over() -> None:
    """End this process if another attempt has the lease."""
    if has_lost_lease():
        print("another attempt works on this run; this one saves nothing more", flush=True)
        time.sleep(TAKEN_OVER_SECONDS)  # the stage ends its ranks when it sees this
        leave_now(EXIT_STOPPED)


def digests_of_all(checkpoint: Path) -> dict[str, str]:
    """The digest of every file of a checkpoint, once all ranks have written theirs; every rank reads a share of the files."""
    is_distributed = dist.is_available() and dist.is_initialized()
    if is_distributed:
        dist.barrier()
    rank, ranks = (dist.get_rank(), dist.get_world_size()) if is_distributed else (0, 1)
    largest_first = sorted(checkpoint_files(checkpoint), key=lambda path: path.stat().st_size, reverse=True)
    own = {str(path.relative_to(checkpoint)): file_digest(path) for path in largest_first[rank::ranks]}
    shares: list[dict[str, str]] = [own] * ranks
    if is_distributed:
        dist.all_gather_object(shares, own)
    return {name: digest for share in shares for name, digest in share.items()}


def is_full(error: Exception, folder: Path) -> bool:
    """Whether the disk or the quota is full. torch and safetensors hide the errno: their messages count, and whether there is
    room for a little file, and for one more checkpoint."""
    said = isinstance(error, OSError) and error.errno in NO_ROOM
    return said or bool(re.search("No space left|[Qq]uota exceeded", str(error))) or _has_no_room(folder)


def _has_no_room(folder: Path) -> bool:
    newest = next((path for path in checkpoints(folder) if not torn_reason(path)), None)
    size = sum(path.stat().st_size for path in checkpoint_files(newest)) if newest else 0
    if shutil.disk_usage(folder).free < size:
        return True
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, LITTLE_ROOM_BYTES)
    except OSError as error:
        return error.errno in NO_ROOM
    return False
