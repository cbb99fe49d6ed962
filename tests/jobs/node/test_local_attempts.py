"""On this machine a process id stands for the job id, and may come again: each attempt still has a name of its own."""

import os
from pathlib import Path

import pytest
from entries import fresh
from world import REPO_ROOT

from jobs.node.attempt import current_attempt
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import write_run
from jobs.spec.stages import StageJob


def test_attempts_with_the_same_process_id_have_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    monkeypatch.setenv("SUBMITIT_LOCAL_JOB_ID", "7")
    spec = load_run_spec(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml", "local", [f"runs_root={tmp_path}"], "one")
    write_run(spec)
    names = []
    for _ in range(3):
        attempt = current_attempt(StageJob(str(spec.paths.run_dir), "train"), writer="stage")
        attempt.say(fresh("stage_started", stage="train", job_id=attempt.job_id, pid=os.getpid()))
        names.append(attempt.name)
    other = current_attempt(StageJob(str(spec.paths.run_dir), "evaluate"), writer="stage")
    assert [*names, other.name] == ["train-7-0", "train-7-1", "train-7-2", "evaluate-7-0"]
