"""GenerationEval: at each evaluation, generates answers to validation records and scores them."""

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.exact.stop import GracefulStop
from callbacks.generation import generate_batch, generation_mode, length_sorted_batches
from callbacks.shared.args import GenerationEval as Settings
from callbacks.shared.manifest import write_atomically
from callbacks.shared.predictions import prediction_metrics, prediction_row, write_rows
from callbacks.shared.prompts import Sample
from callbacks.shared.tasks.verdict import Scorer


class GenerationEval(TrainerCallback):
    """Splits a seeded sample of the validation records among the ranks. Generates, then gathers and scores on every rank.

    Writes `gen_metrics_step{N}.json` and `gen_predictions_step{N}.jsonl` into `output_dir`. On every rank, the scores go into
    HF's log and metrics as `eval_gen_*`, so that `metric_for_best_model` can name one of them.
    """

    def __init__(
        self,
        trainer: Trainer,
        settings: Settings,
        samples: Sequence[Sample],
        scorer: Scorer,
        stop: GracefulStop,
    ) -> None:
        self.trainer, self.settings, self.scorer, self.stop = trainer, settings, scorer, stop
        self.samples = _drawn(scorable(samples, scorer), settings.max_records, trainer.args.seed)
        self.prompts = [sample.for_model for sample in self.samples]

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
        rows = [prediction_row(self.samples[index], text, self.scorer) for index, text in completions.items()]
        scores = prediction_metrics(rows, self.scorer)
        scores["gen_records_skipped"] = len(self.samples) - len(rows)
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


def scorable(samples: Sequence[Sample], scorer: Scorer) -> list[Sample]:
    """The samples whose expected answer the scorer can read: a fault in a record must not end a training."""
    found = []
    for number, sample in enumerate(samples, 1):
        try:
            scorer.judge({"input": sample.input, "expected": sample.expected, "generated": sample.expected})
            found.append(sample)
        except ValueError as error:
            print(f"validation record {number} is left out of the generation: {error}", flush=True)
    return found


def _drawn(samples: Sequence[Sample], most: int, seed: int) -> list[Sample]:
    chosen = random.Random(seed).sample(range(len(samples)), min(most, len(samples)))
    return [samples[index] for index in sorted(chosen)]


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
