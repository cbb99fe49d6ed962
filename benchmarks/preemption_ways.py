"""The ways to train of `make bench-preempt`: each submits one training, which comes back by its own means."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dev_cluster.cluster import DevCluster
from dev_cluster.site import PREEMPTABLE
from step_log import STEP_LOG_ENV
from world import REGROW, REPO_ROOT, World

STEPS, SAVE_STEPS = 5000, 300
OPTIONS = (f"--partition={PREEMPTABLE}", "--gres=gpu:1", "--cpus-per-task=2", "--open-mode=append")
PLAIN = """#!/bin/sh
exec {train}
"""
REQUEUES = """#!/bin/sh
trap : TERM
{train} &
wait $! || wait $!
[ -e {out}/checkpoint-{steps} ] || scontrol requeue $SLURM_JOB_ID
"""
"""The signal reaches the shell and its child. The shell must survive it; the first `wait` returns when it comes."""


@dataclass(frozen=True)
class Place:
    """The place where one training runs."""

    world: World
    cluster: DevCluster
    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def config(self, *plugins: str, **changed: Any) -> Path:
        """The toy config with dropout, so that the random state matters. peft has no dropout for experts. No evaluation."""
        changed |= {"plugins": [*plugins, "training_plugins.StepLogPlugin"], "max_steps": STEPS}
        changed |= {
            "save_steps": SAVE_STEPS,
            "save_total_limit": 2,
            "lora_dropout": 0.1,
            "lora_target_parameters": None,
        }
        return self.world.config_by_hand(
            self.folder, eval_strategy="no", eval_steps=None, test_datasets=None, **changed
        )

    @property
    def environment(self) -> dict[str, str]:
        path = f"{REPO_ROOT}:{REPO_ROOT / 'benchmarks'}"
        return self.world.environment | {
            "PYTHONPATH": path, "SLURM_CONF": str(self.cluster.conf), STEP_LOG_ENV: str(self.folder / "steps"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db", "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true",
        }  # fmt: skip

    def run(self, *command: object) -> str:
        """Run a command; its output.

        Raises:
            CalledProcessError: the command failed.
        """
        words = [str(word) for word in command]
        return subprocess.run(
            words, env=self.environment, cwd=self.folder, check=True, stdout=subprocess.PIPE, text=True
        ).stdout


@dataclass(frozen=True)
class Started:
    """A training that was submitted."""

    job_id: str
    adapter: Path
    """Where the final adapter will be."""


def train_command(config: Path) -> str:
    return shlex.join([sys.executable, "-m", "axolotl.cli.train", str(config)])


def sbatch(place: Place, script: str) -> Started:
    (place.folder / "job.sh").write_text(script)
    output = place.folder / "log"
    job_id = place.run(
        "sbatch", "--parsable", "--requeue", *OPTIONS, f"--output={output}", place.folder / "job.sh"
    ).strip()
    return Started(job_id, place.out / "adapter_model.safetensors")


def plain(place: Place) -> Started:
    config = place.config(regrow=None, auto_resume_from_checkpoints=True)
    return sbatch(place, PLAIN.format(train=train_command(config)))


def jit(place: Place) -> Started:
    config = place.config("training_plugins.JitCheckpointPlugin", regrow=None, auto_resume_from_checkpoints=True)
    return sbatch(place, REQUEUES.format(train=train_command(config), out=place.out, steps=STEPS))


def submitit(place: Place) -> Started:
    config = place.config(regrow=None, auto_resume_from_checkpoints=True)
    script = Path(__file__).parent / "submit_peers" / "train_submitit.py"
    job_id = place.run(sys.executable, script, place.folder / "submitit", PREEMPTABLE, config).strip()
    return Started(job_id, place.out / "adapter_model.safetensors")


def regrow(place: Place) -> Started:
    config = place.config("callbacks.plugin.RegrowPlugin")
    content = yaml.safe_load(config.read_text())
    content["regrow"] = {"task": content["regrow"]["task"], "generation_eval": None}
    config.write_text(yaml.safe_dump(content, allow_unicode=True))
    runs_root = place.folder / "runs"
    settings = {
        "slurm_conf": place.cluster.conf,
        "runs_root": runs_root,
        "tracking_uri": f"sqlite:///{place.folder}/mlflow.db",
        "train.cpus_per_task": 1,  # the ranks get as many threads as OMP_NUM_THREADS gives the others
    }
    typed = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    printed = place.run(REGROW, "submit", config, "--cluster", "dev", "--name", "run", "--no-check", *typed)
    (line,) = [line for line in printed.splitlines() if line.startswith("train ")]
    return Started(line.split()[2], runs_root / "run" / "checkpoints" / "adapter_model.safetensors")


PLAIN_REQUEUE, REGROW_WAY = "sbatch --requeue, auto-resume", "regrow"
WAYS: dict[str, Callable[[Place], Started]] = {
    PLAIN_REQUEUE: plain,
    "JIT checkpoint, script requeues": jit,
    "submitit requeues, auto-resume": submitit,
    REGROW_WAY: regrow,
}
