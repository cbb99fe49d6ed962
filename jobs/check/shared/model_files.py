"""Finds a model's config.json: in its folder, in the hub's cache, or among those that come with regrow."""

import os
from pathlib import Path

from jobs.spec.paths import from_root
from jobs.spec.run_spec import RunSpec, is_folder_name

SHIPPED = Path(__file__).parent / "model_configs"
"""config.json of public models, so that a run can be checked before 60 GB are downloaded: <owner>--<name>.json."""


def model_config_file(spec: RunSpec) -> Path | None:
    """config.json of `base_model`; None: it is not on this machine."""
    name = spec.axolotl.get("base_model")
    if not isinstance(name, str):
        return None
    if is_folder_name(name):
        file = Path(name) / "config.json"
        return file if file.is_file() else None
    stem = name.replace("/", "--")
    snapshots = sorted(
        (hub_cache() / f"models--{stem}" / "snapshots").glob("*/config.json"), key=lambda f: f.stat().st_mtime
    )
    shipped = SHIPPED / f"{stem}.json"
    return snapshots[-1] if snapshots else shipped if shipped.is_file() else None


def is_here(base_model: str) -> bool:
    """Whether the model, and so its tokenizer, is on this machine."""
    if is_folder_name(base_model):
        return (Path(base_model) / "config.json").is_file()
    return (hub_cache() / f"models--{base_model.replace('/', '--')}").is_dir()


def is_dataset_here(path: str) -> bool:
    """Whether a data set is on this machine: a file, a folder, or a data set of the hub in the cache."""
    return from_root(path).exists() or (hub_cache() / f"datasets--{path.replace('/', '--')}").is_dir()


def hub_cache() -> Path:
    """The folder in which huggingface_hub keeps models, by its own environment variables."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("HF_HOME", f"{cache}/huggingface")
    return Path(os.path.expandvars(os.environ.get("HF_HUB_CACHE", f"{home}/hub"))).expanduser()
