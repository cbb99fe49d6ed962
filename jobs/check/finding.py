"""Finding: what a check found, where, and what to write instead."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that a check has to say."""

    level: Level
    code: str
    """Stable, for scripts: `schema.unknown-key`."""
    place: str
    """File and key."""
    found: str
    fix: str
    """What to write or to type."""

    def __str__(self) -> str:
        return f"{self.level} {self.code}: {self.place}: {self.found}\n    {self.fix}"
