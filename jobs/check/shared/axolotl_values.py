"""The values of a config that the installed Axolotl rejects, or accepts and fails on later. Needs Axolotl, and so torch."""

import importlib
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from jobs.check.shared.axolotl_keys import Tree, plugin_arguments, unknown_keys

MAX_ROUNDS = 20
"""A value that is rejected hides others: it is taken out, and the rest is looked at again."""


def rejected_values(config: dict[str, Any], tree: Tree, gpus: int, plugins: list[str]) -> list[dict[str, Any]]:
    """What is wrong with the values; keys that Axolotl does not know are left out.

    Args:
        gpus: of the node that will train; 0: it has none.

    Returns:
        Each with `key` (a path, empty where no single value is to blame) and `message`.
    """
    for path, _ in list(unknown_keys(config, tree)):
        _take_out(config, path)
    model = _input_model(plugins)
    config["capabilities"] = {"bf16": gpus > 0, "tf32": gpus > 0, "fp8": False, "n_gpu": gpus, "n_node": 1,
                              "compute_capability": "sm_80" if gpus else None}  # fmt: skip
    config["env_capabilities"] = {"torch_version": version("torch").split("+")[0]}
    rejected = list(_dies_later(config))
    for finding in rejected:
        _take_out(config, tuple(finding["key"]))
    for _ in range(MAX_ROUNDS):
        found = _errors(model, config)
        taken_out = [_take_out(config, tuple(finding["key"])) for finding in found]
        rejected += found
        if not any(taken_out):
            break
    return rejected


def _input_model(plugins: list[str]) -> type[BaseModel]:
    """Axolotl's model of a config with what the plugins add, as Axolotl itself puts them together."""
    from axolotl.utils.schemas.config import AxolotlConfigWCapabilities

    added: list[type[BaseModel]] = []
    for dotted in plugins:
        try:
            added += plugin_arguments(dotted)
        except ImportError:
            continue  # a finding of its own
    return type("Config", (AxolotlConfigWCapabilities, *added), {})


def _errors(model: type[BaseModel], config: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        model(**config)
    except ValidationError as error:
        found: dict[tuple[str, ...], str] = {}
        for detail in error.errors():
            key = _config_path(detail["loc"], config)
            found.setdefault(key, detail["msg"].removeprefix("Value error, "))
        return [{"key": list(key), "message": message} for key, message in found.items()]
    except Exception as error:  # a validator that did not expect what it got
        return list(_misfits(model, config)) or [{"key": [], "message": f"{type(error).__name__}: {error}"}]
    return []


def _misfits(model: type[BaseModel], config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Values that do not fit their own field, whatever the validators say."""
    for key, value in config.items():
        if key in model.model_fields and value is not None:
            try:
                TypeAdapter(model.model_fields[key].annotation).validate_python(value)
            except ValidationError as error:
                yield {"key": [key], "message": f"found {value!r}: {error.errors()[0]['msg']}"}


def _config_path(location: tuple[int | str, ...], config: Any) -> tuple[str, ...]:
    """pydantic's location without the tags of unions, which stand nowhere in the config."""
    path: list[str] = []
    for part in location:
        if isinstance(config, dict) and part in config:
            config = config[str(part)]
        elif isinstance(config, list) and isinstance(part, int) and part < len(config):
            config = config[part]
        else:
            continue
        path.append(str(part))
    return tuple(path) or tuple(map(str, location[:1]))


def _take_out(config: Any, path: tuple[str, ...]) -> bool:
    """Remove a value; whether it was there."""
    for part in path[:-1]:
        config = config[int(part)] if isinstance(config, list) else config.get(part)
        if not isinstance(config, dict | list):
            return False
    if not path:
        return False
    if isinstance(config, list) and path[-1].isdigit() and int(path[-1]) < len(config):
        config[int(path[-1])] = {}
        return True
    return isinstance(config, dict) and config.pop(path[-1], None) is not None


def _dies_later(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Values that the schema takes as text, and that only the trainer would find wrong; lists that are none."""
    for role in ("datasets", "test_datasets"):
        value = config.get(role)
        if value is not None and not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
            yield {"key": [role], "message": f"{role} must be a list of mappings, found {value!r}"}
    for role in ("datasets", "test_datasets"):
        datasets = config.get(role)
        for index, dataset in enumerate(datasets if isinstance(datasets, list) else []):
            kind = dataset.get("type") if isinstance(dataset, dict) else None
            if isinstance(kind, str) and not _is_prompt_strategy(kind):
                yield {"key": [role, str(index), "type"], "message": f"Axolotl has no prompt strategy `{kind}`"}
    if isinstance(optimizer := config.get("optimizer"), str) and optimizer not in (known := _optimizers()):
        yield {"key": ["optimizer"], "message": f"unknown optimizer `{optimizer}`", "found": optimizer, "known": known}
    if isinstance(scheduler := config.get("lr_scheduler"), str) and scheduler not in (known := _schedulers()):
        yield {
            "key": ["lr_scheduler"],
            "message": f"unknown scheduler `{scheduler}`",
            "found": scheduler,
            "known": known,
        }


def _is_prompt_strategy(kind: str) -> bool:
    """Whether Axolotl would find a module of this name (ax/prompt_strategies/__init__.py, load)."""
    name = kind.split(":")[0]
    last = name.rpartition(".")[2]
    if last == "load" or last.startswith("load_"):
        name = name.rpartition(".")[0]
    for candidate in (name, f"axolotl.prompt_strategies.{name}"):
        try:
            importlib.import_module(candidate)
        except ImportError:
            continue
        return True
    return False


def _optimizers() -> list[str]:
    from axolotl.utils.schemas.enums import CustomSupportedOptimizers
    from transformers.training_args import OptimizerNames

    return sorted({item.value for item in (*CustomSupportedOptimizers, *OptimizerNames)})


def _schedulers() -> list[str]:
    from transformers.trainer_utils import SchedulerType

    return sorted({item.value for item in SchedulerType} | {"one_cycle", "rex"})
