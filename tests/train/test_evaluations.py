"""`regrow evaluate`, `compare` and `report` on a finished run: the real models, the real MLflow."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from processes_of_runs import processes_of, runs_module
from world import REGROW, World

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from jobs.evaluation.results import evaluation_results
from jobs.spec.paths import RunPaths
from jobs.spec.run_spec import RunSpec
from jobs.tracking.posting import EVALUATION_TAG, post_results


@pytest.fixture(scope="module")
def evaluation(world: World, run: RunPaths) -> RunPaths:
    """The run's newest checkpoint and its base model, evaluated on the run's own validation records."""
    done = world.regrow("evaluate", "one", "--checkpoints", "1", "--baseline", str(world.folder / "model"), "--shards", "1",
                        "--data", str(world.folder / "hawks_val.json"), "--name", "both", *_where(world))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for text in ("one-checkpoint-6, shard 1 of 1", "12 records, with 95 % intervals", "gen_json_parse_rate"):
        assert text in done.stdout
    return RunPaths(world.runs_root / "both")


def _where(world: World) -> list[str]:
    return ["--set", f"runs_root={world.runs_root}", "--set", f"tracking_uri={world.tracking_uri}"]


def test_evaluation_of_the_last_checkpoint_says_what_the_pipeline_said(run: RunPaths, evaluation: RunPaths) -> None:
    assert (
        evaluation.evaluation("one-checkpoint-6").predictions.read_bytes()
        == run.evaluation("final").predictions.read_bytes()
    )
    report = evaluation.report.read_text(encoding="utf-8")
    assert "### one-checkpoint-6 against model, 12 records" in report
    assert "McNemar's exact p" in report


def test_models_compare_and_an_evaluation_of_several_asks_which(world: World, evaluation: RunPaths) -> None:
    asked = world.regrow("compare", "one", "both", *_where(world))
    assert (asked.returncode, "both/one-checkpoint-6, both/model" in asked.stderr) == (2, True)
    done = world.regrow("compare", "both/one-checkpoint-6", "both/model", "--json", *_where(world))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["records"], sum(found["right"].values())) == (12, 12)
    assert found["a"]["training"]["steps_per_second"] > 0
    assert found["a"]["generation"]["tokens_per_second"] > 0
    verdicts = {each["criterion"]: each["verdict"] for each in found["criteria"]}
    assert verdicts["training completes on 4 GPUs"] == "not measured"
    assert "| criterion |" in world.regrow("compare", "one", "both/model", *_where(world)).stdout


def test_resume_of_an_evaluation_runs_what_is_missing_alone(world: World, run: RunPaths) -> None:
    typed = ["evaluate", "one", str(world.folder / "model"), "--data", str(world.folder / "hawks_val.json"), "--shards", "1",
             "--name", "halved", "--set", "regrow.evaluate.token_budget=1", *_where(world)]  # fmt: skip
    with subprocess.Popen([str(REGROW), *typed], cwd=world.folder, env=world.environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as submission:  # fmt: skip
        assert submission.stdout is not None
        for line in submission.stdout:
            if line.rstrip().endswith("model, shard 1 of 1: 12 records"):
                break
        (generator,) = [
            pid for pid in processes_of(world.runs_root / "halved") if runs_module(pid, "jobs.evaluation.generate")
        ]
        os.kill(generator, signal.SIGKILL)
        printed = submission.stdout.read()
    assert submission.returncode == 1, printed
    assert "its process was killed by SIGKILL" in printed
    paths = RunPaths(world.runs_root / "halved")
    assert "model: shard-0-of-1.jsonl not finished" in paths.report.read_text(encoding="utf-8")
    done = world.regrow("resume", "halved", *_where(world))
    assert done.returncode == 0, done.stdout + done.stderr
    started = [e for e in read_journal(paths.journal) if isinstance(e, events.StageStarted)]
    assert [(e.stage, e.part) for e in started] == [
        ("evaluate", 0), ("evaluate", 1), ("report", 0), ("evaluate", 1), ("report", 0)
    ]  # fmt: skip
    assert "Not evaluated" not in paths.report.read_text(encoding="utf-8")
    assert len(paths.evaluation("model").predictions.read_text(encoding="utf-8").splitlines()) == 12
    again = world.regrow("resume", "halved", *_where(world))
    assert (again.returncode, "there is nothing to resume" in again.stderr) == (2, True)


def test_report_that_is_made_anew_posts_nothing_twice(world: World, evaluation: RunPaths) -> None:
    from mlflow import MlflowClient

    spec, client = RunSpec.load(evaluation.run_dir), MlflowClient(world.tracking_uri)
    experiment = client.get_experiment_by_name("regrow-demo")
    query = f"tags.`{EVALUATION_TAG}` LIKE '{spec.run_uuid}/%'"

    def posted() -> dict[str, tuple[str, int, int, str]]:
        runs = client.search_runs([experiment.experiment_id], query)
        return {
            run.info.run_name: (
                run.data.tags["mlflow.parentRunId"],
                len(client.get_metric_history(run.info.run_id, "evaluate/gen_json_parse_rate/low")),
                len(
                    json.loads(Path(client.download_artifacts(run.info.run_id, "predictions.json")).read_text())["data"]
                ),
                run.info.status,
            )
            for run in runs
        }

    before = posted()
    assert sorted(before) == ["both/model", "both/one-checkpoint-6"]
    assert {each[1:] for each in before.values()} == {(1, 12, "FINISHED")}
    assert before["both/model"][0] != before["both/one-checkpoint-6"][0]
    results = evaluation_results(spec)
    assert not results.missing
    post_results(spec, results.models)
    assert posted() == before
