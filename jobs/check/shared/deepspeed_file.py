"""A run's DeepSpeed configuration: where it is read from, and what the checks ask of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.spec.run_spec import RunSpec


@dataclass(frozen=True)
class DeepspeedFile:
    """The content of a DeepSpeed configuration."""

    content: dict[str, Any]

    @property
    def zero(self) -> dict[str, Any]:
        zero = self.content.get("zero_optimization")
        return zero if isinstance(zero, dict) else {}

    @property
    def stage(self) -> int:
        stage = self.zero.get("stage", 0)
        return stage if isinstance(stage, int) else 0

    def offloads(self, what: str) -> bool:
        """Whether DeepSpeed offloads the `optimizer` or the `param`."""
        section = self.zero.get(f"offload_{what}")
        return isinstance(section, dict) and section.get("device") not in (None, "none")

    def bucket(self, key: str, default: int) -> int:
        """The size of a bucket in elements; `default` for "auto" and for a missing key."""
        value = self.zero.get(key)
        return int(value) if isinstance(value, int | float) else default


def deepspeed_file(spec: RunSpec) -> DeepspeedFile | None:
    """The DeepSpeed configuration of a run; None: there is none, or it cannot be read (another finding says so)."""
    named = spec.axolotl.get("deepspeed")
    if isinstance(named, dict):
        return DeepspeedFile(named)
    try:
        content = json.loads(Path(named).read_text(encoding="utf-8")) if isinstance(named, str) else None
    except (OSError, ValueError):
        return None
    return DeepspeedFile(content) if isinstance(content, dict) else None
