"""RegrowPlugin: what Axolotl loads. Brings the `regrow:` section, the seeding and the callbacks into a training."""

import os
import time
import uuid
from pathlib import Path
from typing import Any

import torch
import transformers
from axolotl.integrations.base import BasePlugin
from axolotl.utils.dict import DictDefault
from transformers import Trainer, TrainerCallback

from callbacks.args import Regrow
from callbacks.checkpoint_manifest import CheckpointManifest
from callbacks.completion import Completion
from callbacks.generation_eval import GenerationEval
from callbacks.journal import JOURNAL_ENV, Journal
from callbacks.mlflow_logger import MLflowLogger
from callbacks.prompts import PromptFormat
from callbacks.tracking import MlflowFeed, TrackedRun


class RegrowPlugin(BasePlugin):
    """One plugin for all callbacks; `plugins: [callbacks.plugin.RegrowPlugin]`."""

    def __init__(self) -> None:
        super().__init__()
        self.completion: Completion | None = None

    def get_input_args(self) -> str:
        return "callbacks.args.RegrowArgs"

    def get_training_args(self, cfg: DictDefault) -> dict[str, Any]:
        """Axolotl sets `eval_on_start` always; a resumed training would evaluate before its first step each time."""
        return {"eval_on_start": False} if cfg.resume_from_checkpoint else {}

    def pre_model_load(self, cfg: DictDefault) -> None:
        """Seed before the adapter is built: Axolotl draws its weights earlier than the trainer seeds."""
        if cfg.seed is not None:
            transformers.set_seed(int(cfg.seed))
        if regrow_section(cfg).deterministic:
            torch.use_deterministic_algorithms(True)

    def add_callbacks_post_trainer(self, cfg: DictDefault, trainer: Trainer) -> list[TrainerCallback]:
        regrow = regrow_section(cfg)
        generation = [generation_eval(cfg, regrow, trainer)] if regrow.generation_eval and cfg.test_datasets else []
        if not trainer.is_world_process_zero():
            return [*generation, CheckpointManifest(None)]
        journal = rank_journal(cfg)
        self.completion = Completion(journal)
        feed = MlflowFeed(TrackedRun.from_environment() or run_by_hand(cfg, regrow), journal)
        logger = MLflowLogger(journal, feed, Path(cfg.axolotl_config_path))
        return [self.completion, *generation, CheckpointManifest(journal), logger]

    def post_train_unload(self, cfg: DictDefault) -> None:
        """The only hook after the final save (`post_train` is called before it, and again after it)."""
        if self.completion is not None:
            self.completion.adapter_saved(Path(cfg.output_dir))


def regrow_section(cfg: DictDefault) -> Regrow:
    """The section, validated again: after its own validation Axolotl hands on a dict without the defaults."""
    return Regrow.model_validate(cfg.to_dict().get("regrow") or {})


def generation_eval(cfg: DictDefault, regrow: Regrow, trainer: Trainer) -> GenerationEval:
    validation = cfg.to_dict()["test_datasets"][0]
    return GenerationEval(trainer, regrow, Path(validation["path"]), PromptFormat.from_dataset(validation))


def rank_journal(cfg: DictDefault) -> Journal:
    """Rank 0's journal; started by hand, it stands in `output_dir`."""
    stem = os.environ.get(JOURNAL_ENV) or str(Path(cfg.output_dir) / "journal" / f"train-by_hand-{os.getpid()}")
    return Journal.of_writer(stem, "rank0")


def run_by_hand(cfg: DictDefault, regrow: Regrow) -> TrackedRun:
    name = Path(cfg.output_dir).name
    return TrackedRun(None, regrow.mlflow.experiment, uuid.uuid4().hex, name, submitted_at=time.time())
