"""Config values that the installed Axolotl rejects, or accepts and fails on later. Needs Axolotl, and so torch."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from jobs.check.shared.axolotl_keys import Path, Tree, plugin_arguments, unknown_keys
from jobs.spec.errors import did_you_mean
from jobs.spec.wrong_value import WrongValue, fix_for, shown, wrong_values

MAX_ROUNDS = 20
"""A rejected value hides others: it is removed, and the rest is validated again, at most so often."""
ADAPTERS = ("lora", "qlora", "llama-adapter")
"""Axolotl's own adapters (ax/utils/schemas/peft.py, validate_adapter)."""


def rejected_values(config: dict[str, Any], tree: Tree, gpus: int, plugins: list[str]) -> list[dict[str, Any]]:
    """What is wrong with the values; keys that Axolotl does not know are ignored.

    Args:
        gpus: of the node that will train; 0: it has none.

    Returns:
        `WrongValue`s as mappings: `key` (a path, empty where no single value is to blame), `found`, `fix`.
    """
    for path, _ in list(unknown_keys(config, tree)):
        _take_out(config, path)
    model = _input_model(plugins)
    config["capabilities"] = {"bf16": gpus > 0, "tf32": gpus > 0, "fp8": False, "n_gpu": gpus, "n_node": 1,
                              "compute_capability": "sm_80" if gpus else None}  # fmt: skip
    config["env_capabilities"] = {"torch_version": version("torch").split("+")[0]}
    rejected = list(_dies_later(config))
    for wrong in rejected:
        _take_out(config, wrong.key)
    for _ in range(MAX_ROUNDS):
        found = [wrong for wrong in _errors(model, config) if wrong not in rejected]
        taken_out = [_take_out(config, wrong.key) for wrong in found]
        rejected += found
        if not any(taken_out):
            break
    return [asdict(wrong) for wrong in rejected]


def _input_model(plugins: list[str]) -> type[BaseModel]:
    """Axolotl's model of a config with the plugins' keys, combined as Axolotl does it."""
    from axolotl.utils.schemas.config import AxolotlConfigWCapabilities

    added: list[type[BaseModel]] = []
    for dotted in plugins:
        try:
            added += plugin_arguments(dotted)
        except ImportError:
            continue  # another finding says so
    return type("Config", (AxolotlConfigWCapabilities, *added), {})


def _errors(model: type[BaseModel], config: dict[str, Any]) -> list[WrongValue]:
    try:
        model(**config)
    except ValidationError as error:
        found = [_with_adapter(wrong, config) for wrong in wrong_values(error, config)]
        hides_others = any(not wrong.key for wrong in found)  # a validator of the whole config comes before the fields
        return [*found, *_misfits(model, config)] if hides_others else found
    except Exception as error:  # a validator that did not expect what it got
        return list(_misfits(model, config)) or [WrongValue((), f"{type(error).__name__}: {error}", "")]
    return []


def _with_adapter(wrong: WrongValue, config: dict[str, Any]) -> WrongValue:
    """Axolotl rejects an unknown adapter without naming its key, nor the adapters that there are."""
    if wrong.key or not wrong.found.startswith("Adapter "):
        return wrong
    return WrongValue(("adapter",), wrong.found, fix_for(config.get("adapter"), ADAPTERS))


def _misfits(model: type[BaseModel], config: dict[str, Any]) -> Iterator[WrongValue]:
    """Values that do not fit their own field, whatever the validators say; and required keys that are missing."""
    for key, field in model.model_fields.items():
        value = config.get(key)
        if value is None and field.is_required():
            yield WrongValue((key,), "is missing", "add this key")
        elif value is not None:
            try:
                TypeAdapter(field.annotation).validate_python(value)
            except ValidationError as error:
                for wrong in wrong_values(error, value):
                    yield WrongValue((key, *wrong.key), wrong.found, wrong.fix)
            except Exception:  # a validator that did not expect what it got
                yield WrongValue(
                    (key,), f"found {shown(value)}", "write a value of the kind that Axolotl's reference names"
                )


def _take_out(config: Any, path: Path) -> bool:
    """Remove a value; return whether it was there."""
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


def _dies_later(config: dict[str, Any]) -> Iterator[WrongValue]:
    """Values that the schema accepts as text, and on which the trainer would fail; data sets that are not lists."""
    for role in ("datasets", "test_datasets"):
        value = config.get(role)
        if value is not None and not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
            yield WrongValue((role,), f"found {shown(value)}", "write a list of mappings, each with path and type")
    for role in ("datasets", "test_datasets"):
        datasets = config.get(role)
        for index, dataset in enumerate(datasets if isinstance(datasets, list) else []):
            kind = dataset.get("type") if isinstance(dataset, dict) else None
            if isinstance(kind, str) and not _is_strategy(kind, config.get("rl")):
                hint = did_you_mean(kind, _prompt_strategies(_package(config.get("rl"))), 3)
                yield WrongValue((role, str(index), "type"), f"Axolotl has no prompt strategy `{kind}`", hint)
    yield from _unlisted(config, "optimizer", _optimizers)
    yield from _unlisted(config, "lr_scheduler", _schedulers)


def _unlisted(config: dict[str, Any], key: str, known: Callable[[], Iterable[str]]) -> Iterator[WrongValue]:
    """The text under a key if it is not a known one; `known` is called only if the key is set."""
    if isinstance(value := config.get(key), str) and value not in (words := list(known())):
        yield WrongValue((key,), f"found {shown(value)}", fix_for(value, words))


PREFERENCES = {"orpo": "orpo", "kto": "kto", "ebft": "ebft"}
"""Methods with strategies of their own; every other `rl:` uses those of dpo (ax/utils/data/rl.py, _load_split)."""


def _package(rl: Any) -> str:
    """The package in which Axolotl looks for a data set's strategy."""
    return f"axolotl.prompt_strategies.{PREFERENCES.get(str(rl), 'dpo')}" if rl else "axolotl.prompt_strategies"


def _is_strategy(kind: str, rl: Any) -> bool:
    """Whether Axolotl has a strategy of this name (ax/prompt_strategies/__init__.py and base.py; ax/utils/data/wrappers.py)."""
    from axolotl.utils.data.wrappers import DATASET_HANDLERS

    name = kind.split(":")[0]
    if rl:
        name = name.rpartition(".")[0] or name  # `module.function`; without a function, its `default`
        candidates = [name, f"{_package(rl)}.{name}"]
    elif name in DATASET_HANDLERS or name.startswith(("bradley_terry", "stepwise_supervised")):
        return True
    else:
        last = name.rpartition(".")[2]
        if last == "load" or last.startswith("load_"):
            name = name.rpartition(".")[0]
        candidates = [name, f"{_package(rl)}.{name}"]
    for candidate in candidates:
        try:
            importlib.import_module(candidate)
        except ImportError:
            continue
        return True
    return False


def _prompt_strategies(package: str) -> list[str]:
    """Names that may stand in `type:`, without what follows a `.` or a `:`."""
    from axolotl.utils.data.wrappers import DATASET_HANDLERS

    found = {module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__)}
    return sorted(found if package.count(".") > 1 else found | DATASET_HANDLERS.keys())


def _optimizers() -> list[str]:
    from axolotl.utils.schemas.enums import CustomSupportedOptimizers
    from transformers.training_args import OptimizerNames

    return sorted({item.value for item in (*CustomSupportedOptimizers, *OptimizerNames)})


def _schedulers() -> list[str]:
    from transformers.trainer_utils import SchedulerType

    return sorted({item.value for item in SchedulerType} | {"one_cycle", "rex"})
