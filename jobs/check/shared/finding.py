"""Finding: what a check found, where, what it would cost, and what to write instead."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


class Place(NamedTuple):
    """Where something stands."""

    file: str
    key: str = ""
    """Dotted, list items by their index: `datasets.0.type`."""
    line: int | None = None
    """From 1; None: it stands on no line, as what `--set` sets or what is missing altogether."""

    def __str__(self) -> str:
        file = f"{self.file}:{self.line}" if self.line else self.file
        return f"{file}: {self.key}" if self.key else file


@dataclass(frozen=True)
class Finding:
    """One thing that a check has to say."""

    level: Level
    """error: `submit` stops; warning: it may go wrong; note: nothing to worry about, or not checked."""
    code: str
    """Stable, for scripts: `schema.unknown-key`."""
    place: Place
    found: str
    cost: str
    """What would happen, were it left as it is."""
    fix: str
    """What to write or to type."""

    def __str__(self) -> str:
        return f"{self.level} {self.code}: {self.place}: {self.found}\n    {self.cost}\n    {self.fix}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "place": self.place._asdict()}


def by_level(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings, then notes; within a level, as the checks found them."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))
