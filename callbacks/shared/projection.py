"""What MLflow has to show of a run, computed from the journal alone: MLflow is a projection of the journal. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isnan
from pathlib import Path
from typing import Any, Literal

from callbacks.shared import events
from callbacks.shared.journal import Entry

MAX_KEY_LENGTH = 250
MAX_PARAM_LENGTH = 6000
"""MLflow's limit for the value of a param, in characters (mlflow 3, MAX_PARAM_VAL_LENGTH)."""
MAX_TAG_LENGTH = 5000
"""In characters. MLflow accepts 8000 bytes, but the database of an older server accepts only 5000 characters."""


@dataclass(frozen=True)
class PointId:
    """What identifies a point. A step that was done again with the same value is not posted again."""

    key: str
    step: int
    time: float | None
    """Of a value that may come again: of a summary, and of a step that was done again with another value. None: the first
    value of a step."""


@dataclass(frozen=True)
class ArtifactFile:
    """A file, and its folder among the run's artifacts; empty: the top folder."""

    path: Path
    folder: str


@dataclass(frozen=True)
class DatasetFacts:
    """A file of records that the run uses."""

    role: events.Role
    path: str
    sha256: str
    records: int


@dataclass
class Projection:
    """Built from the journal, entry by entry."""

    points: dict[PointId, tuple[float, float]] = field(default_factory=dict)
    """Time (seconds since the epoch) and value."""
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    artifacts: dict[ArtifactFile, float] = field(default_factory=dict)
    """When each file was last written, seconds since the epoch."""
    datasets: dict[str, DatasetFacts] = field(default_factory=dict)
    status: events.RunEnd | Literal["RUNNING"] = "RUNNING"
    ended_at: float = 0.0
    _newest: dict[str, str] = field(default_factory=dict)
    """The newest attempt's value of each param and each fact of the environment."""
    _values: dict[PointId, tuple[float, float]] = field(default_factory=dict)
    """Time and value of the newest attempt's points in series."""
    _is_cancelled: bool = False

    def add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        match entry:
            case events.Metrics():
                self._add_points(entry.values, entry.step, entry.order)
            case events.Summary():
                self._add_summary(entry)
            case events.System():
                self._add_points(entry.values, entry.second, entry.time)
            case events.Params():
                self._add_once(self.params, entry.values, entry.attempt_name, MAX_PARAM_LENGTH)
            case events.Environment():
                self._add_once(self.tags, entry.values, entry.attempt_name, MAX_TAG_LENGTH)
            case events.Artifact():
                self.artifacts[ArtifactFile(Path(entry.path), entry.folder)] = entry.time
            case events.Dataset():
                self.datasets[entry.role] = DatasetFacts(entry.role, entry.path, entry.sha256, entry.records)
                self.tags[f"data.sha256.{entry.role}"] = entry.sha256
            case events.Reported():
                self.tags["mlflow.note.content"] = entry.summary  # the run's description
            case events.RunEnded():
                self.status, self.ended_at = entry.status, entry.time
            case events.CancelRequested():
                self.status, self.ended_at, self._is_cancelled = "KILLED", entry.time, True
            case events.Foreground() | events.Submitted(successor_of=None):
                self.status, self._is_cancelled = "RUNNING", False
            case events.StageStarted() if not self._is_cancelled:
                self.status = "RUNNING"

    def _add_points(self, values: Mapping[str, float], step: int, time: float) -> None:
        """Add points of series. Of a step that was done again, the newest value counts: MLflow removes no point, but shows as a
        metric's value the newest point of the last step."""
        for key, value in values.items():
            point = PointId(mlflow_key(key), step, None)
            last, newest = self._values.setdefault(point, (time, float(value)))
            self.points.setdefault(point, (time, float(value)))
            if time > last:
                self._values[point] = time, float(value)
                if value != newest and not (isnan(value) and isnan(newest)):
                    self.points[replace(point, time=time)] = time, float(value)

    def _add_summary(self, entry: events.Summary) -> None:
        for key, value in entry.values.items():
            self.points[PointId(mlflow_key(key), entry.step, entry.time)] = entry.time, float(value)

    def _add_once(self, known: dict[str, str], values: Mapping[str, str], attempt: str, most: int) -> None:
        """Keep the first attempt's values. If a later attempt has another value, that is drift, and a tag says it."""
        for name, value in values.items():
            key, text = mlflow_key(name), value[:most]
            first = known.setdefault(key, text)
            if self._newest.setdefault(key, first) != text:
                drift = f"{self.tags.get(f'drift/{key}', first)} → {text} ({attempt})"
                self.tags[f"drift/{key}"] = drift[-MAX_TAG_LENGTH:]
            self._newest[key] = text


def mlflow_key(name: str) -> str:
    """A name that MLflow accepts for a metric, param or tag. One refused name would block all the others."""
    parts = re.sub(r"[^\w\-./: ]+", "_", name)[:MAX_KEY_LENGTH].split("/")
    return "/".join(part for part in parts if part.strip(". ")) or "_"


def flat_params(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys. A list of plain values stays one value; other lists get numbers: `datasets.0.path`."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            value = {str(index): item for index, item in enumerate(value)}
        if isinstance(value, Mapping):
            flat |= flat_params(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
