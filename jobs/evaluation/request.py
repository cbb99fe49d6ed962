"""`regrow evaluate`: what somebody named, resolved into a run whose stages are evaluate and report."""

import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from callbacks.extraction import parse_answer
from callbacks.journal import read_journal
from callbacks.manifest import checkpoint_step, checkpoints
from callbacks.prompts import load_records
from jobs.config_error import ConfigError
from jobs.evaluation.parts import finished_step, prompt_format, spec_of_model
from jobs.paths import RunPaths
from jobs.profile import ClusterProfile
from jobs.spec import (
    EvaluatedModel,
    Evaluation,
    RunSpec,
    apply_setting,
    axolotl_document,
    load_profile,
    load_run_spec,
    parse_regrow,
    parse_setting,
    require_name,
)

MODEL_FILES = ("adapter_config.json", "config.json")


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
    profile = load_profile(request.cluster, request.settings)
    models = [found for text in request.models for found in _models_of(text, profile, request.checkpoints)]
    baseline = _models_of(request.baseline, profile, "last") if request.baseline else []
    models += [model for model in baseline if model not in models]
    _require_names(models)
    name = request.name or f"evaluate-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    require_name(name)
    spec = _changed(_source(request, models), request)
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
            "evaluation": Evaluation(models=tuple(models), baseline=baseline[0].name if baseline else None),
            "regrow": spec.regrow.model_copy(update={"run_dir": str(Path(profile.runs_root) / name)}),
            "axolotl": spec.axolotl | {"test_datasets": [_dataset(spec, request.data)]},
        }
    )
    for model in models:
        _require_records(spec, model, request.data)
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
        return [EvaluatedModel(name=re.sub(r"[^\w.-]", "-", folder.name).lstrip(".") or "model", path=str(folder))]
    return [_checkpoint(RunSpec.load(run), folder)]


def _models_of_run(spec: RunSpec, which: str) -> list[EvaluatedModel]:
    saved = checkpoints(spec.paths.checkpoints)
    if which == "last":
        step = finished_step(read_journal(spec.paths.journal))
        if step is None:
            raise ConfigError(
                f"{spec.name} has not finished training; evaluate what it has saved with --checkpoints all or a number"
            )
        path = str(spec.paths.checkpoints)
        return [EvaluatedModel(name=spec.name, path=path, run_dir=str(spec.paths.run_dir), step=step)]
    if which != "all" and not (which.isdigit() and int(which)):
        raise ConfigError(f"--checkpoints {which}: write last, all, or a number")
    chosen = saved if which == "all" else saved[: int(which)]
    if not chosen:
        raise ConfigError(f"{spec.name} has saved no checkpoint yet")
    return [_checkpoint(spec, path) for path in chosen]


def _checkpoint(spec: RunSpec, folder: Path) -> EvaluatedModel:
    is_final = folder == spec.paths.checkpoints
    name = spec.name if is_final else f"{spec.name}-{folder.name}"
    step = finished_step(read_journal(spec.paths.journal)) if is_final else checkpoint_step(folder)
    return EvaluatedModel(name=name, path=str(folder), run_dir=str(spec.paths.run_dir), step=step)


def _require_names(models: Sequence[EvaluatedModel]) -> None:
    if not models:
        raise ConfigError("name at least one run, checkpoint or model folder")
    names = [model.name for model in models]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two of the models are named {twice[0]}; each must be given once, under a name of its own")


def _source(request: Request, models: Sequence[EvaluatedModel]) -> RunSpec:
    """The run or config from which the prompts, the target and the settings come."""
    if request.config:
        return load_run_spec(request.config, request.cluster, request.settings)
    run_dir = next((model.run_dir for model in models if model.run_dir), None)
    if run_dir is None:
        raise ConfigError("no run is among the models; say with --config which config their prompts come from")
    return RunSpec.load(Path(run_dir))


def _changed(spec: RunSpec, request: Request) -> RunSpec:
    """With the request's settings, as far as they are not the profile's."""
    content: dict[str, Any] = axolotl_document(spec)
    for key, value in map(parse_setting, request.settings):
        if key[0] not in ClusterProfile.model_fields:
            apply_setting(content, key, value)
    if request.shards:
        apply_setting(content, ["regrow", "evaluate", "shards"], request.shards)
    regrow = parse_regrow(content.pop("regrow"), Path(spec.config))
    return spec.model_copy(update={"regrow": regrow, "axolotl": content})


def _dataset(spec: RunSpec, data: Path) -> dict[str, Any]:
    """The records as a validation set, put before the model as those of the config are."""
    like = [*(spec.axolotl.get("test_datasets") or []), *spec.axolotl["datasets"]][0]
    return {**like, "path": str(data.resolve())}


def _require_records(spec: RunSpec, model: EvaluatedModel, data: Path) -> None:
    """What would be found only once everything is generated."""
    try:
        template, records = prompt_format(spec_of_model(spec, model)), load_records(data)
        wrong = [number for number, record in enumerate(records) if template.prompt(record) is None
                 or parse_answer(template.answer(record), spec.regrow.target) is None]  # fmt: skip
    except FileNotFoundError:
        raise ConfigError(f"--data {data}: no such file") from None
    except KeyError as error:
        raise ConfigError(
            f"--data {data}: a record has no field {error}, which {model.name} was trained with"
        ) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"--data {data}: not records: {error}") from None
    if not records:
        raise ConfigError(f"--data {data}: it holds no records")
    if wrong:
        raise ConfigError(
            f"--data {data}: {len(wrong)} of {len(records)} expected outputs are not what regrow.target describes, "
            f"the first in record {wrong[0]} (counted from 0)"
        )
