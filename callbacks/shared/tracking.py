"""The MLflow run of a regrow run: what identifies it, and how to find or create it. MLflow is imported only when needed."""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from callbacks.shared.process.interpreter import uncollected

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRACKED_RUN_ENV = "REGROW_TRACKED_RUN"
"""Environment variable: the tracked run as JSON."""
RUN_UUID_TAG = "regrow.run_uuid"
REFUSALS = frozenset(
    {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED", "BAD_REQUEST", "INVALID_STATE"}
)
"""Error codes of MLflow that an outage does not cause."""


class ExperimentDeleted(Exception):
    """The run's experiment is in MLflow's trash, where no run can be created."""

    error_code = "INVALID_STATE"


def is_refusal(error: Exception) -> bool:
    """Whether MLflow will refuse the same request again: a person has to change something first."""
    is_no_uri = "Invalid url" in str(error) or (
        isinstance(error, ValueError) and not isinstance(error, json.JSONDecodeError)
    )
    return getattr(error, "error_code", None) in REFUSALS or is_no_uri


@dataclass(frozen=True)
class TrackedRun:
    """What identifies a run in MLflow before MLflow has an id for it."""

    tracking_uri: str | None
    """None: MLflow's own default (MLFLOW_TRACKING_URI, or a file in the working directory)."""
    experiment: str
    run_uuid: str
    run_name: str
    submitted_at: float
    """Seconds since the epoch. The MLflow run starts at this time, so that it shows the time in the queue."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Self | None:
        """The run for which the job started this process; None: a person started it."""
        text = os.environ.get(TRACKED_RUN_ENV)
        return cls(**json.loads(text)) if text else None

    def attach(self) -> tuple["MlflowClient", str]:
        """A client, and the id of the MLflow run with this run's uuid. If there is none yet, it is created.

        Raises:
            ExperimentDeleted: somebody has deleted the run's experiment.
            Exception: any error of MLflow.
        """
        with uncollected():
            from mlflow import MlflowClient

        client = MlflowClient(self.tracking_uri)
        experiment = client.get_experiment_by_name(self.experiment)
        if experiment and experiment.lifecycle_stage == "deleted":
            restore = f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
            raise ExperimentDeleted(f"the experiment {self.experiment} is deleted; {restore} brings it back")
        experiment_id = (
            experiment.experiment_id
            if experiment
            else client.create_experiment(self.experiment, artifact_location=self._artifact_location())
        )
        tags, started_ms = {RUN_UUID_TAG: self.run_uuid}, int(1000 * self.submitted_at)
        return client, found_or_created(client, experiment_id, RUN_UUID_TAG, tags, self.run_name, started_ms)

    def _artifact_location(self) -> str | None:
        """The folder beside an SQLite database, instead of MLflow's default, the working directory; None: the server's choice."""
        database = re.fullmatch(r"sqlite:///(/.+)", self.tracking_uri or "")
        return (Path(database[1]).parent / "mlartifacts").as_uri() if database else None


def found_or_created(
    client: "MlflowClient", experiment_id: str, key: str, tags: dict[str, str], name: str, started_ms: int | None = None
) -> str:
    """The id of the MLflow run whose tag `key` is as in `tags`. If there is none, it is created.

    There can be two, if a server has created a run without an answer, or if two processes create one at the same time.
    Then all processes choose the same one.
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
