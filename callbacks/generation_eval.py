"""GenerationEval: at each evaluation, generates answers to validation records and scores them."""

import json
import random
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.generation import generate_batch, generation_mode, length_sorted_batches
from callbacks.shared.args import Regrow
from callbacks.shared.manifest import write_atomically
from callbacks.shared.predictions import prediction_metrics, prediction_row, write_rows
from callbacks.shared.prompts import PromptFormat, load_records
from callbacks.stop import GracefulStop


class GenerationEval(TrainerCallback):
    """Splits a seeded sample of the validation records among the ranks. Generates, then gathers and scores on every rank.

    Writes `gen_metrics_step{N}.json` and `gen_predictions_step{N}.jsonl` into `output_dir`. On every rank, the scores go into
    HF's log and metrics as `eval_gen_*`, so that `metric_for_best_model` can name one of them.
    """

    def __init__(
        self, trainer: Trainer, regrow: Regrow, validation: Path, prompt_format: PromptFormat, stop: GracefulStop
    ) -> None:
        assert regrow.generation_eval is not None
        self.trainer, self.target, self.settings = trainer, regrow.target, regrow.generation_eval
        self.format, self.stop = prompt_format, stop
        self.records = _sample(load_records(validation), self.settings.max_records, trainer.args.seed)
        self.prompts = [prompt_format.prompt(record) for record in self.records]

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        model: PreTrainedModel | None = None,
        **kwargs: Any,
    ) -> None:
        assert model is not None
        started = time.monotonic()
        mine = self._generate(model, args)
        if mine is None:
            self.stop.leave("generation")
        completions = _gather(mine)
        rows = [
            prediction_row(self.format, self.records[index], text, self.target) for index, text in completions.items()
        ]
        scores = prediction_metrics(rows, self.target)
        scores["gen_records_skipped"] = len(self.records) - len(rows)
        scores["gen_seconds"] = time.monotonic() - started
        logged = {f"eval_{name}": value for name, value in scores.items()}
        if metrics is not None:
            metrics.update(logged)
        self.trainer.log(logged)
        if state.is_world_process_zero:
            folder, step = Path(str(args.output_dir)), state.global_step
            write_rows(folder / f"gen_predictions_step{step}.jsonl", rows)
            write_atomically(folder / f"gen_metrics_step{step}.json", json.dumps(scores, indent=1, sort_keys=True))

    def _generate(self, model: PreTrainedModel, args: TrainingArguments) -> dict[int, str] | None:
        """This rank's completions by record index; None: the ranks must stop. All ranks have the same number of batches, so
        that they can agree at each batch whether to stop, and whether the time is up."""
        deadline = time.monotonic() + 60 * self.settings.max_minutes
        batches = length_sorted_batches(self.prompts, self.settings.batch_size)
        tokenizer = self.trainer.processing_class
        completions: dict[int, str] = {}
        with generation_mode(model, tokenizer), self.trainer.accelerator.autocast():
            for first in range(0, len(batches), args.world_size):
                if self.stop.request.is_agreed():
                    return None
                if _any_rank(time.monotonic() > deadline, args.device):
                    break
                batch = batches[min(first + args.process_index, len(batches) - 1)]
                answers = generate_batch(
                    model,
                    tokenizer,
                    [self.prompts[index] for index in batch],
                    max_new_tokens=self.settings.max_new_tokens,
                    must_stop=self.stop.request.is_made,
                )
                completions.update(zip(batch, (answer.text for answer in answers), strict=True))
        return None if self.stop.request.is_agreed() else completions


def _sample(records: list[dict[str, str]], most: int, seed: int) -> list[dict[str, str]]:
    chosen = random.Random(seed).sample(range(len(records)), min(most, len(records)))
    return [records[index] for index in sorted(chosen)]


def _any_rank(flag: bool, device: torch.device) -> bool:
    """True on every rank as soon as it is true on one."""
    if not (dist.is_available() and dist.is_initialized()):
        return flag
    shared = torch.tensor(int(flag), device=device)
    dist.all_reduce(shared, op=dist.ReduceOp.MAX)
    return bool(shared.item())


def _gather(completions: dict[int, str]) -> dict[int, str]:
    """The completions of all ranks, in the records' order, on every rank."""
    parts: list[Any] = [completions]
    if dist.is_available() and dist.is_initialized():
        parts = [None] * dist.get_world_size()
        dist.all_gather_object(parts, completions)
    return dict(sorted((index, text) for part in parts for index, text in part.items()))
