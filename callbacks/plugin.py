"""RegrowPlugin: the plugin that Axolotl loads. It adds the `regrow:` section, the seeding and the callbacks to a training."""

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml
from axolotl.integrations.base import BasePlugin
from axolotl.utils.dict import DictDefault
from transformers import Trainer, TrainerCallback

from callbacks.asked_for import AskedFor, asked
from callbacks.completion import Completion
from callbacks.cpu_ranks import are_on_cpu, prepare_ddp_resume, prepare_deepspeed
from callbacks.decoration import guard_decoration
from callbacks.exact.resume import exact_resume, rank_journal, stem_by_hand
from callbacks.exact.stop import GracefulStop
from callbacks.generation_eval import GenerationEval
from callbacks.mlflow_logger import MLflowLogger
from callbacks.shared import events
from callbacks.shared.args import Regrow
from callbacks.shared.journal import JOURNAL_ENV
from callbacks.shared.mlflow_process import MlflowProcess
from callbacks.shared.projection import flat_params
from callbacks.shared.prompts import PromptFormat, Sample, has_format, load_records, write_samples
from callbacks.shared.tasks.scorers import scorer_of
from callbacks.shared.tokens.samples import samples, tokenised_samples
from callbacks.shared.tracking import TRACKED_RUN_ENV, TrackedRun

MLFLOW_SECONDS = 30.0
"""The longest wait for MLflow at the end of a training that was started by hand."""


class RegrowPlugin(BasePlugin):
    """One plugin for all callbacks; `plugins: [callbacks.plugin.RegrowPlugin]`."""

    def __init__(self) -> None:
        super().__init__()
        self.regrow = Regrow()
        self.completion: Completion | None = None
        self.mlflow: MlflowProcess | None = None
        """The process of a training that was started by hand. In a job, the stage has this process."""

    def get_input_args(self) -> str:
        return "callbacks.shared.args.RegrowArgs"

    def get_training_args(self, cfg: DictDefault) -> dict[str, Any]:
        """Unset `eval_on_start`, which Axolotl always sets: an evaluation that was cut short is made up by GracefulStop. And say
        that a CPU is meant, which HF wants to be told for bf16, and Axolotl has no key for."""
        resumed = {"eval_on_start": False} if cfg.resume_from_checkpoint else {}
        return resumed | ({"use_cpu": True} if os.environ.get("ACCELERATE_USE_CPU") == "true" else {})

    def register(self, cfg: dict[str, Any]) -> None:
        """Take the section as it is written: after its own validation, Axolotl drops what is `null`."""
        self.regrow = Regrow.model_validate(cfg.get("regrow") or {})
        if are_on_cpu() and cfg.get("deepspeed"):
            prepare_deepspeed()

    def load_datasets(self, cfg: DictDefault, preprocess: bool = False) -> None:
        """Prepare for ranks without a GPU. This is the only hook after Axolotl has chosen a device by the rank's number, and
        before it loads the model."""
        if are_on_cpu():
            cfg.device_map = None
            prepare_ddp_resume()

    def pre_model_load(self, cfg: DictDefault) -> None:
        """Seed before Axolotl builds the adapter: the adapter's weights are drawn before the trainer seeds."""
        if cfg.seed is not None:
            transformers.set_seed(int(cfg.seed))
        if self.regrow.deterministic:
            torch.use_deterministic_algorithms(True)

    def add_callbacks_post_trainer(self, cfg: DictDefault, trainer: Trainer) -> list[TrainerCallback]:
        regrow = self.regrow
        resumed = Path(cfg.resume_from_checkpoint) if cfg.resume_from_checkpoint else None
        is_first = trainer.is_world_process_zero()
        stem = os.environ.get(JOURNAL_ENV) or stem_by_hand(Path(cfg.output_dir))
        journal = rank_journal(stem) if is_first else None
        config = Path(cfg.axolotl_config_path)
        exact = exact_resume(trainer, regrow, journal, resumed, [config])
        self.completion = Completion(journal, bool(cfg.early_stopping_patience)) if journal else None
        guard_decoration(self.completion, Path(cfg.output_dir))
        if is_first and TrackedRun.from_environment() is None:
            self.mlflow = mlflow_by_hand(cfg, regrow, stem)
        params = flat_params(yaml.safe_load(config.read_text(encoding="utf-8")))
        first_only = [self.completion, MLflowLogger(journal, params, [config])] if journal else []
        return [
            AskedFor(asked(cfg), trainer),  # before anything is written
            *exact.first,
            *first_only[:1],
            *generation_eval(cfg, regrow, trainer, exact.stop),
            *first_only[1:],
            exact.stop,
        ]

    def post_train_unload(self, cfg: DictDefault) -> None:
        """The last hook. `guard_decoration` has already written that the training is finished, unless Axolotl has changed."""
        if self.completion is not None:
            self.completion.adapter_saved(Path(cfg.output_dir))
        if self.mlflow is not None and self.completion is not None:
            self.completion.journal.write(events.RunEnded(status="FINISHED"))
            self.mlflow.close(MLFLOW_SECONDS + 5)


def generation_eval(cfg: DictDefault, regrow: Regrow, trainer: Trainer, stop: GracefulStop) -> list[GenerationEval]:
    """The callback in a list; empty: the config has no task or no validation records, or turns the callback off."""
    scorer = scorer_of(regrow)
    if scorer is None or not (cfg.test_datasets or cfg.val_set_size):
        return []
    samples = validation_samples(cfg, trainer)
    is_one_file = len(cfg.test_datasets or []) == 1
    if not is_one_file and (file := regrow.validation_samples) and trainer.is_world_process_zero():
        file.parent.mkdir(mode=0o700, exist_ok=True)
        write_samples(file, samples)  # the evaluation after the training reads them
    return [GenerationEval(trainer, settings, samples, scorer, stop)] if (settings := regrow.generation_eval) else []


def validation_samples(cfg: DictDefault, trainer: Trainer) -> list[Sample]:
    """The validation records with their prompts: by the config's own format, or else by the data set's strategy."""
    if not cfg.test_datasets:
        return tokenised_samples(trainer.eval_dataset, trainer.processing_class)
    config = cfg.to_dict()
    return [sample for dataset in config["test_datasets"] for sample in _samples(config, dataset)]


def _samples(config: dict[str, Any], dataset: dict[str, Any]) -> list[Sample]:
    """The records of one validation set."""
    if not has_format(dataset):
        return samples(config, dataset)
    template = PromptFormat.from_dataset(dataset)
    return [template.sample(record) for record in load_records(Path(dataset["path"]))]


def mlflow_by_hand(cfg: DictDefault, regrow: Regrow, stem: str) -> MlflowProcess | None:
    """Start the process that posts to MLflow, as a stage would; None: it could not be started."""
    name = Path(cfg.output_dir).name
    run = TrackedRun(None, regrow.mlflow.experiment, uuid.uuid4().hex, name, submitted_at=time.time())
    command = [sys.executable, "-m", "callbacks.shared.mlflow_sync", str(MLFLOW_SECONDS)]
    environment = {**os.environ, JOURNAL_ENV: stem, TRACKED_RUN_ENV: run.to_json()}
    try:
        return MlflowProcess(command, environment, subprocess.DEVNULL)
    except OSError as error:
        print(f"MLflow is not kept up to date: {error}", flush=True)
        return None
