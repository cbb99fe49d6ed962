"""`attach`: gives any Trainer of transformers or TRL what Axolotl's trainings have from the plugin."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments
from transformers.integrations import MLflowCallback
from transformers.trainer_utils import get_last_checkpoint

from callbacks.asked_for import AskedFor, Setting
from callbacks.completion import Completion
from callbacks.cpu_ranks import are_on_cpu, prepare_ddp_resume
from callbacks.exact.resume import exact_resume, rank_journal, stem_by_hand
from callbacks.mlflow_logger import MLflowLogger
from callbacks.shared.args import Regrow
from callbacks.shared.from_stage import CHECKPOINT_ENV, CONFIG_ENV, DEVICE_ENV
from callbacks.shared.journal import JOURNAL_ENV
from callbacks.shared.projection import flat_params

_ATTACHED: list[Trainer] = []
"""The trainer of this process's run, once there is one."""


def attach(trainer: Trainer) -> None:
    """Let regrow stop, resume and account for the training that `trainer.train()` will do.

    In a job of regrow, `train` resumes from the run's newest checkpoint, whatever it is called with; checkpoints and the final
    model are in the run's folder, and logs go to the run in MLflow. In a process that a person has started, the checkpoints
    stay in `output_dir`, and `train(resume_from_checkpoint=...)` says where to begin.

    Raises:
        ValueError: the trainer's checkpoints could not be resumed, or the run has another trainer already.
    """
    if trainer.args.save_only_model:
        raise ValueError("save_only_model: such checkpoints cannot be resumed\nhint: remove it")
    config = Path(path) if (path := os.environ.get(CONFIG_ENV)) else None
    content: dict[str, Any] = yaml.safe_load(config.read_text(encoding="utf-8")) if config else {}
    regrow = Regrow.model_validate(content.get("regrow") or {})
    if config:
        _take(trainer, Path(content["output_dir"]))
    if regrow.deterministic:
        torch.use_deterministic_algorithms(True)
    if are_on_cpu():
        prepare_ddp_resume()
    sources = [path for path in (config, _script()) if path]
    train = trainer.train

    def train_exactly(resume_from_checkpoint: str | bool | None = None, *arguments: Any, **named: Any) -> Any:
        trainer.train = train
        resumed = _stages_checkpoint() if config else _checkpoint(trainer.args, resume_from_checkpoint)
        completion = _add_callbacks(trainer, regrow, resumed, sources, flat_params(content) | chosen(trainer.args))
        result = train(str(resumed) if resumed else None, *arguments, **named)
        if config:
            trainer.save_model()  # every rank: some kinds of sharding gather the weights
            if completion:
                completion.adapter_saved(Path(str(trainer.args.output_dir)))
        return result

    trainer.train = train_exactly


def _take(trainer: Trainer, output: Path) -> None:
    """Make a trainer the one of this run, with its checkpoints in the run's folder."""
    if _ATTACHED:
        raise ValueError(
            "another trainer is attached already, and a run has one\nhint: train in two runs, one after the other"
        )
    _ATTACHED.append(trainer)
    trainer.args.output_dir = str(output)
    trainer.remove_callback(MLflowCallback)  # it would make a run of its own in MLflow


def _add_callbacks(
    trainer: Trainer, regrow: Regrow, resumed: Path | None, sources: list[Path], params: Mapping[str, Any]
) -> Completion | None:
    """Add regrow's callbacks behind those that the trainer has, which may have been added up to now."""
    if resumed:
        trainer.args.eval_on_start = False
    stem = os.environ.get(JOURNAL_ENV) or stem_by_hand(Path(str(trainer.args.output_dir)))
    journal = rank_journal(stem) if trainer.is_world_process_zero() else None
    exact = exact_resume(trainer, regrow, journal, resumed, sources)
    may_stop_early = any(isinstance(each, EarlyStoppingCallback) for each in trainer.callback_handler.callbacks)
    completion = Completion(journal, may_stop_early) if journal else None
    wanted = Setting(world_size=int(os.environ.get("WORLD_SIZE", "1")), device=os.environ.get(DEVICE_ENV) or None)
    first_only = [completion, MLflowLogger(journal, params, sources)] if journal and completion else []
    for callback in (AskedFor(wanted, trainer), *exact.first, *first_only, exact.stop):
        trainer.add_callback(callback)
    return completion


def _stages_checkpoint() -> Path | None:
    return Path(path) if (path := os.environ.get(CHECKPOINT_ENV)) else None


def _checkpoint(args: TrainingArguments, asked: str | bool | None) -> Path | None:
    """The checkpoint that `train` was asked to resume from; True means the newest one, as in transformers."""
    found = get_last_checkpoint(str(args.output_dir)) if asked is True else asked
    return Path(found) if isinstance(found, str) else None


def _script() -> Path | None:
    """The file that a person, or a job, has started; None: an interactive session."""
    name = getattr(sys.modules["__main__"], "__file__", None)
    return Path(name) if name else None


def chosen(args: TrainingArguments) -> dict[str, Any]:
    """The arguments that differ from their defaults, without tokens."""
    values = args.to_dict()
    defaults = {name: field.default for name, field in type(args).__dataclass_fields__.items()}
    return {
        name: value for name, value in values.items() if value != defaults.get(name) and not name.endswith("_token")
    }
