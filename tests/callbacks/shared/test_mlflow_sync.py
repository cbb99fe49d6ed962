"""A journal and its MLflow run, on a real tracking database: whatever was there before, afterwards nothing lacks or is twice."""

import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from patience import HANGS_AFTER_SECONDS

from callbacks.shared import events
from callbacks.shared.journal import JOURNAL_ENV, Journal, JournalReader, read_journal
from callbacks.shared.mlflow_process import MlflowProcess
from callbacks.shared.mlflow_sync import MlflowSync
from callbacks.shared.tracking import TRACKED_RUN_ENV, TrackedRun


@pytest.fixture
def run(tmp_path: Path) -> TrackedRun:
    return TrackedRun(f"sqlite:///{tmp_path}/mlflow.db", "experiment", "uuid-1", "one", submitted_at=1000.5)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal with something of every kind that MLflow shows."""
    found = Journal.of_writer(str(tmp_path / "journal" / "train-1-0"), "rank0")
    (tmp_path / "report.md").write_text("one")
    found.write(events.Params(values={"lora_r": "8", "datasets.0.path": "x" * 7000}))
    found.write(events.Environment(values={"version.torch": "2"}))
    found.write(events.Dataset(role="train", path="/p/train.json", sha256="ab" * 32, records=3))
    found.write(events.Artifact(path=str(tmp_path / "report.md"), folder="report"))
    for step in range(1, 4):
        found.write(events.Metrics(step=step, values={"loss": 1 / step, "odd name (%)": math.nan}))
    found.write(events.Summary(step=3, values={"goodput": 0.9}))
    found.write(events.RunEnded(status="FINISHED"))
    return found


def new_sync(run: TrackedRun, journal: Journal) -> MlflowSync:
    return MlflowSync(
        run, JournalReader(journal.path.parent), journal, lambda entries: {"tag": f"{len(entries)} entries"}
    )


def test_everything_is_posted_once_under_the_journals_time(run: TrackedRun, journal: Journal) -> None:
    sync = new_sync(run, journal)
    assert sync.post() == Counter(points=7, params=2, tags=3, datasets=1, artifacts=1)
    assert +sync.post() == Counter()
    client, run_id = run.attach()
    found = client.get_run(run_id)
    (entry,) = [e for e in read_journal(journal.path.parent) if isinstance(e, events.Metrics) and e.step == 2]
    points = client.get_metric_history(run_id, "loss")
    assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert points[1].timestamp == int(1000 * entry.time)
    assert math.isnan(client.get_metric_history(run_id, "odd name _")[0].value)
    assert (found.data.params["lora_r"], len(found.data.params["datasets.0.path"])) == ("8", 6000)
    assert found.data.tags["version.torch"] == "2"
    (dataset,) = found.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.profile) == ("train.json", '{"num_rows": 3}')
    assert [tag.value for tag in dataset.tags] == ["train"]
    assert (found.info.status, found.info.end_time > found.info.start_time) == ("FINISHED", True)
    assert [artifact.path for artifact in client.list_artifacts(run_id, "report")] == ["report/report.md"]


def test_what_another_process_has_posted_is_not_posted_again(run: TrackedRun, journal: Journal) -> None:
    new_sync(run, journal).post()
    journal.write(events.Metrics(step=4, values={"loss": 0.1}))
    assert new_sync(run, journal).post() == Counter(points=1, tags=1)
    assert +new_sync(run, journal).post() == Counter()


def test_value_of_a_step_that_was_done_again_is_posted_once_and_is_the_last(run: TrackedRun, journal: Journal) -> None:
    new_sync(run, journal).post()
    journal.write(events.Metrics(step=3, values={"loss": 0.3}))
    for _ in range(2):
        new_sync(run, journal).post()
    client, run_id = run.attach()
    points = client.get_metric_history(run_id, "loss")
    assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 0.5), (3, 1 / 3), (3, 0.3)]
    assert client.get_run(run_id).data.metrics["loss"] == 0.3


def test_what_was_lost_on_the_way_is_posted(run: TrackedRun, journal: Journal) -> None:
    """Half a batch stands in MLflow, as after a connection that broke."""
    client, run_id = run.attach()
    first = next(entry for entry in read_journal(journal.path.parent) if isinstance(entry, events.Metrics))
    client.log_metric(run_id, "loss", 1.0, timestamp=int(1000 * first.time), step=1)
    client.log_param(run_id, "lora_r", "8")
    new_sync(run, journal).post()
    assert [point.step for point in client.get_metric_history(run_id, "loss")] == [1, 2, 3]


def test_file_that_has_changed_is_posted_again(run: TrackedRun, journal: Journal, tmp_path: Path) -> None:
    new_sync(run, journal).post()
    (tmp_path / "report.md").write_text("two")  # as long as before
    assert new_sync(run, journal).post()["artifacts"] == 1
    client, run_id = run.attach()
    assert Path(client.download_artifacts(run_id, "report/report.md")).read_text() == "two"


def test_resumed_run_is_running_again(run: TrackedRun, journal: Journal) -> None:
    new_sync(run, journal).post()
    journal.write(events.Submitted(stage="train", job_id="5"))
    new_sync(run, journal).post()
    client, run_id = run.attach()
    assert client.get_run(run_id).info.status == "RUNNING"


def test_param_that_differs_in_mlflow_is_left_alone(run: TrackedRun, journal: Journal) -> None:
    client, run_id = run.attach()
    client.log_param(run_id, "lora_r", "16")
    new_sync(run, journal).post()
    assert client.get_run(run_id).data.params["lora_r"] == "16"


def test_process_posts_the_rest_when_its_input_ends(
    run: TrackedRun, journal: Journal, clean_environment: dict[str, str]
) -> None:
    stem = str(journal.path.parent / "train-1-0")
    environment = clean_environment | {JOURNAL_ENV: stem, TRACKED_RUN_ENV: run.to_json()}
    command = [sys.executable, "-m", "callbacks.shared.mlflow_sync", str(HANGS_AFTER_SECONDS)]
    process = MlflowProcess(command, environment, subprocess.DEVNULL)
    assert process.close(2 * HANGS_AFTER_SECONDS)
    client, run_id = run.attach()
    assert [point.step for point in client.get_metric_history(run_id, "loss")] == [1, 2, 3]
    assert client.get_run(run_id).info.status == "FINISHED"
