"""The output of a dry run on a machine without a GPU and without Slurm."""

from world import REPO_ROOT, World


def test_dry_run_shows_sbatch_files_and_rank_command_and_writes_nothing(world: World) -> None:
    config = str(REPO_ROOT / "axolotl_configs" / "qwen_finetune.yml")
    runs_root = world.folder / "none"
    done = world.regrow("submit", config, "--cluster", "a100", "--dry-run", "--set", f"runs_root={runs_root}")
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("#SBATCH --gpus-per-node=4", "#SBATCH --signal=USR2@300", "-m callbacks.rank train", "WORLD_SIZE=4"):
        assert line in done.stdout
    assert done.stdout.count("#!/bin/bash") == 4
    assert "note files.data-absent" in done.stdout
    assert not runs_root.exists()


def test_dry_run_exits_by_its_findings(world: World) -> None:
    config = str(REPO_ROOT / "axolotl_configs" / "qwen_finetune.yml")
    done = world.regrow("submit", config, "--cluster", "a100", "--dry-run", "--set", "lora_rank=8")
    assert done.returncode == 2
    assert "lora_rank: Axolotl does not know this key" in done.stdout
