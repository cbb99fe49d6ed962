"""A finding: what a check found, where, what it would cost, and what to write instead."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, Self

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


class Place(NamedTuple):
    """Where a key stands."""

    file: str
    key: str = ""
    """Dotted, list items by their index: `datasets.0.type`."""
    line: int | None = None
    """From 1; None: the key is on no line, because `--set` set it or because it is missing."""

    def __str__(self) -> str:
        file = f"{self.file}:{self.line}" if self.line else self.file
        return f"{file}: {self.key}" if self.key else file


@dataclass(frozen=True)
class Finding:
    """One result of a check. `Finding.error`, `.warning` and `.note` make one where the level is known."""

    level: Level
    """error: `submit` stops; warning: the run may fail; note: no problem, or something that was not checked."""
    code: str
    """Stable, for scripts: `schema.unknown-key`."""
    place: Place
    found: str = field(kw_only=True)
    cost: str = field(kw_only=True)
    """What happens if nothing is changed."""
    fix: str = field(kw_only=True)
    """What to write or to type."""

    @classmethod
    def error(cls, code: str, place: Place, *, found: str, cost: str, fix: str) -> Self:
        return cls("error", code, place, found=found, cost=cost, fix=fix)

    @classmethod
    def warning(cls, code: str, place: Place, *, found: str, cost: str, fix: str) -> Self:
        return cls("warning", code, place, found=found, cost=cost, fix=fix)

    @classmethod
    def note(cls, code: str, place: Place, *, found: str, cost: str, fix: str) -> Self:
        return cls("note", code, place, found=found, cost=cost, fix=fix)

    def __str__(self) -> str:
        return f"{self.level} {self.code}: {self.place}: {self.found}\n    {self.cost}\n    hint: {self.fix}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "place": self.place._asdict()}


def by_level(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings, then notes; within a level, in the order of the checks."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))
