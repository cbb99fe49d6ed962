"""A whole run on this machine with the real Axolotl: which files it leaves, that it repeats bit for bit, and how it fails."""

import json
import os
import shutil
from pathlib import Path

from world import World

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from callbacks.shared.manifest import torn_reason
from callbacks.shared.tracking import RUN_UUID_TAG
from jobs.history.time_spent import attempt_times
from jobs.spec.paths import RunPaths
from jobs.spec.run_spec import RunSpec

SCORES = {"gen_json_parse_rate", "gen_offender_presence_f1", "gen_offender_name_set_f1", "gen_keyword_rule_presence_f1"}


def test_run_goes_through_all_stages(run: RunPaths) -> None:
    entries = read_journal(run.journal)
    finished = [entry.stage for entry in entries if isinstance(entry, events.StageFinished)]
    assert finished == ["prepare", "train", "evaluate", "report"]
    assert [entry.step for entry in entries if isinstance(entry, events.Finished)] == [6]
    assert not [
        entry for entry in entries if isinstance(entry, events.MlflowFailed | events.Error | events.StageFailed)
    ]


def test_run_leaves_valid_checkpoints_scores_and_predictions(run: RunPaths) -> None:
    for step in (3, 6):
        assert torn_reason(run.checkpoints / f"checkpoint-{step}") == ""
    for step in (0, 3, 6):
        assert set(json.loads((run.checkpoints / f"gen_metrics_step{step}.json").read_text())) > SCORES
        assert len((run.checkpoints / f"gen_predictions_step{step}.jsonl").read_text().splitlines()) == 12
    assert len(run.evaluation("final").predictions.read_text().splitlines()) == 12
    assert {path.stat().st_mode & 0o077 for path in (run.run_dir, run.slurm, run.journal)} == {0}


def test_verify_finds_nothing_wrong_in_a_run_and_a_wrong_byte_in_its_copy(
    run: RunPaths, world: World, tmp_path: Path
) -> None:
    done = world.regrow("verify", str(run.run_dir))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "nothing is wrong")
    assert "ledger: 6 steps, 1 rank" in done.stdout
    assert "The ledger has every step" in run.report_page.read_text(encoding="utf-8")

    copy = RunPaths(shutil.copytree(run.run_dir, tmp_path / "copy"))
    file = copy.checkpoints / "checkpoint-3" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    done = world.regrow("verify", str(copy.run_dir), "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["problems"] == ["checkpoint-3: adapter_model.safetensors has other bytes than were saved"]
    assert [each["name"] for each in found["checkpoints"]] == ["checkpoint-6", "checkpoint-3"]


def test_run_says_where_to_look_and_shows_the_scores_step_by_step(run: RunPaths) -> None:
    printed = (run.run_dir / "printed.txt").read_text(encoding="utf-8")
    for text in (
        str(run.report_page),
        str(run.evaluations),
        str(run.checkpoints),
        "mlflow ui",
        "step 6: parse rate",
        "name-set F1",
    ):
        assert text in printed
    report = run.report.read_text(encoding="utf-8")
    table, _, evaluation = report.partition("## Evaluation of 12 records")
    steps = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert steps == ["step", ":---", "0", "3", "6", "all records"]
    assert "gen_offender_presence_f1" in evaluation
    assert "| expected somebody |" in evaluation
    assert "## Where the time went" in report
    assert "0 steps were done again" in report


def test_run_is_one_finished_mlflow_run_with_every_point_once(world: World, run: RunPaths) -> None:
    from mlflow import MlflowClient

    spec = RunSpec.load(run.run_dir)
    client = MlflowClient(world.tracking_uri)
    experiment = client.get_experiment_by_name("regrow-demo")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id], f"tags.`{RUN_UUID_TAG}` = '{spec.run_uuid}'")
    run_id = found.info.run_id
    assert (found.info.status, found.info.run_name) == ("FINISHED", "one")
    assert found.info.start_time == int(1000 * spec.submitted_at)
    assert found.data.params["lora_target_parameters"] == "['mlp.experts.gate_up_proj', 'mlp.experts.down_proj']"
    assert len(found.data.params) < 100
    assert {"git.commit", "version.axolotl", "version.torch", "data.sha256.train"} <= set(found.data.tags)
    assert [point.step for point in client.get_metric_history(run_id, "loss")] == [1, 2, 3, 4, 5, 6]
    for name in SCORES:
        assert [point.step for point in client.get_metric_history(run_id, name)] == [0, 3, 6]
        assert len(client.get_metric_history(run_id, f"evaluate/{name}")) == 1
    assert 0 < found.data.metrics["goodput"] < 1
    assert found.data.metrics["time/starting_seconds"] > 0
    assert found.data.metrics["steps_lost"] == 0
    artifacts = {
        artifact.path
        for folder in ("config", "evaluate", "report")
        for artifact in client.list_artifacts(run_id, folder)
    }
    report = {"report/index.html", "report/metrics.md", "report/summary.md"}
    assert artifacts == {"config/axolotl.yml", "evaluate/predictions.jsonl"} | report
    assert found.data.tags["mlflow.note.content"] == run.report_summary.read_text(encoding="utf-8")
    assert {dataset.dataset.name for dataset in found.inputs.dataset_inputs} == {"train.json", "validation.json"}
    train = next(attempt for attempt in attempt_times(read_journal(run.journal)) if attempt.stage == "train")
    assert found.data.tags[f"attempt/{train.name}"] == f"{os.uname().nodename}, steps 0 to 6: finished"
    assert found.data.tags["regrow.restarts"] == found.data.tags["regrow.steps_lost"] == "0"
    assert client.get_metric_history(run_id, "system/system_memory_usage_megabytes")


def test_adapter_reaches_attention_and_experts(run: RunPaths) -> None:
    from safetensors import safe_open

    with safe_open(run.checkpoints / "adapter_model.safetensors", "pt") as adapter:
        names = set(adapter.keys())
        changed = [name for name in names if "lora_B" in name and adapter.get_tensor(name).abs().sum() > 0]
    assert {"q_proj", "k_proj", "v_proj", "o_proj", "experts"} <= {part for name in changed for part in name.split(".")}


def test_same_config_and_seed_give_the_same_adapter_and_another_seed_another(world: World, run: RunPaths) -> None:
    for name, settings, is_same in (("same", [], True), ("other", ["seed=7"], False)):
        done = world.submit(name, "regrow.generation_eval=null", *settings)
        assert done.returncode == 0, done.stdout + done.stderr
        adapter = RunPaths(world.runs_root / name).checkpoints / "adapter_model.safetensors"
        assert (adapter.read_bytes() == (run.checkpoints / adapter.name).read_bytes()) is is_same


def test_second_run_of_the_same_content_prepares_nothing_anew(world: World, run: RunPaths) -> None:
    spec = RunSpec.load(run.run_dir)
    assert spec.prepared_paths is not None
    made = spec.prepared_paths.audit.stat().st_mtime_ns
    done = world.submit("again", "adapter=no_such_adapter", "max_steps=1")
    assert done.returncode == 2  # refused because of the adapter, before anything is changed
    assert spec.prepared_paths.audit.stat().st_mtime_ns == made


def test_status_shows_the_run(world: World, run: RunPaths) -> None:
    settings = ["--set", f"runs_root={world.runs_root}"]
    shown = world.regrow("status", "one", "--json", *settings)
    (status,) = json.loads(shown.stdout)
    assert 0 < status["goodput"] < 1
    assert [attempt["stage"] for attempt in status["attempts"]] == ["prepare", "train", "evaluate", "report"]
    expected = {"name": "one", "stage": "report", "state": "finished", "step": 6, "target_step": 6, "eta_seconds": None,
                "attempt": 1, "steps_lost": 0, "message": "", "jobs": []}  # fmt: skip
    assert {key: status[key] for key in expected} == expected
    assert "one" in world.regrow("status", *settings).stdout
    unknown = world.regrow("status", "nobody", *settings)
    assert unknown.returncode == 2
    assert "no such run" in unknown.stderr


def test_plan_with_the_measured_times_is_what_the_run_took(world: World, run: RunPaths) -> None:
    done = world.regrow("plan", "one", "--set", f"runs_root={world.runs_root}", "--json")
    assert done.returncode == 0, done.stderr
    planned = json.loads(done.stdout)
    (took,) = (each.spent.allocated for each in attempt_times(read_journal(run.journal)) if each.stage == "train")
    assert planned["costs"]["steps"] == 6
    assert abs(planned["allocated"]["median"] / took - 1) < 0.1
    typed = world.regrow(
        "plan", "one", "--set", f"runs_root={world.runs_root}", "--steps", "4000", "--preempt-every", "2h"
    )
    assert "4,000 steps" in typed.stdout and "measured in 1 attempt\n" in typed.stdout


def test_used_run_folder_is_refused_and_left_alone(world: World, run: RunPaths) -> None:
    before = run.run_json.read_bytes()
    done = world.submit("one")
    assert done.returncode == 2
    assert "already exists" in done.stderr
    assert run.run_json.read_bytes() == before


def test_rank_that_dies_fails_the_run_with_a_message(world: World, run: RunPaths, tmp_path: Path) -> None:
    (tmp_path / "deadly.py").write_text(
        "import os, signal\n"
        "from axolotl.integrations.base import BasePlugin\n"
        "class Deadly(BasePlugin):\n"
        "    def post_model_load(self, cfg, model):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    plugins = "plugins=[callbacks.plugin.RegrowPlugin, deadly.Deadly]"
    done = world.submit("dies", plugins, environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1, done.stdout + done.stderr
    assert "train failed: its process was killed by SIGKILL (out of memory is the usual reason)" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    entries = read_journal(RunPaths(world.runs_root / "dies").journal)
    assert [entry.stage for entry in entries if isinstance(entry, events.StageStarted)] == [
        "prepare",
        "train",
        "report",
    ]
    assert [entry.status for entry in entries if isinstance(entry, events.RunEnded)] == ["FAILED"]
