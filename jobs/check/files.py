"""Whether the files that a run names are there, before a job finds out."""

import os
from collections.abc import Iterator
from pathlib import Path

from jobs.check.finding import Finding, Level
from jobs.launch import accelerate_problems
from jobs.spec import RunSpec, from_root, is_folder_name


def file_findings(spec: RunSpec, absent: Level) -> list[Finding]:
    """Findings about data, model, DeepSpeed and accelerate files.

    Args:
        absent: the level of data or a model that is not there: a note in a dry run, an error in a submission.
    """
    return [*_data(spec, absent), *_model(spec, absent), *_deepspeed(spec), *_accelerate(spec)]


def _data(spec: RunSpec, absent: Level) -> Iterator[Finding]:
    prepare = spec.regrow.prepare
    for key, sources in (("sources", prepare.sources), ("validation", prepare.validation)):
        for index, source in enumerate(sources):
            path, place = from_root(source.path), f"{spec.config}: regrow.prepare.{key}.{index}.path"
            if not path.is_file():
                yield Finding(
                    absent,
                    "files.data-absent",
                    place,
                    f"{path}: no such file",
                    "put the records there, or name another file",
                )
            elif not path.stat().st_size:
                yield Finding("error", "files.data-empty", place, f"{path} is empty", "name a file with records")
    if not prepare.sources:
        for key in ("datasets", "test_datasets"):
            for index, dataset in enumerate(spec.axolotl.get(key) or []):
                if not Path(str(dataset.get("path"))).is_absolute():
                    place = f"{spec.config}: {key}.{index}.path"
                    fix = "put the records there, or list their sources under regrow.prepare.sources"
                    yield Finding(
                        absent, "files.data-absent", place, f"{from_root(str(dataset.get('path')))}: no such file", fix
                    )


def _model(spec: RunSpec, absent: Level) -> Iterator[Finding]:
    model, place = str(spec.axolotl.get("base_model")), f"{spec.config}: base_model"
    if is_folder_name(model):
        if not (Path(model) / "config.json").is_file():
            found = f"{model} holds no config.json" if Path(model).is_dir() else f"{model}: no such folder"
            fix = "write a folder with a model in it, or the hub's owner/name"
            yield Finding(absent, "files.model-absent", place, found, fix)
    elif spec.profile.offline and not (hub_cache() / f"models--{model.replace('/', '--')}").is_dir():
        found = f"{model} is not in {hub_cache()}, and the nodes of {spec.cluster} are offline"
        yield Finding(absent, "files.model-absent", place, found, f"type: HF_HUB_OFFLINE=0 hf download {model}")


def _deepspeed(spec: RunSpec) -> Iterator[Finding]:
    path = spec.axolotl.get("deepspeed")
    if isinstance(path, str) and not Path(path).is_file():
        shipped = ", ".join(
            sorted(f"deepspeed_configs/{p.name}" for p in from_root("deepspeed_configs").glob("*.json"))
        )
        yield Finding(
            "error",
            "files.deepspeed-absent",
            f"{spec.config}: deepspeed",
            f"{path}: no such file",
            f"there are: {shipped}",
        )


def _accelerate(spec: RunSpec) -> Iterator[Finding]:
    for problem in accelerate_problems(spec):
        yield Finding(
            "error", "files.accelerate", f"slurm/{spec.cluster}.yml: accelerate_config", problem, "make the two agree"
        )


def hub_cache() -> Path:
    """Where huggingface_hub keeps models, by its own environment variables."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
