"""`python -m jobs.check.axolotl_keys [PLUGIN …]`: the keys that the installed Axolotl knows, as JSON. Runs as a child, in
the node's Python: it needs Axolotl, and so torch.

A tree: key -> tree of the keys below it, or null where anything may stand.
"""

import importlib
import json
import sys
from typing import Any, get_args

from pydantic import AliasChoices, AliasPath, BaseModel

Tree = dict[str, Any]
EXIT_PLUGIN = 2
"""A plugin cannot be imported; the last line on stderr says why."""


def key_tree(model: type[BaseModel], seen: tuple[type[BaseModel], ...] = ()) -> Tree | None:
    """The keys of a model and, below each, those of the models in its annotation."""
    if model in seen or model.model_config.get("extra") == "allow":
        return None
    tree: Tree = {}
    for name, field in model.model_fields.items():
        below = _annotated_tree(field.annotation, (*seen, model))
        for key in (name, field.alias, *_aliases(field.validation_alias)):
            if key:
                tree[key] = below
    return tree


def _aliases(alias: str | AliasPath | AliasChoices | None) -> list[str]:
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [alias] if isinstance(alias, str) else []


def _annotated_tree(annotation: Any, seen: tuple[type[BaseModel], ...]) -> Tree | None:
    """All keys of all models that an annotation admits; None: it admits free mappings."""
    parts = _parts(annotation)
    if any(part in (dict, Any, object) for part in parts):
        return None
    union: Tree | None = {}
    for model in (part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)):
        union = _united(union, key_tree(model, seen))
    return union


def _united(one: Tree | None, other: Tree | None) -> Tree | None:
    """What either tree knows."""
    if one is None or other is None:
        return None
    return {key: _united(one.get(key, {}), other.get(key, {})) for key in one | other}


def _parts(annotation: Any) -> list[Any]:
    """An annotation and everything inside it; what a plain mapping contains is free."""
    origin = getattr(annotation, "__origin__", None)
    if origin is dict:
        return [dict]
    return [annotation, *(part for argument in get_args(annotation) for part in _parts(argument))]


def known_keys(plugins: list[str]) -> Tree:
    """Axolotl's keys and those that the plugins add.

    Raises:
        ImportError: a plugin, or what it adds, cannot be imported.
    """
    from axolotl.utils.schemas.config import AxolotlInputConfig

    tree = key_tree(AxolotlInputConfig) or {}
    for dotted in plugins:
        if arguments := _imported(dotted)().get_input_args():
            tree |= key_tree(_imported(arguments)) or {}
    return tree


def _imported(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImportError(f"{dotted}: {error}") from error


if __name__ == "__main__":
    try:
        keys = known_keys(sys.argv[1:])
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_PLUGIN) from None
    sys.stdout.write(json.dumps(keys))
