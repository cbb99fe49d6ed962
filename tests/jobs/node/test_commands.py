"""The commands of the ranks, and the keys of an accelerate config that a job honours."""

from pathlib import Path

import pytest

from jobs.check.accelerate import accelerate_problems
from jobs.node.commands import preprocess_command, rank_commands
from jobs.spec.paths import REPO_ROOT
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec

QWEN = REPO_ROOT / "axolotl_configs" / "qwen_finetune.yml"


@pytest.fixture
def spec() -> RunSpec:
    return load_run_spec(QWEN, "a100", name="one")


def test_one_rank_for_each_gpu_with_torchs_own_variables(spec: RunSpec) -> None:
    commands = rank_commands(spec, "python", "stem", None, port=1234, cpus=32, stop_file=None)
    assert [command.environment["RANK"] for command in commands] == ["0", "1", "2", "3"]
    assert {command.environment["WORLD_SIZE"] for command in commands} == {"4"}
    assert {command.environment["OMP_NUM_THREADS"] for command in commands} == {"8"}
    assert commands[0].environment["ACCELERATE_MIXED_PRECISION"] == "bf16"


def test_single_rank_trains_undistributed(spec: RunSpec) -> None:
    one = load_run_spec(QWEN, "a100", ["train.gpus_per_node=1"])
    (command,) = rank_commands(one, "python", "stem", None, port=1234, cpus=8, stop_file=None)
    assert not {"RANK", "WORLD_SIZE", "MASTER_PORT"} & set(command.environment)


def test_checkpoint_is_handed_to_the_rank(spec: RunSpec) -> None:
    command = rank_commands(spec, "python", "stem", Path("/x/checkpoint-7"), port=1, cpus=1, stop_file=None)[0]
    assert command.arguments[-1] == "/x/checkpoint-7"


def test_script_gets_its_copy_and_the_checkpoint(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text("")
    spec = load_run_spec(script, "a100", name="one")
    commands = rank_commands(spec, "python", "stem", Path("/x/checkpoint-7"), port=1, cpus=1, stop_file=None)
    assert len(commands) == 4
    assert commands[0].arguments[-2:] == ["script", str(spec.paths.code / "mine.py")]
    told = {"REGROW_CONFIG": str(spec.paths.axolotl_yml), "REGROW_CHECKPOINT": "/x/checkpoint-7"}
    assert told.items() <= commands[0].environment.items()
    assert accelerate_problems(spec) == []  # the script itself says its precision


def test_accelerate_config_that_a_job_cannot_honour_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "accelerate.yaml"
    path.write_text("mixed_precision: fp16\nfsdp_config: {}\n", encoding="utf-8")
    problems = accelerate_problems(load_run_spec(QWEN, "a100", [f"accelerate_config={path}"]))
    assert [level for level, problem in problems if "fsdp_config" in problem] == ["error"]
    assert [level for level, problem in problems if "mixed_precision: fp16" in problem] == ["warning"]
    assert accelerate_problems(load_run_spec(QWEN, "a100")) == []


def test_tokenising_takes_the_cpus_of_its_job(spec: RunSpec) -> None:
    command = preprocess_command(spec, "python", "stem", cpus=6)
    assert command.environment["AXOLOTL_DATASET_NUM_PROC"] == "6"
