"""The sbatch files: which settings of a profile reach Slurm."""

import pytest

from jobs.slurm.sbatch import sbatch_text
from jobs.spec.paths import REPO_ROOT
from jobs.spec.resolve import load_run_spec
from jobs.spec.stages import Stage

QWEN = REPO_ROOT / "axolotl_configs" / "qwen_finetune.yml"


def srun_line(stage: Stage, *settings: str) -> str:
    text = sbatch_text(load_run_spec(QWEN, "a100", settings, "one"), stage, "python")
    (line,) = [line for line in text.splitlines() if line.startswith("srun ")]
    return line


@pytest.mark.parametrize(("stage", "cpus"), [("prepare", 16), ("train", 32), ("evaluate", 8), ("report", 2)])
def test_step_gets_the_cpus_of_its_job(stage: Stage, cpus: int) -> None:
    assert f" --cpus-per-task={cpus} " in srun_line(stage)


@pytest.mark.parametrize("said", ["--cpus-per-task=4", "-c4"])
def test_what_a_profile_says_to_srun_counts_more(said: str) -> None:
    line = srun_line("train", f"train.slurm_srun_args=[{said}, --mpi=none]")
    assert f" {said} --mpi=none " in line
    assert "=32" not in line


@pytest.mark.parametrize(("said", "lines"), [((), []), (("train.slurm_wckey=ours",), ["#SBATCH --wckey=ours"])])
def test_workload_key_is_the_site_s_or_none(said: tuple[str, ...], lines: list[str]) -> None:
    spec = load_run_spec(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml", "dev", list(said), "one")
    assert [line for line in sbatch_text(spec, "train", "python").splitlines() if "wckey" in line] == lines
