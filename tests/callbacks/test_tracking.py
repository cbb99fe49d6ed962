"""One regrow run is one MLflow run, on a real tracking database; a tracking server that is not there costs nothing."""

import socket
import time
from pathlib import Path

import pytest

from callbacks.journal import Journal, read_journal
from callbacks.tracking import RUN_UUID_TAG, MlflowFeed, TrackedRun, flat_params


@pytest.fixture
def run(tmp_path: Path) -> TrackedRun:
    return TrackedRun(f"sqlite:///{tmp_path}/mlflow.db", "experiment", "uuid-1", "one", submitted_at=1000.5)


def test_run_is_created_once_and_found_again(run: TrackedRun) -> None:
    client, run_id = run.attach()
    assert run.attach()[1] == run_id
    found = client.get_run(run_id)
    assert found.info.start_time == 1_000_500
    assert found.info.run_name == "one"
    assert found.data.tags[RUN_UUID_TAG] == "uuid-1"
    assert TrackedRun(**{**run.__dict__, "run_uuid": "uuid-2"}).attach()[1] != run_id


def test_feed_posts_everything_under_the_journals_time(run: TrackedRun, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal" / "x.jsonl")
    (tmp_path / "file.txt").write_text("content")
    feed = MlflowFeed(run, journal)
    entry = journal.metrics(3, {"loss": 0.5, "gen_json_parse_rate": 1.0})
    feed.metrics(entry)
    feed.metrics(entry)  # a replay is the same row
    feed.params({"lora_r": 8, "datasets.0.path": "x"})
    feed.params({"lora_r": 16})  # a changed param neither raises nor overwrites
    feed.tags({"tag": "value"})
    feed.artifact(tmp_path / "file.txt", "folder")
    feed.close()
    client, run_id = run.attach()
    (point,) = client.get_metric_history(run_id, "loss")
    assert (point.step, point.value, point.timestamp) == (3, 0.5, int(1000 * entry["time"]))
    assert client.get_run(run_id).data.params == {"lora_r": "8", "datasets.0.path": "x"}
    assert client.get_run(run_id).data.tags["tag"] == "value"
    assert [artifact.path for artifact in client.list_artifacts(run_id, "folder")] == ["folder/file.txt"]
    assert not [entry for entry in read_journal(tmp_path / "journal") if entry["event"] == "mlflow_failed"]


def test_unreachable_server_is_said_in_the_journal_and_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but not listening
        uri = f"http://127.0.0.1:{unused.getsockname()[1]}"
        feed = MlflowFeed(TrackedRun(uri, "experiment", "uuid", "one", 0.0), Journal(tmp_path / "x.jsonl"))
        started = time.monotonic()
        feed.metrics({"time": 0.0, "step": 1, "values": {"loss": 1.0}})
        assert time.monotonic() - started < 0.1
        feed.close()
    assert [entry["event"] for entry in read_journal(tmp_path)] == ["mlflow_failed"]


def test_params_are_dotted_and_lists_of_mappings_numbered() -> None:
    config = {"a": {"b": 1}, "list": ["x", "y"], "datasets": [{"path": "p", "type": {"f": 2}}], "none": None}
    assert flat_params(config) == {
        "a.b": 1,
        "list": ["x", "y"],
        "datasets.0.path": "p",
        "datasets.0.type.f": 2,
        "none": None,
    }
