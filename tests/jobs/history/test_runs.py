"""Many runs at once: which files `regrow status` opens for them, and how often it asks Slurm."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from many_runs import LAST_STEP, TINY, write_runs
from observed import Observed, observed

from callbacks.shared import events
from callbacks.shared.journal import Journal
from jobs.history.runs import Runs, may_go_on
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec, write_run

HEAVY = {"torch", "transformers", "axolotl", "mlflow", "datasets", "numpy", "pandas"}


def looked_at(runs_root: Path, scratch: Path, environment: dict[str, str]) -> Observed:
    seen = observed(scratch, environment, "status", "--set", f"runs_root={runs_root}")
    assert seen.stdout.count(LAST_STEP) == len(list(runs_root.iterdir()))
    return seen


def test_run_that_has_ended_costs_one_file_and_one_that_goes_on_its_own_journal(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    """Few files are read: many runs are shown soon, twice as many in twice the time. `make bench-status` measures the time."""
    ended, going_on = 15, 5
    runs_root = write_runs(tmp_path / "runs", ended + going_on, going_on)
    looked_at(runs_root, tmp_path, clean_environment)
    seen = looked_at(runs_root, tmp_path, clean_environment)
    opened = Counter(path.name for path in seen.opened_below(runs_root))
    assert opened.pop("status.json") == ended + going_on
    assert not [name for name in opened if "mlflow" in name], "what a machine did every 30 s says nothing about the run"
    assert set(opened.values()) == {going_on}, opened
    assert sum(opened.values()) <= 4 * going_on
    assert not seen.foreign_packages & HEAVY


def test_each_journal_is_read_once_however_many_runs_there_are(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    opened = {}
    for count in (10, 20):
        runs_root = write_runs(tmp_path / f"runs-{count}", count, going_on=count)
        opened[count] = looked_at(runs_root, tmp_path, clean_environment).opened_below(runs_root)
        assert len(set(opened[count])) == len(opened[count])
    assert len(opened[20]) == 2 * len(opened[10])


def test_slurm_is_asked_once_for_all_runs(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    questions = counting_slurm(tmp_path / "bin")
    environment = clean_environment | {"PATH": f"{questions.parent}:{os.environ['PATH']}"}
    runs_root, conf = tmp_path / "runs", tmp_path / "slurm.conf"
    conf.touch()  # without this file, Slurm would not be asked
    spec = load_run_spec(TINY, "dev", [f"runs_root={runs_root}", f"slurm_conf={conf}"], "first")
    for number in range(20):
        run = spec.model_copy(update={"name": f"run-{number:03}"})
        write_run(run)
        journal = Journal.of_writer(str(run.paths.journal / "login-1"), "cli")
        journal.write(events.Submitted(stage="train", job_id=str(number)))
    seen = observed(tmp_path, environment, "status", "--json", "--set", f"runs_root={runs_root}")
    assert len(json.loads(seen.stdout)) == 20
    assert Counter(questions.read_text().split()) == {"squeue": 1, "sacct": 1}


def counting_slurm(folder: Path) -> Path:
    """Make a squeue and a sacct that know no job. Return the file in which they note each call."""
    folder.mkdir()
    for name in ("squeue", "sacct"):
        (folder / name).write_text(f"#!/bin/sh\necho {name} >> {folder}/questions\n")
        (folder / name).chmod(0o755)
    return folder / "questions"


def test_ended_run_is_read_again_once_its_journal_has_grown(tmp_path: Path) -> None:
    spec = load_run_spec(TINY, "local", [f"runs_root={tmp_path}"], "one")
    write_run(spec)
    journal = Journal(spec.paths.journal / "report-4-0-stage.jsonl")
    journal.write(events.RunEnded(status="FAILED"))
    assert [Runs(tmp_path).statuses()[0].state for _ in range(2)] == ["failed", "failed"]
    assert spec.paths.status.exists()
    journal.write(events.RunEnded(status="FINISHED"))
    assert Runs(tmp_path).statuses()[0].state == "finished"
    spec.paths.status.write_text('{"status": "of another version"}')
    assert Runs(tmp_path).statuses()[0].state == "finished"


def test_looking_again_reads_only_what_is_new(tmp_path: Path) -> None:
    write_runs(tmp_path, 2, going_on=1)
    runs = Runs(tmp_path)
    first = {status.name: status for status in runs.statuses()}
    spec = RunSpec.load(tmp_path / "run-000")
    Journal.of_writer(str(spec.paths.journal / "train-2-0"), "rank0").write(
        events.Metrics(step=5600, values={"loss": 0.125})
    )
    again = {status.name: status for status in runs.statuses()}
    assert (first["run-000"].loss, again["run-000"].loss) == (1 / 5600, 0.125)
    assert first["run-001"] == again["run-001"]


@pytest.fixture
def foreground() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process


def test_run_on_this_machine_is_lost_when_its_command_is_gone(
    tmp_path: Path, foreground: subprocess.Popen[bytes]
) -> None:
    spec = load_run_spec(TINY, "local", [f"runs_root={tmp_path}"], "here")
    write_run(spec)
    journal = Journal(spec.paths.journal / "login-1-cli.jsonl")
    journal.write(events.Foreground(host=os.uname().nodename, pid=foreground.pid))
    (waits,) = Runs(tmp_path, "here").statuses()
    assert (waits.state, may_go_on(spec)()) == ("waiting", True)
    assert foreground.stdin
    foreground.stdin.close()
    foreground.wait()
    (gone,) = Runs(tmp_path, "here").statuses()
    assert (gone.state, may_go_on(spec)()) == ("lost", False)
