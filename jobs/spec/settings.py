"""Parses `--set KEY=VALUE`, and applies it to nested mappings and lists."""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from jobs.spec.errors import ConfigError


def parse_setting(setting: str) -> tuple[list[str], Any]:
    """Parse `a.b=c` into the parts of the key and the value. The value is YAML, but 1e-4 is a number."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"--set {setting}: not of the form KEY=VALUE\nhint: e.g. --set max_steps=50 or --set train.gpus_per_node=1"
        )
    if re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", text):
        return key.split("."), float(text)
    try:
        return key.split("."), yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(
            f"--set {setting}: the value is not YAML\nhint: quote it, e.g. --set 'key=\"text\"'"
        ) from None


def apply_setting(content: dict[str, Any], key: Sequence[str], value: Any) -> None:
    """Set a dotted key in nested mappings and lists; missing mappings are created."""
    place: Any = content
    for depth, part in enumerate(key):
        index: Any = int(part) if isinstance(place, list) and part.isdigit() else part
        if not isinstance(place, dict | list) or (
            isinstance(place, list) and not (isinstance(index, int) and index < len(place))
        ):
            raise ConfigError(
                f"--set {'.'.join(key)}: there is no {part!r} in {'.'.join(key[:depth])}, found {place!r}"
            )
        if depth == len(key) - 1:
            place[index] = value
        else:
            place = place.setdefault(index, {}) if isinstance(place, dict) else place[index]
