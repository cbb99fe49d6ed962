"""Loads hand-written YAML. What YAML 1.1 would silently read as something else is refused, with what it would have read."""

import re
from pathlib import Path
from typing import Any

import yaml

from jobs.spec.errors import ConfigError

_SEXAGESIMAL = re.compile(r"[+-]?\d[\d_]*(?::[0-5]?\d)+(?:\.\d*)?")
_SURPRISES = {
    "tag:yaml.org,2002:timestamp": "a date",
    "tag:yaml.org,2002:binary": "bytes",
    "tag:yaml.org,2002:set": "a set",
}


class _Loader(yaml.SafeLoader):
    """SafeLoader without doubled keys, dates, and numbers to the base of 60."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key, _ in node.value:  # before the merge of `<<`, whose keys may be written again
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (first := seen.get(key.value)) is not None:
                    lines = f"in lines {first} and {key.start_mark.line + 1}"
                    raise _refused(key, f"`{key.value}` stands twice, {lines}", "keep one of them")
                seen[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        found = super().construct_object(node, deep)
        if isinstance(node, yaml.ScalarNode) and not node.style:
            if node.tag in _SURPRISES:
                raise _refused(node, f"YAML reads {node.value} as {_SURPRISES[node.tag]}", f'write "{node.value}"')
            if isinstance(found, int | float) and _SEXAGESIMAL.fullmatch(node.value):
                raise _refused(node, f"YAML reads {node.value} as {found:,}, a number to the base of 60",
                               f'write the number itself, or "{node.value}"')  # fmt: skip
        return found


def _refused(node: yaml.Node, found: str, fix: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, f"{found}\nhint: {fix}", node.start_mark)


def load_yaml(path: Path) -> dict[str, Any]:
    """Load a YAML file whose top level is a mapping.

    Raises:
        ConfigError: the file is missing, is not YAML in UTF-8, has no mapping at its top level, or has a value or a key that
            YAML reads in a surprising way.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}\nhint: name a YAML file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8: {error.reason} at byte {error.start}\nhint: save it as UTF-8"
        ) from None
    except yaml.constructor.ConstructorError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(content).__name__}")
    if wrong := next((key for key in content if not isinstance(key, str)), None):
        raise ConfigError(f'{path}: the key {wrong!r} is not text\nhint: write "{wrong}"')
    if _holds_itself(content, ()):
        raise ConfigError(f"{path}: an alias stands inside its own anchor, so the value would never end")
    return content


def _holds_itself(value: Any, above: tuple[int, ...]) -> bool:
    if not isinstance(value, dict | list):
        return False
    if id(value) in above:
        return True
    return any(
        _holds_itself(each, (*above, id(value))) for each in (value.values() if isinstance(value, dict) else value)
    )
