"""Pure: the command and the environment of each process that a stage starts."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callbacks.shared.from_stage import CHECKPOINT_ENV, CONFIG_ENV, DEVICE_ENV, FIRST_STEP_ENV, LEASE_ENV, TRAINING_ENV
from callbacks.shared.journal import JOURNAL_ENV
from callbacks.shared.stop_file import STOP_FILE_ENV, StopFile
from callbacks.shared.tracking import TRACKED_RUN_ENV
from jobs.spec.paths import from_root
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage
from jobs.spec.yaml_file import load_yaml

EXTENSIONS_ENV = "TORCH_EXTENSIONS_DIR"
"""torch's variable for the folder of compiled extensions; by default one in the home, which all runs share."""


@dataclass(frozen=True)
class Command:
    """One process: its argument list, and its variables in addition to the stage's own environment."""

    arguments: list[str]
    environment: dict[str, str]
    descriptors: tuple[int, ...] = ()
    """File descriptors that it inherits, besides its output."""


def stage_environment(spec: RunSpec, stem: str) -> dict[str, str]:
    """The variables of every process of a stage. `stem`: path of its journal, without the writer's name."""
    return {
        "AXOLOTL_DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_OFFLINE": "1" if spec.profile.offline else "0",
        "TOKENIZERS_PARALLELISM": "true",
        JOURNAL_ENV: stem,
        TRACKED_RUN_ENV: spec.tracked_run.to_json(),
    }


def preprocess_command(spec: RunSpec, python: str, stem: str, cpus: int) -> Command:
    """Tokenise, on a node without a GPU. `cpus`: the number of processes, unless the config sets `dataset_num_proc`."""
    # Without this, Axolotl uses all CPUs of the node (0.19, utils/datasets.py), even if the job may not.
    environment = stage_environment(spec, stem) | {"AXOLOTL_DATASET_NUM_PROC": str(cpus)}
    return Command([python, "-m", "callbacks.rank", "preprocess", str(spec.paths.axolotl_yml)], environment)


def generate_command(spec: RunSpec, python: str, stem: str, part: int) -> Command:
    """Generate the answers of one part of the evaluation."""
    environment = stage_environment(spec, stem) | _thread_environment(spec, "evaluate")
    return Command([python, "-m", "jobs.evaluation.generate", str(spec.paths.run_dir), str(part)], environment)


def prompts_command(spec: RunSpec, python: str, stem: str, part: int) -> Command:
    """Write the prompts of one part of the evaluation, which only Axolotl can make."""
    return Command(
        [python, "-m", "jobs.evaluation.own_prompts", str(spec.paths.run_dir), str(part)], stage_environment(spec, stem)
    )


def merge_command(spec: RunSpec, python: str, stem: str, part: int, output: Path) -> Command:
    """Merge the adapter of one part of the evaluation into its base model, in a new folder."""
    arguments = [python, "-m", "jobs.export.merge", str(spec.paths.run_dir), str(output), str(part)]
    return Command(arguments, stage_environment(spec, stem) | _thread_environment(spec, "evaluate"))


def rank_commands(
    spec: RunSpec,
    python: str,
    stem: str,
    checkpoint: Path | None,
    port: int,
    cpus: int,
    stop_file: StopFile | None,
    steps_before: int = 0,
) -> list[Command]:
    """One command per rank, as `accelerate launch` would start it with the profile's accelerate config.

    Args:
        checkpoint: the checkpoint to resume from; None: from the base model.
        port: a free port of this node, by which the ranks find one another.
        cpus: the CPUs of the job; each rank gets its share of threads.
        steps_before: the optimizer steps of the run's earlier trainings.
        stop_file: the ranks save and leave once this file has content; None: no stage will ask them to.
    """
    threads = str(max(1, cpus // spec.world_size))
    shared = stage_environment(spec, stem) | {"OMP_NUM_THREADS": threads, LEASE_ENV: str(spec.paths.lease)}
    what, told = _what_trains(spec, checkpoint)
    arguments, shared = [python, "-m", "callbacks.rank", *what], shared | told
    shared |= _thread_environment(spec, "train") | ({STOP_FILE_ENV: str(stop_file.path)} if stop_file else {})
    is_cpu = bool(_accelerate(spec).get("use_cpu"))
    if is_cpu and not spec.axolotl.get("deepspeed"):
        shared["ACCELERATE_USE_CPU"] = "true"  # with DeepSpeed this would mean DDP, without a message
    if spec.training:
        shared[TRAINING_ENV] = spec.training
    if steps_before:
        shared[FIRST_STEP_ENV] = str(steps_before)
    if EXTENSIONS_ENV not in os.environ:
        shared[EXTENSIONS_ENV] = str(spec.paths.torch_extensions)
    if is_cpu or spec.gpus("train"):
        shared[DEVICE_ENV] = "cpu" if is_cpu else "cuda"
    if spec.profile.accelerate_config and spec.axolotl.get("bf16"):
        shared["ACCELERATE_MIXED_PRECISION"] = "bf16"
    descriptors = (stop_file.descriptor,) if stop_file else ()
    ranks = range(spec.world_size)
    return [Command(arguments, shared | _distributed(spec, rank, port), descriptors) for rank in ranks]


def _what_trains(spec: RunSpec, checkpoint: Path | None) -> tuple[list[str], dict[str, str]]:
    """What a rank runs, and more variables for it: Axolotl, or the user's script."""
    config = str(spec.paths.axolotl_yml)
    if script := spec.regrow.trainer:
        resumed = {CHECKPOINT_ENV: str(checkpoint)} if checkpoint else {}
        return ["script", str(spec.paths.code / Path(script).name)], {CONFIG_ENV: config} | resumed
    return ["train", config, *([str(checkpoint)] if checkpoint else [])], {}


def _thread_environment(spec: RunSpec, stage: Stage) -> dict[str, str]:
    """Without a GPU, let waiting threads sleep: spinning threads make a step a hundred times slower on a busy machine."""
    has_gpu = spec.profile.parameters(stage).get("gpus_per_node") and not _accelerate(spec).get("use_cpu")
    return {} if has_gpu else {"OMP_WAIT_POLICY": "PASSIVE"}


def _accelerate(spec: RunSpec) -> dict[str, Any]:
    """The profile's accelerate config; empty: the profile names none."""
    return load_yaml(from_root(spec.profile.accelerate_config)) if spec.profile.accelerate_config else {}


def _distributed(spec: RunSpec, rank: int, port: int) -> dict[str, str]:
    """torch's variables for a rank on one node; empty for a single rank, which then trains without torch.distributed."""
    if spec.world_size == 1:
        return {}
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(spec.world_size),
        "LOCAL_WORLD_SIZE": str(spec.world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
