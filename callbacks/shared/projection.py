"""What stands in MLflow of a run, by its journal alone: MLflow is a projection of the journal. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callbacks.shared.journal import Entry, attempt_of

MAX_KEY_LENGTH = 250
MAX_PARAM_LENGTH = 6000
"""MLflow's limit for the value of a param, characters (mlflow 3, MAX_PARAM_VAL_LENGTH)."""
MAX_TAG_LENGTH = 5000
"""MLflow takes 8000 bytes; an SQL server of an older version 5000 characters."""


@dataclass(frozen=True)
class PointId:
    """What makes a point the same. Of a series, the step alone: a step that was done again is not posted again."""

    key: str
    step: int
    time: float | None
    """Of a summary, which a report that is made anew states anew; None: of a series."""


@dataclass(frozen=True)
class Artifact:
    """A file, and the folder of the run's artifacts that it goes to; empty: none."""

    path: Path
    folder: str


@dataclass(frozen=True)
class DatasetFacts:
    """A file of records that the run uses."""

    role: str
    """train or validation."""
    path: str
    sha256: str
    records: int


@dataclass
class Projection:
    """Fed with the journal, entry by entry."""

    points: dict[PointId, tuple[float, float]] = field(default_factory=dict)
    """Time (seconds since the epoch) and value."""
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    artifacts: dict[Artifact, float] = field(default_factory=dict)
    """When it was written last, seconds since the epoch."""
    datasets: dict[str, DatasetFacts] = field(default_factory=dict)
    status: str = "RUNNING"
    ended_at: float = 0.0
    _newest: dict[str, str] = field(default_factory=dict)
    """Of each param and fact of the environment, what the newest attempt has."""
    _is_cancelled: bool = False

    def add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        match entry["event"]:
            case "metrics":
                self._add_points(entry, entry["step"], None)
            case "summary":
                self._add_points(entry, entry["step"], entry["time"])
            case "system":
                self._add_points(entry, entry["second"], None)
            case "params":
                self._add_once(self.params, entry, MAX_PARAM_LENGTH)
            case "environment":
                self._add_once(self.tags, entry, MAX_TAG_LENGTH)
            case "artifact":
                self.artifacts[Artifact(Path(entry["path"]), entry["folder"])] = entry["time"]
            case "dataset":
                facts = DatasetFacts(entry["role"], entry["path"], entry["sha256"], entry["records"])
                self.datasets[facts.role] = facts
                self.tags[f"data.sha256.{facts.role}"] = facts.sha256
            case "reported":
                self.tags["mlflow.note.content"] = entry["summary"]  # the run's description
            case "run_ended":
                self.status, self.ended_at = entry["status"], entry["time"]
            case "cancel_requested":
                self.status, self.ended_at, self._is_cancelled = "KILLED", entry["time"], True
            case "submitted" | "foreground" if "successor_of" not in entry:
                self.status, self._is_cancelled = "RUNNING", False
            case "stage_started" if not self._is_cancelled:
                self.status = "RUNNING"

    def _add_points(self, entry: Entry, step: int, time: float | None) -> None:
        for key, value in entry["values"].items():
            self.points.setdefault(PointId(mlflow_key(key), step, time), (entry["time"], float(value)))

    def _add_once(self, known: dict[str, str], entry: Entry, most: int) -> None:
        """The first attempt's values stand; what a later one has instead is drift, and said in a tag."""
        for name, value in entry["values"].items():
            key, text = mlflow_key(name), str(value)[:most]
            first = known.setdefault(key, text)
            if self._newest.setdefault(key, first) != text:
                drift = f"{self.tags.get(f'drift/{key}', first)} → {text} ({attempt_of(entry)})"
                self.tags[f"drift/{key}"] = drift[-MAX_TAG_LENGTH:]
            self._newest[key] = text


def mlflow_key(name: str) -> str:
    """A name as MLflow takes it for a metric, param or tag: one that it refuses would hold up all others."""
    parts = re.sub(r"[^\w\-./: ]+", "_", name)[:MAX_KEY_LENGTH].split("/")
    return "/".join(part for part in parts if part.strip(". ")) or "_"


def flat_params(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; lists of plain values stay one value, others are numbered: `datasets.0.path`."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            value = {str(index): item for index, item in enumerate(value)}
        if isinstance(value, Mapping):
            flat |= flat_params(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
