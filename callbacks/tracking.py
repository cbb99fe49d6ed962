"""The MLflow run of a regrow run: found or created, and fed by a background thread. MLflow is imported in that thread."""

import json
import os
import queue
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from callbacks.journal import Entry, Journal

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRACKED_RUN_ENV = "REGROW_TRACKED_RUN"
"""Environment variable: the tracked run as JSON, for the ranks."""
RUN_UUID_TAG = "regrow.run_uuid"
MAX_PARAM_LENGTH = 6000
"""MLflow's limit for the value of a param, characters (mlflow 3, MAX_PARAM_VAL_LENGTH)."""


@dataclass(frozen=True)
class TrackedRun:
    """What identifies a run in MLflow before MLflow has an id for it."""

    tracking_uri: str | None
    """None: MLflow's own default (MLFLOW_TRACKING_URI, or a file in the working directory)."""
    experiment: str
    run_uuid: str
    run_name: str
    submitted_at: float
    """Seconds since the epoch; the MLflow run starts here, so that the time in the queue shows."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Self | None:
        """The run that the job started this process for; None: started by hand."""
        text = os.environ.get(TRACKED_RUN_ENV)
        return cls(**json.loads(text)) if text else None

    def attach(self) -> tuple["MlflowClient", str]:
        """Client and id of the MLflow run that carries this run's uuid; created if there is none yet."""
        from mlflow import MlflowClient

        client = MlflowClient(self.tracking_uri)
        experiment = client.get_experiment_by_name(self.experiment)
        experiment_id = (
            experiment.experiment_id
            if experiment
            else client.create_experiment(self.experiment, artifact_location=self._artifact_location())
        )
        found = client.search_runs([experiment_id], f"tags.`{RUN_UUID_TAG}` = '{self.run_uuid}'", max_results=1)
        if found:
            return client, found[0].info.run_id
        tags = {RUN_UUID_TAG: self.run_uuid}
        started_ms = int(1000 * self.submitted_at)
        run = client.create_run(experiment_id, start_time=started_ms, tags=tags, run_name=self.run_name)
        return client, run.info.run_id

    def _artifact_location(self) -> str | None:
        """Beside an SQLite database, where MLflow would take the working directory; None: as the server has it."""
        database = re.fullmatch(r"sqlite:///(/.+)", self.tracking_uri or "")
        return (Path(database[1]).parent / "mlartifacts").as_uri() if database else None


class MlflowFeed:
    """Carries out MLflow calls in order on a thread of its own; a failing server costs no training step.

    The journal keeps every metric; what MLflow refused is said there as `mlflow_failed`.
    """

    def __init__(self, run: TrackedRun, journal: Journal) -> None:
        self._run, self._journal = run, journal
        self._calls: queue.SimpleQueue[Callable[[MlflowClient, str], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="mlflow-feed", daemon=True)
        self._thread.start()

    def params(self, params: Mapping[str, Any]) -> None:
        self._calls.put(lambda client, run_id: _log_params(client, run_id, params))

    def tags(self, tags: Mapping[str, str]) -> None:
        self._calls.put(lambda client, run_id: _set_tags(client, run_id, tags))

    def artifact(self, path: Path, folder: str | None = None) -> None:
        self._calls.put(lambda client, run_id: client.log_artifact(run_id, str(path), folder))

    def metrics(self, entry: Entry) -> None:
        """Post a journal entry `metrics`, under the journal's own time stamp."""
        self._calls.put(lambda client, run_id: _log_metrics(client, run_id, entry))

    def call(self, call: Callable[["MlflowClient", str], None]) -> None:
        """Any other call, given the client and the run's id."""
        self._calls.put(call)

    def close(self, timeout: float = 30) -> None:
        """Wait until all calls are made, `timeout` seconds at most."""
        self._calls.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._journal.event("mlflow_failed", error=f"calls were still open after {timeout} s")

    def _work(self) -> None:
        try:
            client, run_id = self._run.attach()
            self._journal.event("mlflow_attached", run_id=run_id)
            for call in iter(self._calls.get, None):
                call(client, run_id)
        except Exception as error:  # whatever MLflow raises, training goes on: the journal has the metrics
            self._journal.event("mlflow_failed", error=f"{type(error).__name__}: {error}")


def _set_tags(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        client.set_tag(run_id, key, value)


def _log_params(client: "MlflowClient", run_id: str, params: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    logged = client.get_run(run_id).data.params
    new = [Param(key, str(value)[:MAX_PARAM_LENGTH]) for key, value in params.items() if key not in logged]
    for start in range(0, len(new), 100):  # MLflow takes 100 params a call
        client.log_batch(run_id, params=new[start : start + 100])


def _log_metrics(client: "MlflowClient", run_id: str, entry: Entry) -> None:
    from mlflow.entities import Metric

    milliseconds = int(1000 * entry["time"])
    metrics = [Metric(key, float(value), milliseconds, entry["step"]) for key, value in entry["values"].items()]
    client.log_batch(run_id, metrics=metrics)


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
