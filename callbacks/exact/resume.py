"""The callbacks with which a Trainer of transformers or TRL stops at once and resumes exactly. Nothing here needs Axolotl."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import Trainer, TrainerCallback

from callbacks.exact.callback_states import CallbackStates
from callbacks.exact.checkpoint_load import CountedVersions, load_whole
from callbacks.exact.checkpoint_manifest import CheckpointManifest
from callbacks.exact.digests import Digests
from callbacks.exact.ledger import Ledger
from callbacks.exact.position import Position
from callbacks.exact.record_order import own_order
from callbacks.exact.stop import GracefulStop, StopRequest
from callbacks.shared.args import Regrow
from callbacks.shared.events import E
from callbacks.shared.from_stage import first_step, training_name
from callbacks.shared.journal import Journal
from callbacks.shared.manifest import NOTHING, owed_at
from callbacks.shared.stop_file import stop_file


@dataclass(frozen=True)
class ExactResume:
    """Callbacks in two parts, for those of others between them."""

    first: list[TrainerCallback]
    """What was loaded is compared before the training begins."""
    stop: GracefulStop
    """The last one: at each hook the other callbacks have done their work before it leaves."""


def exact_resume(
    trainer: Trainer, regrow: Regrow, journal: Journal | None, resumed: Path | None, sources: Sequence[Path]
) -> ExactResume:
    """Change the trainer so that it draws its records, saves and loads as a training that is stopped must.

    Args:
        journal: rank 0's; None on the other ranks.
        resumed: the checkpoint to resume from; None: none is known yet.
        sources: the files that say what is trained: the config, or the user's script.
    """
    position = Position(trainer)
    ledger = Ledger(trainer, lambda: position.epoch, sources, with_records=regrow.audit)
    own_order(trainer, lambda: position.epoch)
    load_whole(trainer)
    request = StopRequest(stop_file(), trainer.args.ddp_timeout_delta)
    stop = GracefulStop(trainer, request, journal, owed_at(resumed) if resumed else NOTHING)
    manifest = CheckpointManifest(
        trainer,
        journal,
        is_evaluating=lambda: stop.is_evaluating,
        parts=(position, ledger, CallbackStates(trainer), Digests(trainer)),
        resumed=resumed,
        keep=regrow.evaluate.checkpoints if isinstance(regrow.evaluate.checkpoints, int) else 1,
    )
    return ExactResume([manifest, position, ledger, *([CountedVersions()] if _has_dora(trainer) else [])], stop)


class LaterJournal(Journal):
    """The journal of a training that follows others in its run: its steps go on from theirs."""

    def write(self, entry: E) -> E:
        """As Journal.write."""
        for name in ("step", "target_step"):
            if hasattr(entry, name):
                setattr(entry, name, getattr(entry, name) + first_step())
        return super().write(entry)


def rank_journal(stem: str) -> Journal:
    """Rank 0's journal. Each training of a run has its own."""
    name = training_name()
    return LaterJournal.of_writer(stem, f"rank0.{name}" if name else "rank0")


def stem_by_hand(output_dir: Path) -> str:
    """Path of a journal in `output_dir`, without the writer's name. It has the time, because process ids come again."""
    return str(output_dir / "journal" / f"train-by_hand-{time.time_ns()}")


def _has_dora(trainer: Trainer) -> bool:
    """Whether an adapter of the model has norms that are computed from its weights."""
    adapters = getattr(trainer.model, "peft_config", None) or {}
    return any(getattr(adapter, "use_dora", False) for adapter in adapters.values())
