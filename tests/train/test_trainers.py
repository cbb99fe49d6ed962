"""Runs whose training is a script: Axolotl's own calls with the callbacks attached by hand, and TRL's trainer."""

import hashlib
from pathlib import Path

import pytest
from entries import named
from world import REPO_ROOT, World

from callbacks.shared.journal import read_journal
from jobs.spec.paths import RunPaths

ADAPTER = "adapter_model.safetensors"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("script", ["axolotl_by_hand", "trl_sft"])
def test_script_trains_a_whole_run(script: str, world: World, run: RunPaths) -> None:
    flags = ["--trainer", str(REPO_ROOT / "trainers" / f"{script}.py")]
    done = world.submit(script, flags=flags)
    assert done.returncode == 0, done.stdout + done.stderr
    paths = RunPaths(world.runs_root / script)
    entries = read_journal(paths.journal)
    assert [entry.stage for entry in named(entries, "stage_finished")] == ["prepare", "train", "evaluate", "report"]
    assert [entry.step for entry in named(entries, "finished")] == [6]
    assert not named(entries, "error", "mlflow_failed", "stage_failed")
    assert len(paths.evaluation("final").predictions.read_text(encoding="utf-8").splitlines()) == 12
    assert (paths.code / f"{script}.py").exists()
    same = digest(paths.checkpoints / ADAPTER) == digest(run.checkpoints / ADAPTER)
    assert same == (script == "axolotl_by_hand")
