"""The keys that the installed Axolotl knows. Axolotl, and so torch, is imported only inside functions.

A tree maps each key to the tree of the keys below it; null: any key is allowed below.
"""

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import AliasChoices, AliasPath, BaseModel

Tree = dict[str, Any]
Path = tuple[str, ...]


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


def unknown_keys(content: Mapping[str, Any], known: Tree, above: Path = ()) -> Iterator[tuple[Path, Tree]]:
    """The path of each key that is not in the tree, with the keys that are allowed there; list items by their index."""
    for key, value in content.items():
        path = (*above, str(key))
        if key not in known:
            yield path, known
        elif known[key] is not None:
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(item, Mapping):
                    yield from unknown_keys(item, known[key], (*path, str(index)) if isinstance(value, list) else path)


def places_of(key: str, tree: Tree, above: Path = ()) -> Iterator[Path]:
    """The paths under which the tree knows a key, the shortest of each branch first."""
    if key in tree:
        yield above
    for name, below in tree.items():
        if below:
            yield from places_of(key, below, (*above, name))


def _aliases(alias: str | AliasPath | AliasChoices | None) -> list[str]:
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [alias] if isinstance(alias, str) else []


def _annotated_tree(annotation: Any, seen: tuple[type[BaseModel], ...]) -> Tree | None:
    """All keys of all models in an annotation; None: it allows mappings with any keys."""
    parts = _parts(annotation)
    if any(part in (dict, Any, object) for part in parts):
        return None
    union: Tree | None = {}
    for model in (part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)):
        union = _united(union, key_tree(model, seen))
    return union


def _united(one: Tree | None, other: Tree | None) -> Tree | None:
    """The keys of both trees."""
    if one is None or other is None:
        return None
    return {key: _united(one.get(key, {}), other.get(key, {})) for key in one | other}


def _parts(annotation: Any) -> list[Any]:
    """An annotation and everything inside it, except what is inside a plain mapping."""
    origin = getattr(annotation, "__origin__", None)
    if origin is dict:
        return [dict]
    return [annotation, *(part for argument in get_args(annotation) for part in _parts(argument))]


def known_keys(plugins: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Axolotl's keys and the plugins' keys, the deprecated ones among them, and the plugins that do not load.

    Returns:
        `tree`, `deprecated` (key -> what Axolotl says); plugin -> why it does not load.
    """
    from axolotl.utils.schemas.config import AxolotlInputConfig

    tree, failed = key_tree(AxolotlInputConfig) or {}, {}
    for dotted in plugins:
        try:
            for arguments in plugin_arguments(dotted):
                tree |= key_tree(arguments) or {}
        except ImportError as error:
            failed[dotted] = str(error)
    return {"tree": tree, "deprecated": _deprecated()}, failed


def plugin_arguments(dotted: str) -> list[type[BaseModel]]:
    """The model of the keys that a plugin adds to Axolotl's: one model, or none.

    Raises:
        ImportError: the plugin cannot be imported, or it is not a plugin.
    """
    plugin: Any = _imported(dotted)
    if not (inspect.isclass(plugin) and hasattr(plugin, "get_input_args")):
        raise ImportError(f"{dotted} is not an Axolotl plugin (a subclass of axolotl.integrations.base.BasePlugin)")
    created: Any = plugin()
    arguments = created.get_input_args()
    return [_imported(arguments)] if arguments else []


def _imported(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImportError(f"{dotted}: {error}") from error


def _deprecated() -> dict[str, str]:
    """Deprecated keys with Axolotl's message: from the mark of the field, or from the validator of the old key."""
    from axolotl.utils.schemas.config import AxolotlInputConfig
    from axolotl.utils.schemas.deprecated import DeprecatedParameters

    said = {name: str(field.deprecated) for name, field in AxolotlInputConfig.model_fields.items() if field.deprecated}
    source = inspect.getsource(DeprecatedParameters)
    for name in DeprecatedParameters.model_fields:
        body = re.search(rf'@field_validator\("{name}"\)(.*?)(?=@field_validator|\Z)', source, re.DOTALL)
        texts = re.findall(r'"((?:[^"\\]|\\.)*)"', body[1].split("def ", 1)[1]) if body else []
        said[name] = "".join(texts) or "it is deprecated"
    return said
