"""What one job of an evaluation does: one shard of the records, answered by one model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callbacks.shared.journal import read_journal
from callbacks.shared.manifest import checkpoint_step, checkpoints, torn_reason
from callbacks.shared.prompts import PromptFormat
from jobs.history.progress import finished_step
from jobs.spec.paths import EvaluationPaths
from jobs.spec.run_spec import EvaluatedModel, RunSpec, mappings

FINAL = "final"
"""Name of a run's final adapter among its models."""


@dataclass(frozen=True)
class Part:
    """One (model, shard)."""

    number: int
    model: EvaluatedModel
    shard: int
    shards: int
    paths: EvaluationPaths

    @property
    def file(self) -> Path:
        return self.paths.shard(self.shard, self.shards)


def part_of_evaluation(spec: RunSpec, number: int) -> Part | None:
    """The part of this number; None: the run has saved fewer checkpoints than were asked for."""
    parts = evaluation_parts(spec)
    return parts[number] if number < len(parts) else None


def evaluation_parts(spec: RunSpec) -> list[Part]:
    """All parts, by their numbers: through the shards of one model after the other."""
    shards, models = spec.regrow.evaluate.shards, evaluated_models(spec)
    return [
        Part(index * shards + shard, model, shard, shards, spec.paths.evaluation(model.name))
        for index, model in enumerate(models)
        for shard in range(shards)
    ]


def evaluated_models(spec: RunSpec) -> list[EvaluatedModel]:
    """The models in their order; of a run's own checkpoints the newest first."""
    if spec.evaluation:
        return list(spec.evaluation.models)
    run_dir, folder = str(spec.paths.run_dir), spec.paths.checkpoints
    if spec.regrow.evaluate.checkpoints == "last":
        step = finished_step(read_journal(spec.paths.journal))
        return [EvaluatedModel(name=FINAL, path=str(folder), run_dir=run_dir, step=step)]
    newest = whole_checkpoints(folder)[: spec.regrow.evaluate.checkpoints]
    return [
        EvaluatedModel(name=path.name, path=str(path), run_dir=run_dir, step=checkpoint_step(path)) for path in newest
    ]


def whole_checkpoints(output_dir: Path) -> list[Path]:
    """The checkpoints that exist: those with their manifest, newest first."""
    return [path for path in checkpoints(output_dir) if not torn_reason(path)]


def spec_of_model(spec: RunSpec, model: EvaluatedModel) -> RunSpec:
    """The run whose config says how the model is prompted, and in which precision it runs."""
    is_other = model.run_dir is not None and model.run_dir != str(spec.paths.run_dir)
    return RunSpec.load(Path(model.run_dir)) if is_other and model.run_dir else spec


def with_settings_of(trained_by: RunSpec, evaluation: RunSpec) -> RunSpec:
    """The run that trained a model, with what the evaluation sets: `regrow:`, and the keys that were typed."""
    changed = evaluation.evaluation.changed if evaluation.evaluation else {}
    return trained_by.model_copy(update={"regrow": evaluation.regrow, "axolotl": trained_by.axolotl | changed})


def prompt_format(spec: RunSpec) -> PromptFormat:
    """How the run's training puts a record before the model: of the validation records, or else of the training records.

    Raises:
        ValueError: as `PromptFormat.from_dataset`.
    """
    return PromptFormat.from_dataset(first_dataset(spec))


def first_dataset(spec: RunSpec) -> dict[str, Any]:
    """The config's first validation set, or else its first training set.

    Raises:
        ValueError: it has neither.
    """
    datasets = [*mappings(spec.axolotl.get("test_datasets")), *mappings(spec.axolotl.get("datasets"))]
    if not datasets:
        raise ValueError(f"{spec.config} has no datasets, which say how a record is put before the model")
    return datasets[0]


def records_file(spec: RunSpec) -> Path | None:
    """The records that are evaluated; None: the config has none to validate with."""
    validation = spec.axolotl.get("test_datasets")
    return Path(validation[0]["path"]) if validation else None


def shard_of(lengths: Sequence[int], number: int, count: int) -> list[int]:
    """Indices of one of `count` shards, longest first. Dealt out in the order of length, so that no shard is longer
    than another by more than the longest one."""
    by_length = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    return by_length[number::count]
