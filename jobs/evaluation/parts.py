"""The parts of an evaluation: in each, one model answers one shard of the records."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callbacks.shared.journal import read_journal
from callbacks.shared.manifest import checkpoint_step, checkpoints, torn_reason
from callbacks.shared.prompts import PromptFormat, Sample, has_format, load_records, read_samples
from callbacks.shared.tasks.scorers import scorer_of
from callbacks.shared.tasks.verdict import Scorer
from jobs.history.progress import finished_step, steps_before
from jobs.spec.errors import ConfigError
from jobs.spec.own_code import scorer_before_submission
from jobs.spec.paths import EvaluationPaths
from jobs.spec.run_spec import EvaluatedModel, RunSpec, mappings

FINAL = "final"
"""The name of a run's final adapter among its models."""


@dataclass(frozen=True)
class Part:
    """One pair of a model and a shard."""

    number: int
    model: EvaluatedModel
    shard: int
    shards: int
    paths: EvaluationPaths

    @property
    def file(self) -> Path:
        return self.paths.shard(self.shard, self.shards)


def part_of_evaluation(spec: RunSpec, number: int) -> Part | None:
    """The part with this number; None: the run has saved fewer checkpoints than `regrow.evaluate.checkpoints`."""
    parts = evaluation_parts(spec)
    return parts[number] if number < len(parts) else None


def evaluation_parts(spec: RunSpec) -> list[Part]:
    """All parts in the order of their numbers: all shards of the first model, then of the next one."""
    shards, models = spec.regrow.evaluate.shards, evaluated_models(spec)
    return [
        Part(index * shards + shard, model, shard, shards, spec.paths.evaluation(model.name))
        for index, model in enumerate(models)
        for shard in range(shards)
    ]


def evaluated_models(spec: RunSpec) -> list[EvaluatedModel]:
    """The models in their order; a run's own checkpoints newest first."""
    if spec.evaluation:
        return list(spec.evaluation.models)
    run_dir, folder, entries = str(spec.paths.run_dir), spec.paths.checkpoints, read_journal(spec.paths.journal)
    if spec.regrow.evaluate.checkpoints == "last":
        return [EvaluatedModel(name=FINAL, path=str(folder), run_dir=run_dir, step=finished_step(entries))]
    newest, before = whole_checkpoints(folder)[: spec.regrow.evaluate.checkpoints], steps_before(entries)
    return [
        EvaluatedModel(name=path.name, path=str(path), run_dir=run_dir, step=before + (checkpoint_step(path) or 0))
        for path in newest
    ]


def whole_checkpoints(output_dir: Path) -> list[Path]:
    """The complete checkpoints, newest first."""
    return [path for path in checkpoints(output_dir) if not torn_reason(path)]


def spec_of_model(spec: RunSpec, model: EvaluatedModel) -> RunSpec:
    """The run whose config has the model's prompts and precision."""
    is_other = model.run_dir is not None and model.run_dir != str(spec.paths.run_dir)
    return RunSpec.load(Path(model.run_dir)) if is_other and model.run_dir else spec


def with_settings_of(trained_by: RunSpec, evaluation: RunSpec) -> RunSpec:
    """The run that trained a model, with the evaluation's settings: `regrow:`, and the keys set with `--set`."""
    changed = evaluation.evaluation.changed if evaluation.evaluation else {}
    return trained_by.model_copy(update={"regrow": evaluation.regrow, "axolotl": trained_by.axolotl | changed})


def prompt_format(spec: RunSpec) -> PromptFormat:
    """The prompt format of the run's validation records, or else of its training records.

    Raises:
        ValueError: as `PromptFormat.from_dataset`.
    """
    return PromptFormat.from_dataset(first_dataset(spec))


def required_scorer(spec: RunSpec) -> Scorer:
    """The scorer of the run's task.

    Raises:
        ConfigError: the config has no task, or its scorer cannot be loaded.
    """
    try:
        scorer = scorer_of(spec.regrow) if spec.paths.run_dir.exists() else scorer_before_submission(spec)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if scorer is None:
        raise ConfigError(
            f"{spec.config} has no `regrow.task`, which says what an answer is\n"
            "hint: write e.g. `task: {kind: text}` below `regrow:`; the kinds: extraction, text, label, json"
        )
    return scorer


def samples_of(spec: RunSpec, model: EvaluatedModel, file: Path) -> list[Sample]:
    """The records to evaluate on, with the prompts with which a model was trained. Where Axolotl makes the prompts, the first
    part of the evaluation, or the training, has written them down."""
    trained_by = spec_of_model(spec, model)
    if are_written_by_the_training(spec):
        return read_samples(file)
    if not has_format(first_dataset(trained_by)):
        return read_samples(spec.paths.evaluation(model.name).samples)
    template = prompt_format(trained_by)
    return [template.sample(record) for record in load_records(file)]


def are_written_by_the_training(spec: RunSpec) -> bool:
    """Whether the validation records are in no single file: `val_set_size` splits them off, or there are several data sets."""
    files = mappings(spec.axolotl.get("test_datasets"))
    return len(files) > 1 or (not files and bool(spec.axolotl.get("val_set_size")))


def first_dataset(spec: RunSpec) -> dict[str, Any]:
    """The config's first validation set, or else its first training set.

    Raises:
        ValueError: the config has neither.
    """
    datasets = [*mappings(spec.axolotl.get("test_datasets")), *mappings(spec.axolotl.get("datasets"))]
    if not datasets:
        raise ValueError(f"{spec.config} has no datasets, so its prompt format is unknown")
    return datasets[0]


def records_file(spec: RunSpec) -> Path | None:
    """The file of the records to evaluate on; None: the config has no validation records."""
    if are_written_by_the_training(spec):
        return spec.paths.validation_samples
    validation = spec.axolotl.get("test_datasets")
    return Path(validation[0]["path"]) if validation else None


def shard_of(lengths: Sequence[int], number: int, count: int) -> list[int]:
    """Indices of the records in one of `count` shards, longest first. Records are dealt out in order of length, so that two
    shards differ by at most the length of the longest record."""
    by_length = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    return by_length[number::count]
