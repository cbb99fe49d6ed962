"""`regrow evaluate`: what somebody named, resolved into a run whose stages are evaluate and report."""

import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from callbacks.shared.args import Target
from callbacks.shared.extraction import parse_answer
from callbacks.shared.journal import read_journal
from callbacks.shared.manifest import checkpoint_step, torn_reason
from callbacks.shared.prompts import PromptFormat, load_records
from jobs.evaluation.parts import first_dataset, prompt_format, spec_of_model, whole_checkpoints
from jobs.history.progress import finished_step
from jobs.slurm.sbatch import unknown_parameters
from jobs.spec.errors import ConfigError
from jobs.spec.paths import RunPaths, from_root
from jobs.spec.profile import ClusterProfile, load_profile
from jobs.spec.resolve import load_run_spec, parse_regrow, require_name
from jobs.spec.run_spec import EvaluatedModel, Evaluation, RunSpec, axolotl_document, is_folder_name
from jobs.spec.settings import apply_setting, parse_setting

MODEL_FILES = ("adapter_config.json", "config.json")
MODEL_KEYS = ("attn_implementation", "bf16", "seed")
"""Keys of an Axolotl config that generation looks at, beside the prompts."""


@dataclass(frozen=True)
class Request:
    """The command line."""

    models: Sequence[str]
    """Runs by name or folder, checkpoints and whole models by folder."""
    data: Path
    cluster: str = "local"
    settings: Sequence[str] = ()
    name: str | None = None
    config: Path | None = None
    """Where the prompts come from, if no model is a run's."""
    checkpoints: str = "last"
    """Of a run: last (the final adapter), all, or a number: so many of the newest."""
    shards: int | None = None
    baseline: str | None = None


def evaluation_spec(request: Request) -> RunSpec:
    """Everything resolved.

    Raises:
        ConfigError: a model is not there, two have one name, there is nothing to take the prompts from, or the records
            are not what the prompts and `regrow.target` need.
    """
    if request.checkpoints not in ("last", "all") and not (
        request.checkpoints.isdecimal() and int(request.checkpoints)
    ):
        raise ConfigError(f"--checkpoints {request.checkpoints}: write last, all, or a number")
    profile = load_profile(request.cluster, request.settings)
    models = [found for text in request.models for found in _models_of(text, profile, request.checkpoints)]
    baseline = _models_of(request.baseline, profile, "last") if request.baseline else []
    models = _named_apart([*models, *(model for model in baseline if model not in models)])
    name = request.name or f"evaluate-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    require_name(name)
    spec, changed = _changed(_source(request, models), request)
    spec = spec.model_copy(
        update={
            "name": name,
            "run_uuid": uuid.uuid4().hex,
            "submitted_at": time.time(),
            "cluster": request.cluster,
            "profile": profile,
            "site": None,
            "prepared": None,
            "stages": ("evaluate", "report"),
            "evaluation": Evaluation(models=tuple(models), baseline=_name_of(models, baseline), changed=changed),
            "regrow": spec.regrow.model_copy(update={"run_dir": str(Path(profile.runs_root) / name)}),
            "axolotl": spec.axolotl | {"test_datasets": [_dataset(spec, request.data)]},
        }
    )
    for stage, key, hint in unknown_parameters(spec):
        raise ConfigError(f"{stage}.{key}: submitit has no such parameter; {hint}")
    for model in models:
        _require_base(model)
    for template in {prompt_format(spec_of_model(spec, model)) for model in models}:
        _require_records(spec, template, request.data)
    return spec


def _models_of(text: str, profile: ClusterProfile, which: str) -> list[EvaluatedModel]:
    """The models that an argument names."""
    for run_dir in (Path(profile.runs_root) / text, Path(text)):
        if RunPaths(run_dir).run_json.exists():
            return _models_of_run(RunSpec.load(run_dir.resolve()), which)
    folder = Path(text).resolve()
    if not any((folder / file).is_file() for file in MODEL_FILES):
        raise ConfigError(
            f"{text}: no run in {profile.runs_root}, and no folder with {' or '.join(MODEL_FILES)}; "
            "name a run, one of its checkpoints (RUN_FOLDER/checkpoints/checkpoint-200), or a model's folder"
        )
    run = next((parent for parent in folder.parents if RunPaths(parent).run_json.exists()), None)
    if run is None:
        return [EvaluatedModel(name=_folder_name(folder), path=str(folder))]
    return [_checkpoint(RunSpec.load(run), folder)]


def _models_of_run(spec: RunSpec, which: str) -> list[EvaluatedModel]:
    if which == "last":
        step = finished_step(read_journal(spec.paths.journal))
        if step is None:
            raise ConfigError(
                f"{spec.name} has not finished training; evaluate what it has saved with --checkpoints all or a number"
            )
        path = str(spec.paths.checkpoints)
        return [EvaluatedModel(name=spec.name, path=path, run_dir=str(spec.paths.run_dir), step=step)]
    saved = whole_checkpoints(spec.paths.checkpoints)
    chosen = saved if which == "all" else saved[: int(which)]
    if not chosen:
        raise ConfigError(f"{spec.name} has saved no checkpoint yet")
    return [_checkpoint(spec, path) for path in chosen]


def _checkpoint(spec: RunSpec, folder: Path) -> EvaluatedModel:
    is_final = folder == spec.paths.checkpoints
    if checkpoint_step(folder) is not None and (reason := torn_reason(folder)):
        raise ConfigError(f"{folder} is no whole checkpoint: {reason}")
    name = spec.name if is_final else f"{spec.name}-{_folder_name(folder)}"
    step = finished_step(read_journal(spec.paths.journal)) if is_final else checkpoint_step(folder)
    return EvaluatedModel(name=name, path=str(folder), run_dir=str(spec.paths.run_dir), step=step)


def _folder_name(folder: Path) -> str:
    """A folder's name as it can name a folder, and stand in a query of MLflow's."""
    return re.sub(r"[^\w.-]", "-", folder.name).lstrip(".") or "model"


def _named_apart(models: Sequence[EvaluatedModel]) -> list[EvaluatedModel]:
    """The models; those of one name with the name of the folder above before it.

    Raises:
        ConfigError: there are none, or one is there twice.
    """
    if not models:
        raise ConfigError("name at least one run, checkpoint or model folder")
    names = Counter(model.name for model in models)
    found = [
        model.model_copy(update={"name": f"{_folder_name(Path(model.path).parent)}-{model.name}"})
        if names[model.name] > 1 and not model.run_dir
        else model
        for model in models
    ]
    if twice := [name for name, count in Counter(model.name for model in found).items() if count > 1]:
        raise ConfigError(f"two of the models are named {twice[0]}; each must be given once, under a name of its own")
    return found


def _name_of(models: Sequence[EvaluatedModel], baseline: Sequence[EvaluatedModel]) -> str | None:
    paths = [model.path for model in baseline]
    return next((model.name for model in models if model.path in paths), None)


def _source(request: Request, models: Sequence[EvaluatedModel]) -> RunSpec:
    """The run or config from which the prompts, the target and the settings come."""
    if request.config:
        return load_run_spec(request.config, request.cluster, request.settings)
    run_dir = next((model.run_dir for model in models if model.run_dir), None)
    if run_dir is None:
        raise ConfigError("no run is among the models; say with --config which config their prompts come from")
    return RunSpec.load(Path(run_dir))


def _changed(spec: RunSpec, request: Request) -> tuple[RunSpec, dict[str, Any]]:
    """With the request's settings, as far as they are not the profile's; and the Axolotl keys that they set."""
    content: dict[str, Any] = axolotl_document(spec)
    keys = [
        (key, value) for key, value in map(parse_setting, request.settings) if key[0] not in ClusterProfile.model_fields
    ]
    for key, value in keys:
        if key[0] not in ("regrow", *MODEL_KEYS):
            raise ConfigError(
                f"--set {'.'.join(key)}: an evaluation does not look at it; it does at regrow.evaluate.*, regrow.target.*, "
                f"{', '.join(MODEL_KEYS)}, and what a profile has"
            )
        apply_setting(content, key, value)
    if request.shards:
        apply_setting(content, ["regrow", "evaluate", "shards"], request.shards)
    regrow = parse_regrow(content.pop("regrow"), Path(spec.config))
    changed = {key[0]: content[key[0]] for key, _ in keys if key[0] != "regrow"}
    return spec.model_copy(update={"regrow": regrow, "axolotl": content}), changed


def _dataset(spec: RunSpec, data: Path) -> dict[str, Any]:
    """The records as a validation set, put before the model as those of the config are."""
    try:
        prompt_format(spec)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return {**first_dataset(spec), "path": str(data.resolve())}


def _require_base(model: EvaluatedModel) -> None:
    """An adapter's base model is found before its jobs wait for a GPU."""
    adapter = Path(model.path) / "adapter_config.json"
    base = json.loads(adapter.read_bytes()).get("base_model_name_or_path") if adapter.is_file() else None
    if base and is_folder_name(base) and not from_root(base).exists():
        raise ConfigError(f"{model.path}: its base model {base} is not there")


def _require_records(spec: RunSpec, template: PromptFormat, data: Path) -> None:
    """What would be found only once everything is generated."""
    try:
        records = load_records(data)
        wrong = [
            number for number, record in enumerate(records) if not _is_scorable(record, template, spec.regrow.target)
        ]
    except FileNotFoundError:
        raise ConfigError(f"--data {data}: no such file") from None
    except KeyError as error:
        raise ConfigError(f"--data {data}: a record has no field {error}, which the models were trained with") from None
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise ConfigError(f"--data {data}: not records: {error}") from None
    if not records:
        raise ConfigError(f"--data {data}: it holds no records")
    if wrong:
        raise ConfigError(
            f"--data {data}: {len(wrong)} of {len(records)} expected outputs are not what regrow.target describes, "
            f"the first in record {wrong[0]} (counted from 0)"
        )


def _is_scorable(record: Mapping[str, Any], template: PromptFormat, target: Target) -> bool:
    """Whether its output is an answer; TypeError where a text is none."""
    template.prompt(record)
    if not isinstance(template.article(record), str):
        raise TypeError(f"{template.field_input} is {template.article(record)!r}, and no text")
    return parse_answer(template.answer(record), target) is not None
