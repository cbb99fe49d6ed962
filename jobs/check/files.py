"""Whether the files that a run names exist, before a job fails without them."""

import re
from collections.abc import Iterator
from pathlib import Path

from jobs.check.accelerate import accelerate_problems
from jobs.check.shared.finding import Finding, Level, Place
from jobs.check.shared.model_files import hub_cache, is_dataset_here, is_here
from jobs.check.shared.places import Places
from jobs.spec.errors import ConfigError
from jobs.spec.paths import from_root
from jobs.spec.run_spec import RunSpec, is_folder_name

REMOTE = re.compile(r"[a-z][a-z0-9+]*://")
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
"""A name on the hub: `owner/name`, or an old one without owner."""
RECORD_SUFFIXES = (".json", ".jsonl", ".csv", ".parquet", ".arrow", ".txt", ".gz")
NOT_READ = "the run would fail when it reads the file"


def file_findings(spec: RunSpec, places: Places, absent: Level) -> list[Finding]:
    """Findings about data, model, DeepSpeed and accelerate files.

    Args:
        absent: the level of missing data or a missing model: note for `check`, error for `submit`.
    """
    return [
        *_data(spec, places, absent),
        *_model(spec, places, absent),
        *_deepspeed(spec, places),
        *_accelerate(spec, places),
    ]


def _data(spec: RunSpec, places: Places, absent: Level) -> Iterator[Finding]:
    prepare = spec.regrow.prepare
    for key, sources in (("sources", prepare.sources), ("validation", prepare.validation)):
        for index, source in enumerate(sources):
            path, place = from_root(source.path), places.config("regrow", "prepare", key, index, "path")
            if not path.is_file():
                yield Finding(
                    absent,
                    "files.data-absent",
                    place,
                    found=f"{path}: no such file",
                    cost=NOT_READ,
                    fix="put the records there, or name another file",
                )
            elif not path.stat().st_size:
                yield Finding.error(
                    "files.data-empty",
                    place,
                    found=f"{path} is empty",
                    cost="the prepare stage would fail",
                    fix="name a file with records",
                )
    for role, sources in (("datasets", prepare.sources), ("test_datasets", prepare.validation)):
        datasets = spec.axolotl.get(role)
        for index, dataset in enumerate(datasets if isinstance(datasets, list) and not sources else []):
            named = dataset.get("path") if isinstance(dataset, dict) else None
            if isinstance(named, str) and not is_dataset_here(named):
                yield from _absent_dataset(spec, places.config(role, index, "path"), named, absent)


def _absent_dataset(spec: RunSpec, place: Place, path: str, absent: Level) -> Iterator[Finding]:
    """What is wrong with a data set that is neither a file nor in the hub's cache."""
    if REMOTE.match(path):  # Axolotl reads it itself
        return
    if not HUB_NAME.fullmatch(path) or Path(path).suffix in RECORD_SUFFIXES:
        fix = "put the records there, or list their sources under regrow.prepare"
        yield Finding(
            absent, "files.data-absent", place, found=f"{from_root(path)}: no such file", cost=NOT_READ, fix=fix
        )
    elif spec.profile.offline:
        yield Finding(
            absent,
            "files.data-absent",
            place,
            found=f"{path} is neither a file nor in {hub_cache()}, and the nodes of {spec.cluster} are offline",
            cost="the prepare stage would fail",
            fix=f"HF_HUB_OFFLINE=0 hf download --repo-type dataset {path}",
        )


def _model(spec: RunSpec, places: Places, absent: Level) -> Iterator[Finding]:
    model = spec.axolotl.get("base_model")
    if not isinstance(model, str) or is_here(model):
        return
    if is_folder_name(model):
        found = f"{model} has no config.json" if Path(model).is_dir() else f"{model}: no such folder"
        fix = "write the folder of a model, or owner/name of a model on the hub"
    elif spec.profile.offline:
        found = f"{model} is not in {hub_cache()}, and the nodes of {spec.cluster} are offline"
        fix = f"HF_HUB_OFFLINE=0 hf download {model}"
    else:
        return
    yield Finding(
        absent,
        "files.model-absent",
        places.config("base_model"),
        found=found,
        cost="the model does not load",
        fix=fix,
    )


def _deepspeed(spec: RunSpec, places: Places) -> Iterator[Finding]:
    path = spec.axolotl.get("deepspeed")
    if isinstance(path, str) and not Path(path).is_file():
        shipped = sorted(f"deepspeed_configs/{file.name}" for file in from_root("deepspeed_configs").glob("*.json"))
        yield Finding.error(
            "files.deepspeed-absent",
            places.config("deepspeed"),
            found=f"{path}: no such file",
            cost="Axolotl would fail, and only after it has loaded the model",
            fix=f"write one of {', '.join(shipped)}",
        )


def _accelerate(spec: RunSpec, places: Places) -> Iterator[Finding]:
    place = places.profile("accelerate_config")
    try:
        problems = accelerate_problems(spec)
    except ConfigError as error:
        problems = [("error", str(error))]
    for level, problem in problems:
        yield Finding(
            level,
            "files.accelerate",
            place,
            found=problem,
            cost="`accelerate launch` by hand and a job would train differently",
            fix="make both files agree",
        )
