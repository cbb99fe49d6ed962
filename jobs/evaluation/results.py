"""From shards to results: each model's answers merged and scored, written beside them, and posted."""

import json
from dataclasses import dataclass
from typing import Any

from callbacks.journal import Entry, read_journal
from callbacks.manifest import write_atomically
from callbacks.predictions import Row, json_text, prediction_row, read_rows, write_rows
from callbacks.prompts import load_records
from jobs.evaluation.parts import Part, evaluated_models, part_of_evaluation, prompt_format, records_file, spec_of_model
from jobs.evaluation.scores import score_predictions
from jobs.evaluation.shard_file import ShardFile, merge
from jobs.spec import EvaluatedModel, RunSpec

PRESENCE_F1 = "gen_offender_presence_f1"


@dataclass(frozen=True)
class ModelResult:
    """One model, evaluated."""

    model: EvaluatedModel
    rows: list[Row]
    scores: dict[str, Any]
    finished_at: float
    """When its last shard was finished, seconds since the epoch."""


def evaluation_results(spec: RunSpec) -> tuple[list[ModelResult], list[str]]:
    """The models whose shards are all finished, merged, scored and written; and what is still missing, as sentences.

    Raises:
        MergeError: the shards are finished, but do not make up the records.
    """
    entries = read_journal(spec.paths.journal)
    results, missing = [], []
    models = evaluated_models(spec) if records_file(spec) else []
    for model in models:
        parts = model_parts(spec, model)
        if unfinished := [part.file.name for part in parts if not ShardFile(part.file).is_whole()]:
            missing.append(f"{model.name}: {', '.join(unfinished)} not finished; type: regrow resume {spec.name}")
        else:
            results.append(_result(spec, model, parts, entries))
    return results, missing


def written_results(spec: RunSpec) -> list[ModelResult]:
    """The results that a run's report has written."""
    models = evaluated_models(spec)
    return [load_result(spec, model) for model in models if spec.paths.evaluation(model.name).scores.exists()]


def load_result(spec: RunSpec, model: EvaluatedModel) -> ModelResult:
    """A model's results as they were written; FileNotFoundError: it was not evaluated."""
    paths = spec.paths.evaluation(model.name)
    return ModelResult(model, read_rows(paths.predictions), json.loads(paths.scores.read_bytes()), 0.0)


def model_parts(spec: RunSpec, model: EvaluatedModel) -> list[Part]:
    """A model's parts of the evaluation."""
    parts = (part_of_evaluation(spec, number) for number in range(spec.parts("evaluate")))
    return [part for part in parts if part and part.model == model]


def _result(spec: RunSpec, model: EvaluatedModel, parts: list[Part], entries: list[Entry]) -> ModelResult:
    rows, paths = merged_rows(spec, model, parts), spec.paths.evaluation(model.name)
    numbers = {part.number for part in parts}
    scores = score_predictions(rows, spec.regrow.target) | {"speed": generation_speed(entries, numbers)}
    write_rows(paths.predictions, rows)
    write_atomically(paths.scores, json_text(scores, indent=1))
    finished = [entry["time"] for entry in entries if entry["event"] == "stage_finished" and entry["stage"] == "evaluate"
                and entry["part"] in numbers]  # fmt: skip
    return ModelResult(model, rows, scores, max(finished, default=0.0))


def merged_rows(spec: RunSpec, model: EvaluatedModel, parts: list[Part]) -> list[Row]:
    """A model's predictions, one for each record, in the records' order.

    Raises:
        MergeError: as `shard_file.merge`.
    """
    file = records_file(spec)
    assert file
    template, records = prompt_format(spec_of_model(spec, model)), load_records(file)
    lines = merge([ShardFile(part.file) for part in parts], [template.prompt(record) for record in records])
    return [
        prediction_row(template, record, line["generated"], spec.regrow.target)
        | {"tokens": line["tokens"], "is_cut": line["is_cut"]}
        for record, line in zip(records, lines, strict=True)
    ]


def generation_speed(entries: list[Entry], parts: set[int]) -> dict[str, float | None]:
    """Tokens and records a second of one job, and the most memory that one had in use, by the journal."""
    mine = [entry for entry in entries if entry.get("part") in parts]
    batches = [entry for entry in mine if entry["event"] == "generated" and entry["seconds"]]
    seconds = sum(entry["seconds"] for entry in batches)
    peaks = [entry["peak_memory_gib"] for entry in mine if entry["event"] == "part_generated"]
    return {
        "tokens_per_second": sum(entry["tokens"] for entry in batches) / seconds if seconds else None,
        "records_per_second": sum(entry["records"] for entry in batches) / seconds if seconds else None,
        "peak_memory_gib": max(peaks, default=None),
    }


def best_of(spec: RunSpec, results: list[ModelResult]) -> ModelResult:
    """The best by `metric_for_best_model` where that is one of ours, else by the presence F1; of equals, the later step."""
    wanted = str(spec.axolotl.get("metric_for_best_model") or "").removeprefix("eval_")
    name = wanted if wanted in results[0].scores["metrics"] else PRESENCE_F1
    return max(results, key=lambda result: (result.scores["metrics"][name]["value"], result.model.step or 0))
