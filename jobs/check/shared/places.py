"""File and line of the keys of a config, of its cluster profile and of its DeepSpeed file."""

from pathlib import Path

import yaml

from jobs.check.shared.finding import Place
from jobs.spec.paths import REPO_ROOT, from_root
from jobs.spec.profile import profile_path
from jobs.spec.run_spec import RunSpec

Key = tuple[str, ...]


class Places:
    """The places of keys in one run's hand-written files."""

    def __init__(self, spec: RunSpec) -> None:
        self._config = Path(spec.config)
        self._profile = profile_path(spec.cluster)
        deepspeed = spec.axolotl.get("deepspeed")
        self._deepspeed = from_root(deepspeed) if isinstance(deepspeed, str) else None
        self._lines: dict[Path, dict[Key, int]] = {}

    def config(self, *key: str | int) -> Place:
        return self._place(self._config, key)

    def profile(self, *key: str | int) -> Place:
        return self._place(self._profile, key)

    def deepspeed(self, *key: str | int) -> Place:
        """A place in the DeepSpeed file; in the config, if the DeepSpeed configuration is written there."""
        return self._place(self._deepspeed, key) if self._deepspeed else self.config("deepspeed", *key)

    def _place(self, file: Path, key: tuple[str | int, ...]) -> Place:
        if file not in self._lines:
            self._lines[file] = line_numbers(file)
        path = tuple(map(str, key))
        return Place(shown_path(file), ".".join(path), self._lines[file].get(path))


def shown_path(file: Path) -> str:
    """A path as a user would type it in the checkout."""
    file = file.resolve()
    return str(file.relative_to(REPO_ROOT) if file.is_relative_to(REPO_ROOT) else file)


def line_numbers(file: Path) -> dict[Key, int]:
    """The line (from 1) of each key of a YAML or JSON file; empty where it cannot be read."""
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    lines: dict[Key, int] = {}
    if root:
        _collect(root, (), lines)
    return lines


def _collect(node: yaml.Node, above: Key, lines: dict[Key, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = (*above, str(key.value))
            lines[path] = key.start_mark.line + 1
            _collect(value, path, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            path = (*above, str(index))
            lines[path] = item.start_mark.line + 1
            _collect(item, path, lines)
