"""One regrow run is one MLflow run, on a real tracking database."""

from pathlib import Path

from callbacks.shared.tracking import RUN_UUID_TAG, TrackedRun


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
