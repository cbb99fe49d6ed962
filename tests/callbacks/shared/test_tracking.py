"""One regrow run is one MLflow run, on a real tracking database."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from world import REPO_ROOT

from callbacks.shared.journal import JOURNAL_ENV
from callbacks.shared.mlflow_process import EXIT_BEHIND
from callbacks.shared.tracking import RUN_UUID_TAG, TRACKED_RUN_ENV, ExperimentDeleted, TrackedRun, is_refusal


def test_run_is_created_once_and_found_again(tmp_path: Path) -> None:
    run = TrackedRun(f"sqlite:///{tmp_path}/mlflow.db", "experiment", "uuid-1", "one", submitted_at=1000.5)
    client, run_id = run.attach()
    assert run.attach()[1] == run_id
    found = client.get_run(run_id)
    assert found.info.start_time == 1_000_500
    assert found.info.run_name == "one"
    assert found.data.tags[RUN_UUID_TAG] == "uuid-1"
    assert TrackedRun(**{**run.__dict__, "run_uuid": "uuid-2"}).attach()[1] != run_id
    tags = {RUN_UUID_TAG: "uuid-1"}
    twin = client.create_run(found.info.experiment_id, tags=tags).info.run_id  # by a server that did not answer in time
    assert run.attach()[1] == min(run_id, twin)


def test_deleted_experiment_is_told_and_not_waited_for(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    """An hour is not over when this test ends."""
    run = TrackedRun(f"sqlite:///{tmp_path}/mlflow.db", "experiment", "uuid-1", "one", submitted_at=1000.5)
    client = MlflowClient(run.tracking_uri)
    client.delete_experiment(client.create_experiment("experiment"))
    with pytest.raises(ExperimentDeleted, match="mlflow experiments restore --experiment-id 1 brings it back"):
        run.attach()
    environment = clean_environment | {JOURNAL_ENV: str(tmp_path / "train-1-0"), TRACKED_RUN_ENV: run.to_json()}
    command = [sys.executable, "-m", "callbacks.shared.mlflow_sync", "3600"]
    done = subprocess.run(command, env=environment, cwd=REPO_ROOT, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == EXIT_BEHIND


@pytest.mark.parametrize("uri", ["localhost:5000", "http://h:50OO", "http://a b:5000", "http://[::1", "foo://x"])
def test_what_is_no_uri_is_refused(uri: str) -> None:
    with pytest.raises(Exception) as raised:
        TrackedRun(uri, "experiment", "uuid-1", "one", submitted_at=1000.5).attach()
    assert is_refusal(raised.value)


def test_server_that_is_away_has_refused_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Exception) as raised:
        TrackedRun("http://127.0.0.1:9", "experiment", "uuid-1", "one", submitted_at=1000.5).attach()
    assert not is_refusal(raised.value)
