"""From shards to results: merges and scores each model's answers, and writes the results beside them."""

import json
from dataclasses import dataclass
from typing import Any

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry, read_journal
from callbacks.shared.manifest import write_atomically
from callbacks.shared.predictions import Row, json_text, prediction_row, read_rows, write_rows
from jobs.evaluation.parts import Part, evaluation_parts, records_file, required_scorer, samples_of
from jobs.evaluation.scores import score_predictions
from jobs.evaluation.shard_file import MergeError, ShardFile, merge
from jobs.spec.find import name_to_type
from jobs.spec.run_spec import EvaluatedModel, RunSpec


@dataclass(frozen=True)
class ModelResult:
    """The results of one model."""

    model: EvaluatedModel
    rows: list[Row]
    scores: dict[str, Any]
    finished_at: float
    """When its last shard finished, seconds since the epoch."""


@dataclass(frozen=True)
class Results:
    """The results of an evaluation so far."""

    models: list[ModelResult]
    missing: list[str]
    """One sentence for each model with unfinished shards."""
    broken: list[str]
    """One sentence for each model whose shards are finished but do not make up the records."""


def evaluation_results(spec: RunSpec) -> Results:
    """Merge, score and write the results of each model whose shards are all finished; and say what the other models lack."""
    entries = read_journal(spec.paths.journal)
    results = Results([], [], [])
    all_parts = evaluation_parts(spec) if records_file(spec) else []
    for model in dict.fromkeys(part.model for part in all_parts):
        parts = [part for part in all_parts if part.model == model]
        if unfinished := [part.file.name for part in parts if not ShardFile(part.file).is_whole()]:
            results.missing.append(
                f"{model.name}: {', '.join(unfinished)} not finished; hint: regrow resume {name_to_type(spec)}"
            )
            continue
        try:
            results.models.append(_result(spec, model, parts, entries))
        except MergeError as error:
            results.broken.append(f"{model.name}: {error}")
    return results


def written_results(spec: RunSpec) -> list[ModelResult]:
    """The results that a run's report has written, oldest first."""
    found = []
    for path in sorted(spec.paths.evaluations.glob("*/scores.json"), key=lambda path: path.stat().st_mtime_ns):
        scores = json.loads(path.read_bytes())
        model = EvaluatedModel.model_validate(scores["model"])
        rows = read_rows(spec.paths.evaluation(model.name).predictions)
        found.append(ModelResult(model, rows, scores, scores["finished_at"]))
    return found


def _result(spec: RunSpec, model: EvaluatedModel, parts: list[Part], entries: list[Entry]) -> ModelResult:
    rows, paths = merged_rows(spec, model, parts), spec.paths.evaluation(model.name)
    numbers = {part.number for part in parts}
    finished = [entry for entry in only(entries, events.StageFinished) if entry.stage == "evaluate"]
    finished_at = max((entry.time for entry in finished if entry.part in numbers), default=0.0)
    scores = {"model": model.model_dump(), "finished_at": finished_at} | score_predictions(rows, required_scorer(spec))
    scores["speed"] = generation_speed(entries, numbers)
    write_rows(paths.predictions, rows)
    write_atomically(paths.scores, json_text(scores, indent=1))
    return ModelResult(model, rows, scores, finished_at)


def merged_rows(spec: RunSpec, model: EvaluatedModel, parts: list[Part]) -> list[Row]:
    """A model's predictions, one for each record, in the records' order.

    Raises:
        MergeError: as `shard_file.merge`.
    """
    file = records_file(spec)
    assert file
    samples, scorer = samples_of(spec, model, file), required_scorer(spec)
    lines = merge([ShardFile(part.file) for part in parts], [sample.prompt for sample in samples])
    return [
        prediction_row(sample, line["generated"], scorer) | {"tokens": line["tokens"], "is_cut": line["is_cut"]}
        for sample, line in zip(samples, lines, strict=True)
    ]


def generation_speed(entries: list[Entry], parts: set[int]) -> dict[str, float | None]:
    """Tokens and records per second of one job, and the peak memory of a job, by the journal. None: not known."""
    batches = [entry for entry in only(entries, events.Generated) if entry.part in parts and entry.seconds]
    seconds = sum(entry.seconds or 0.0 for entry in batches)
    ended = [entry for entry in only(entries, events.PartGenerated) if entry.part in parts]
    peaks = [entry.peak_memory_gib for entry in ended if entry.peak_memory_gib is not None]
    return {
        "tokens_per_second": sum(entry.tokens for entry in batches) / seconds if seconds else None,
        "records_per_second": sum(entry.records for entry in batches) / seconds if seconds else None,
        "peak_memory_gib": max(peaks, default=None),
    }


def best_of(spec: RunSpec, results: list[ModelResult]) -> ModelResult:
    """The best model by `metric_for_best_model`, if that is one of our metrics, else by the task's headline. Of equal models, the
    one with the later step."""
    wanted = str(spec.axolotl.get("metric_for_best_model") or "").removeprefix("eval_")
    name = wanted if wanted in results[0].scores["metrics"] else results[0].scores["headline"]

    def rank(result: ModelResult) -> tuple[float, int]:
        value = result.scores["metrics"].get(name, {}).get("value")
        return -1.0 if value is None else value, result.model.step or 0

    return max(results, key=rank)
