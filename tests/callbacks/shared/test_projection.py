"""What stands in MLflow follows from the journal: each step once, the first attempt's params, drift in tags, the status."""

import math
from pathlib import Path
from typing import Any

import entries
import pytest
from mlflow.utils.validation import _validate_metric_name, _validate_tag_name

from callbacks.shared.journal import Entry, metric_rows
from callbacks.shared.projection import ArtifactFile, PointId, Projection, flat_params, mlflow_key


def said(event: str, time: float = 1.0, attempt: str = "train-1-0", **fields: Any) -> Entry:
    return entries.entry(time, event, f"{attempt}-rank0", **fields)


def projection(*entries: Entry) -> Projection:
    found = Projection()
    found.add(entries)
    return found


def test_step_that_was_done_again_is_one_point() -> None:
    found = projection(
        said("metrics", 1.0, step=3, values={"loss": 0.5}),
        said("metrics", 9.0, "train-1-1", step=3, values={"loss": 0.5, "eval_loss": 0.7}),
    )
    assert found.points == {PointId("loss", 3, None): (1.0, 0.5), PointId("eval_loss", 3, None): (9.0, 0.7)}


def test_of_a_step_that_was_done_again_with_another_value_the_newest_counts() -> None:
    """As in the report, which reads the same journal."""
    journal = [
        said("metrics", 1.0, step=3, values={"loss": 0.5, "nan": math.nan}),
        said("metrics", 9.0, "train-1-1", step=3, values={"loss": 0.4, "nan": math.nan}),
        said("metrics", 12.0, "train-1-2", step=3, values={"loss": 0.4, "nan": math.nan}),
    ]
    found = projection(*journal)
    losses = {each.time: point for each, point in found.points.items() if each.key == "loss"}
    assert losses == {None: (1.0, 0.5), 9.0: (9.0, 0.4)}
    assert len(found.points) == 3
    assert metric_rows(journal)[3]["loss"] == 0.4


def test_summary_that_is_made_anew_is_another_point() -> None:
    summaries = [said("summary", time, step=3, values={"goodput": time}) for time in (1.0, 2.0)]
    assert len(projection(*summaries).points) == 2


def test_first_attempts_params_stand_and_what_differs_later_is_drift() -> None:
    found = projection(
        *(
            said(event, attempt=f"train-1-{attempt}", values={key: value})
            for attempt, value in enumerate(("a", "b", "b", "a"))
            for event, key in (("params", "lr"), ("environment", "git.commit"))
        )
    )
    assert found.params == {"lr": "a"}
    assert found.tags == {
        "git.commit": "a",
        "drift/lr": "a → b (train-1-1) → a (train-1-3)",
        "drift/git.commit": "a → b (train-1-1) → a (train-1-3)",
    }


@pytest.mark.parametrize(
    ("journal", "status"),
    [
        ([], "RUNNING"),
        ([said("stage_started")], "RUNNING"),
        ([said("run_ended", status="FAILED")], "FAILED"),
        ([said("run_ended", status="FAILED"), said("stage_started")], "RUNNING"),
        ([said("cancel_requested")], "KILLED"),
        ([said("cancel_requested"), said("stage_started")], "KILLED"),
        ([said("cancel_requested"), said("submitted", successor_of="4")], "KILLED"),
        ([said("cancel_requested"), said("submitted"), said("stage_started")], "RUNNING"),
    ],
)
def test_status_is_that_of_the_pipeline(journal: list[Entry], status: str) -> None:
    assert projection(*journal).status == status


def test_artifact_is_known_once_and_a_dataset_by_its_role() -> None:
    report = {"path": "/run/report/metrics.md", "folder": "report"}
    dataset = {"role": "train", "path": "/p/train.json", "sha256": "ab", "records": 3}
    found = projection(said("artifact", **report), said("artifact", 2.0, **report), said("dataset", **dataset))
    assert found.artifacts == {ArtifactFile(Path("/run/report/metrics.md"), "report"): 2.0}
    assert (found.datasets["train"].records, found.tags) == (3, {"data.sha256.train": "ab"})


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("loss", "loss"),
        ("a (GiB)", "a _GiB_"),
        ("/a//b/", "a/b"),
        ("日本 x", "日本 x"),
        ("%", "_"),
        ("", "_"),
        ("../a/./b", "a/b"),
        ("a/" + 300 * "x", "a/" + 248 * "x"),
    ],
)
def test_key_is_one_that_mlflow_takes(name: str, key: str) -> None:
    assert mlflow_key(name) == key
    _validate_metric_name(key)
    _validate_tag_name(key)


def test_params_are_dotted_and_lists_of_mappings_numbered() -> None:
    config = {"a": {"b": 1}, "list": ["x", "y"], "datasets": [{"path": "p", "type": {"f": 2}}], "none": None}
    assert flat_params(config) == {
        "a.b": 1,
        "list": ["x", "y"],
        "datasets.0.path": "p",
        "datasets.0.type.f": 2,
        "none": None,
    }
