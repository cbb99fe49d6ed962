"""Resolves the arguments of `regrow evaluate` into a run with the stages evaluate and report."""

import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from callbacks.shared.journal import read_journal
from callbacks.shared.manifest import checkpoint_step, torn_reason
from callbacks.shared.prompts import has_format
from jobs.evaluation.new_records import dataset_of, require_records
from jobs.evaluation.parts import first_dataset, prompt_format, required_scorer, spec_of_model, whole_checkpoints
from jobs.history.progress import finished_step, steps_before
from jobs.slurm.sbatch import unknown_parameters
from jobs.spec.errors import ConfigError
from jobs.spec.paths import RunPaths, from_root
from jobs.spec.profile import ClusterProfile, load_profile
from jobs.spec.resolve import load_run_spec, parse_regrow, require_name
from jobs.spec.run_spec import EvaluatedModel, Evaluation, RunSpec, axolotl_document, is_folder_name
from jobs.spec.settings import apply_setting, parse_setting

MODEL_FILES = ("adapter_config.json", "config.json")
MODEL_KEYS = ("attn_implementation", "bf16", "seed")
"""Keys of an Axolotl config that generation uses, beside the prompts."""


@dataclass(frozen=True)
class Request:
    """The arguments of `regrow evaluate`."""

    models: Sequence[str]
    """Runs by name or folder; checkpoints and whole models by folder."""
    data: Path
    cluster: str = "local"
    settings: Sequence[str] = ()
    name: str | None = None
    config: Path | None = None
    """The config with the prompts, if no model was trained by a run."""
    checkpoints: str = "last"
    """Which checkpoints of a run: last (the final adapter), all, or the number of the newest ones."""
    shards: int | None = None
    baseline: str | None = None


def evaluation_spec(request: Request) -> RunSpec:
    """Resolve a request.

    Raises:
        ConfigError: a model does not exist, two models have one name, no run or config has the prompts, or the records
            do not fit the prompts and `regrow.task`.
    """
    if request.checkpoints not in ("last", "all") and not (
        request.checkpoints.isdecimal() and int(request.checkpoints)
    ):
        raise ConfigError(f"--checkpoints {request.checkpoints}: unknown\nhint: write last, all, or a number")
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
            "axolotl": spec.axolotl | {"test_datasets": [dataset_of(spec, request.data)]},
        }
    )
    required_scorer(spec)
    for stage, key, hint in unknown_parameters(spec):
        raise ConfigError(f"{stage}.{key}: submitit has no such parameter\nhint: {hint}")
    for model in models:
        _require_base(model)
    if not request.data.exists():
        raise ConfigError(f"--data {request.data}: no such file")
    trained_by = [spec_of_model(spec, model) for model in models]
    for template in {prompt_format(each) for each in trained_by if has_format(first_dataset(each))}:
        require_records(spec, template, request.data)
    return spec


def _models_of(text: str, profile: ClusterProfile, which: str) -> list[EvaluatedModel]:
    """The models of one argument."""
    for run_dir in (Path(profile.runs_root) / text, Path(text)):
        if RunPaths(run_dir).run_json.exists():
            return _models_of_run(RunSpec.load(run_dir.resolve()), which)
    folder = Path(text).resolve()
    if not any((folder / file).is_file() for file in MODEL_FILES):
        raise ConfigError(
            f"{text}: no run in {profile.runs_root}, and no folder with {' or '.join(MODEL_FILES)}\n"
            "hint: name a run, one of its checkpoints (RUN_FOLDER/checkpoints/checkpoint-200), or the folder of a model"
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
                f"{spec.name} has not finished training\n"
                "hint: evaluate its checkpoints with `--checkpoints all`, or with a number"
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
        raise ConfigError(f"{folder} is not a complete checkpoint: {reason}")
    name = spec.name if is_final else f"{spec.name}-{_folder_name(folder)}"
    entries, step = read_journal(spec.paths.journal), checkpoint_step(folder)
    step = finished_step(entries) if is_final else step and steps_before(entries) + step
    return EvaluatedModel(name=name, path=str(folder), run_dir=str(spec.paths.run_dir), step=step)


def _folder_name(folder: Path) -> str:
    """A folder's name with only those characters that are safe in a path and in an MLflow query."""
    return re.sub(r"[^\w.-]", "-", folder.name).lstrip(".") or "model"


def _named_apart(models: Sequence[EvaluatedModel]) -> list[EvaluatedModel]:
    """The models with different names: equal ones get the name of their parent folder as a prefix.

    Raises:
        ConfigError: there is no model, or one is given twice.
    """
    if not models:
        raise ConfigError("no model was named\nhint: name at least one run, checkpoint or model folder")
    names = Counter(model.name for model in models)
    found = [
        model.model_copy(update={"name": f"{_folder_name(Path(model.path).parent)}-{model.name}"})
        if names[model.name] > 1 and not model.run_dir
        else model
        for model in models
    ]
    if twice := [name for name, count in Counter(model.name for model in found).items() if count > 1]:
        raise ConfigError(
            f"two of the models have the name {twice[0]}\nhint: give each model once, with a name of its own"
        )
    return found


def _name_of(models: Sequence[EvaluatedModel], baseline: Sequence[EvaluatedModel]) -> str | None:
    paths = [model.path for model in baseline]
    return next((model.name for model in models if model.path in paths), None)


def _source(request: Request, models: Sequence[EvaluatedModel]) -> RunSpec:
    """The run or config that has the prompts, the target and the settings."""
    if request.config:
        return load_run_spec(request.config, request.cluster, request.settings)
    run_dir = next((model.run_dir for model in models if model.run_dir), None)
    if run_dir is None:
        raise ConfigError(
            "none of the models was trained by a run\nhint: name the config with their prompts with `--config`"
        )
    return RunSpec.load(Path(run_dir))


def _changed(spec: RunSpec, request: Request) -> tuple[RunSpec, dict[str, Any]]:
    """The spec with those settings of the request that are not the profile's; and the Axolotl keys that they set."""
    content: dict[str, Any] = axolotl_document(spec)
    keys = [
        (key, value) for key, value in map(parse_setting, request.settings) if key[0] not in ClusterProfile.model_fields
    ]
    for key, value in keys:
        if key[0] not in ("regrow", *MODEL_KEYS):
            raise ConfigError(
                f"--set {'.'.join(key)}: an evaluation does not use this key\nhint: it uses regrow.evaluate.*, "
                f"regrow.task.*, {', '.join(MODEL_KEYS)}, and the keys of a profile"
            )
        apply_setting(content, key, value)
    if request.shards:
        apply_setting(content, ["regrow", "evaluate", "shards"], request.shards)
    regrow = parse_regrow(content.pop("regrow"), Path(spec.config))
    changed = {key[0]: content[key[0]] for key, _ in keys if key[0] != "regrow"}
    return spec.model_copy(update={"regrow": regrow, "axolotl": content}), changed


def _require_base(model: EvaluatedModel) -> None:
    """Make sure that an adapter's base model exists, before its jobs wait for a GPU."""
    adapter = Path(model.path) / "adapter_config.json"
    base = json.loads(adapter.read_bytes()).get("base_model_name_or_path") if adapter.is_file() else None
    if base and is_folder_name(base) and not from_root(base).exists():
        raise ConfigError(f"{model.path}: its base model {base} does not exist")
