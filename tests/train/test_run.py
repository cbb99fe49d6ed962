"""A whole run on this machine, through the real Axolotl: what it leaves, that it repeats bit for bit, and how it fails."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from world import REGROW, REPO_ROOT, World

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from callbacks.shared.manifest import torn_reason
from callbacks.shared.tracking import RUN_UUID_TAG
from jobs.evaluation.results import evaluation_results
from jobs.history.time_spent import attempt_times
from jobs.spec.paths import RunPaths
from jobs.spec.run_spec import RunSpec
from jobs.tracking.posting import EVALUATION_TAG, post_results

SCORES = {"gen_json_parse_rate", "gen_offender_presence_f1", "gen_offender_name_set_f1", "gen_keyword_rule_presence_f1"}


@pytest.fixture(scope="module")
def run(world: World) -> RunPaths:
    """A finished run named `one`; what it printed stands in `printed.txt` of its folder."""
    done = world.submit("one")
    assert done.returncode == 0, done.stdout + done.stderr
    paths = RunPaths(world.runs_root / "one")
    (paths.run_dir / "printed.txt").write_text(done.stdout, encoding="utf-8")
    return paths


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
    assert (found["records"], sum(found["presence"].values())) == (12, 12)
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
            pid for pid in _processes_of(world.runs_root / "halved") if _runs_module(pid, "jobs.evaluation.generate")
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


def _runs_module(pid: int, module: str) -> bool:
    return module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


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
    done = world.submit("again", "no_such_step=1", "max_steps=1")
    assert done.returncode == 2  # refused at the unknown key, before anything is touched
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


@pytest.fixture
def submission(world: World) -> Iterator[subprocess.Popen[str]]:
    flags = [flag for setting in [*world.settings, "max_steps=100000"] for flag in ("--set", setting)]
    config = str(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml")
    command = [str(REGROW), "submit", config, "--name", "ended", *flags]
    with subprocess.Popen(command, env=world.environment, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_ended_submission_leaves_no_process(world: World, run: RunPaths, submission: subprocess.Popen[str]) -> None:
    assert submission.stdout is not None
    for line in submission.stdout:
        if "step 0:" in line:  # the rank is up and training
            break
    assert _processes_of(world.runs_root / "ended")
    submission.send_signal(signal.SIGTERM)
    assert submission.wait(timeout=30) == 128 + signal.SIGTERM
    for pid in _processes_of(world.runs_root / "ended"):
        _wait_for_end(pid)


def test_ctrl_c_loses_no_step_and_resume_goes_on(world: World, run: RunPaths) -> None:
    paths, code, printed = _interrupted(world, "interrupted", is_read=True)
    assert code == 75, printed
    (stopped,) = [entry for entry in read_journal(paths.journal) if isinstance(entry, events.Stopped)]
    assert "train is not finished\nhint: `regrow resume" in printed
    assert f"` goes on from step {stopped['step']}\n" in printed
    assert "cancelled" in world.regrow("status", "interrupted", "--set", f"runs_root={world.runs_root}").stdout
    done = world.regrow("resume", "interrupted", "--set", f"runs_root={world.runs_root}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _losses(paths) == list(range(1, 401))
    assert [e.step for e in read_journal(paths.journal) if isinstance(e, events.TrainingBegan)] == [0, stopped.step]


def test_ctrl_c_saves_also_where_nobody_reads_what_is_printed(world: World, run: RunPaths) -> None:
    paths, _, _ = _interrupted(
        world, "unread", is_read=False
    )  # as `regrow submit ... | tee log`: Ctrl-C ends tee as well
    (stopped,) = [entry for entry in read_journal(paths.journal) if isinstance(entry, events.Stopped)]
    assert stopped.step == _losses(paths)[-1]
    assert torn_reason(paths.checkpoints / f"checkpoint-{stopped['step']}") == ""


def test_ctrl_c_twice_ends_what_does_not_leave(world: World, run: RunPaths) -> None:
    with _training(world, "stubborn") as (paths, terminal):
        (rank,) = [pid for pid in _processes_of(paths.run_dir) if b"callbacks.rank" in _words(pid)]
        os.kill(rank, signal.SIGSTOP)
        os.killpg(terminal.pid, signal.SIGINT)
        while not any(isinstance(entry, events.CancelRequested) for entry in read_journal(paths.journal)):
            assert terminal.poll() is None
            time.sleep(0.05)
        os.killpg(terminal.pid, signal.SIGINT)
        printed, _ = terminal.communicate(timeout=60)
        assert terminal.returncode == 75, printed
        assert "train is not finished\nhint: `regrow resume" in printed
        assert "` goes on\n" in printed
    assert "cancelled" in world.regrow("status", "stubborn", "--set", f"runs_root={world.runs_root}").stdout


def _interrupted(world: World, name: str, is_read: bool) -> tuple[RunPaths, int, str]:
    """Submit, and press Ctrl-C in the middle of the training; the exit code, and what was printed where somebody reads that."""
    with _training(world, name) as (paths, terminal):
        assert terminal.stdout is not None
        if not is_read:
            terminal.stdout.close()
        os.killpg(terminal.pid, signal.SIGINT)  # as a terminal does: to every process that it has in the foreground
        printed = terminal.stdout.read() if is_read else ""
        terminal.wait(timeout=60)
    return paths, terminal.returncode, printed


@contextmanager
def _training(world: World, name: str) -> Iterator[tuple[RunPaths, "subprocess.Popen[str]"]]:
    """A submission in a terminal's foreground, in the middle of its training; all that it has started has to end."""
    paths, steps = RunPaths(world.runs_root / name), ("max_steps=400", "eval_steps=400", "save_steps=400")
    settings = [*world.settings, *steps, "regrow.generation_eval=null"]
    flags = [flag for setting in settings for flag in ("--set", setting)]
    config = str(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml")
    command = [str(REGROW), "submit", config, "--no-check", "--name", name, *flags]
    with subprocess.Popen(
        command, env=world.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as terminal:
        while len(_losses(paths)) < 20:
            assert terminal.poll() is None
            time.sleep(0.05)
        yield paths, terminal
    for pid in _processes_of(paths.run_dir):
        _wait_for_end(pid)


def _losses(paths: RunPaths) -> list[int]:
    return [e.step for e in read_journal(paths.journal) if isinstance(e, events.Metrics) and "loss" in e.values]


def _processes_of(run_dir: Path) -> list[int]:
    """Processes that have the run folder on their command line, other than the submission."""
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if str(run_dir).encode() in _words(pid)]


def _words(pid: int) -> bytes:
    """The command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _wait_for_end(pid: int) -> None:
    """Raises TimeoutExpired when the process is still there after 30 s."""
    tail = ["tail", f"--pid={pid}", "-f", os.devnull]
    subprocess.run(tail, check=True, timeout=30)
