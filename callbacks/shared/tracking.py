"""The MLflow run of a regrow run: what identifies it, and how it is found or created. MLflow is imported where it is used."""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from callbacks.shared.interpreter import uncollected

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRACKED_RUN_ENV = "REGROW_TRACKED_RUN"
"""Environment variable: the tracked run as JSON."""
RUN_UUID_TAG = "regrow.run_uuid"


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
        with uncollected():
            from mlflow import MlflowClient

        client = MlflowClient(self.tracking_uri)
        experiment = client.get_experiment_by_name(self.experiment)
        experiment_id = (
            experiment.experiment_id
            if experiment
            else client.create_experiment(self.experiment, artifact_location=self._artifact_location())
        )
        tags, started_ms = {RUN_UUID_TAG: self.run_uuid}, int(1000 * self.submitted_at)
        return client, found_or_created(client, experiment_id, RUN_UUID_TAG, tags, self.run_name, started_ms)

    def _artifact_location(self) -> str | None:
        """Beside an SQLite database, where MLflow would take the working directory; None: as the server has it."""
        database = re.fullmatch(r"sqlite:///(/.+)", self.tracking_uri or "")
        return (Path(database[1]).parent / "mlartifacts").as_uri() if database else None


def found_or_created(
    client: "MlflowClient", experiment_id: str, key: str, tags: dict[str, str], name: str, started_ms: int | None = None
) -> str:
    """The id of the MLflow run whose tag `key` is as in `tags`.

    Two, where a server has carried out what it did not answer, or two processes came at once: everybody takes the same.
    """
    query = f"tags.`{key}` = '{tags[key]}'"
    if found := client.search_runs([experiment_id], query):
        return str(min(run.info.run_id for run in found))
    run_id: str = client.create_run(experiment_id, started_ms, tags, name).info.run_id
    twins = client.search_runs([experiment_id], query)
    first = str(min([run_id, *(run.info.run_id for run in twins)]))
    if first != run_id:
        client.delete_run(run_id)
    return first
