"""`make bench-gpu`: compares ways to train LoRA on a mixture of experts, to choose `qwen_finetune.yml`'s. Ten minutes on one GPU.

The model is a Qwen3-MoE with layers as in the 30-billion-parameter model, but few of them, and random weights. It trains LoRA on
attention only, on the experts with peft, and on the experts with Axolotl's ScatterMoE kernels. It measures tokens a second, peak
memory (and what `regrow check` predicts), the time of a save, and the time from a process's start to its first step, fresh and
resumed. The last row is the second way with regrow. `--toy` trains a toy on a CPU, without the parts that need a GPU.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from dev_cluster.ownership import exit_on_signals
from measure import machine, print_wide
from rich import box
from rich.table import Table
from step_log import STEP_LOG_ENV, logged_attempts
from training_plugins import MEMORY_FILE
from world import REGROW, REPO_ROOT, World, build_world

from callbacks.shared import events

LAYERS, SETTLING = 6, 5
KERNELS = "axolotl.integrations.kernels.KernelsPlugin"
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
SHAPE = {
    "hidden_size": 2048, "intermediate_size": 6144, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
    "moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": True,
}  # fmt: skip
"""The sizes of Qwen3-30B-A3B's layers, from its config.json."""


@dataclass(frozen=True)
class Variant:
    """One way to train."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    plugins: Sequence[str] = ()
    is_regrow: bool = False


VARIANTS = [
    Variant("attention", {"lora_target_parameters": None}),
    Variant("experts, peft", {"lora_target_parameters": EXPERTS}),
    Variant("experts, ScatterMoE", {"lora_target_parameters": EXPERTS, "use_kernels": True, "use_scattermoe": True}, (KERNELS,)),
    Variant("experts, peft, regrow", {"lora_target_parameters": EXPERTS}, is_regrow=True),
]  # fmt: skip


@dataclass(frozen=True)
class Found:
    """The measurements of one variant; None: the variant failed before this one."""

    tokens_per_second: float | None = None
    peak_gib: float | None = None
    predicted_gib: float | None = None
    save_seconds: float | None = None
    start_seconds: float | None = None
    resume_seconds: float | None = None
    failure: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="on a CPU, at a toy's size: does it run?")
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    exit_on_signals()  # a signal then also removes the temporary folder
    if not (torch.cuda.is_available() or options.toy):
        print("skipped: there is no GPU here; --toy runs it on the CPU")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="regrow-"))
    try:
        bench = Bench(build_world(folder, environment(options.toy)), options.toy, options.steps)
        if not options.toy:
            bench.build_model(options.layers)
        show(
            [
                (variant, bench.found(variant))
                for variant in VARIANTS
                if not (options.toy and KERNELS in variant.plugins)
            ]
        )
    finally:
        shutil.rmtree(folder)
    print(", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "axolotl")))
    print(machine() + ("" if options.toy else f"; {torch.cuda.get_device_name()}, {options.layers} of 48 layers"))
    return 0


def environment(toy: bool) -> dict[str, str]:
    path = f"{REPO_ROOT}:{REPO_ROOT / 'benchmarks'}"
    cpu = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"} if toy else {"CUDA_VISIBLE_DEVICES": "0"}
    return {**os.environ, "HF_HUB_OFFLINE": "1", "AXOLOTL_DO_NOT_TRACK": "1", "PYTHONPATH": path, **cpu}


class Bench:
    """Trains the variants on one model."""

    def __init__(self, world: World, toy: bool, steps: int) -> None:
        self._world, self._toy, self._steps = world, toy, steps

    def build_model(self, layers: int) -> None:
        """Replace the toy model by a large model; the tokenizer stays."""
        from transformers import AutoConfig, AutoModelForCausalLM

        folder = self._world.folder / "model"
        config = AutoConfig.from_pretrained(folder)
        config.update({**SHAPE, "num_hidden_layers": layers})
        torch.manual_seed(1)
        with torch.device("cuda"):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        model.save_pretrained(folder)
        del model
        torch.cuda.empty_cache()

    def found(self, variant: Variant) -> Found:
        folder = self._world.folder / variant.name.replace(", ", "-")
        folder.mkdir()
        print(f"{variant.name} ...", file=sys.stderr, flush=True)
        config = self._config(folder, variant)
        try:
            started, ended = self._train(folder, config, variant)
        except subprocess.CalledProcessError as error:
            return Found(predicted_gib=self._predicted(config), failure=str(error.output)[-200:].replace("\n", " "))
        fresh = logged_attempts(folder / "steps")[0]
        steps = fresh.durations[SETTLING:]
        saved = self._save_seconds(folder, variant)
        peak = json.loads((folder / "steps" / MEMORY_FILE).read_text())
        content = yaml.safe_load(config.read_text())
        tokens = content["sequence_len"] * content["micro_batch_size"] * content["gradient_accumulation_steps"]
        return Found(
            tokens_per_second=tokens / statistics.median(steps),
            peak_gib=peak / 2**30,
            predicted_gib=self._predicted(config),
            save_seconds=saved,
            start_seconds=fresh.times[0] - started,
            resume_seconds=None if variant.is_regrow else self._resumed(folder, config, ended),
        )

    def _config(self, folder: Path, variant: Variant) -> Path:
        length = 256 if self._toy else 1536
        plugins = [*variant.plugins, "training_plugins.StepLogPlugin"]
        changes: dict[str, Any] = {"sequence_len": length, "pad_to_sequence_len": True, "max_steps": self._steps,
                                   "save_steps": self._steps, "eval_strategy": "no", "eval_steps": None,
                                   "test_datasets": None, "lora_dropout": 0.0}  # fmt: skip
        if not self._toy:
            changes |= {"bf16": True, "tf32": True, "gradient_checkpointing": True, "micro_batch_size": 4,
                        "gradient_checkpointing_kwargs": {"use_reentrant": False}}  # fmt: skip
        if not variant.is_regrow:
            return self._world.config_by_hand(folder, regrow=None, plugins=plugins, **changes, **variant.changes)
        config = self._world.config_by_hand(
            folder, plugins=["callbacks.plugin.RegrowPlugin", *plugins], **changes, **variant.changes
        )
        content = yaml.safe_load(config.read_text())
        content["regrow"] = {"task": content["regrow"]["task"], "generation_eval": None}
        config.write_text(yaml.safe_dump(content, allow_unicode=True))
        return config

    def _train(self, folder: Path, config: Path, variant: Variant) -> tuple[float, float]:
        """Start and end of the process that trains, seconds since the epoch."""
        if not variant.is_regrow:
            started = time.time()
            self._run(folder, sys.executable, "-m", "axolotl.cli.train", config)
            return started, time.time()
        typed = [word for setting in self._settings(folder) for word in ("--set", setting)]
        self._run(folder, REGROW, "submit", config, "--no-check", "--name", "run", *typed)
        from callbacks.shared.journal import read_journal

        (start,) = [
            entry.time
            for entry in read_journal(folder / "runs" / "run" / "journal")
            if isinstance(entry, events.StageStarted) and entry.stage == "train"
        ]
        return float(start), time.time()

    def _settings(self, folder: Path) -> list[str]:
        settings = [f"runs_root={folder / 'runs'}", f"tracking_uri=sqlite:///{folder}/mlflow.db"]
        return settings if self._toy else [*settings, "train.gpus_per_node=1", "accelerate_config=null"]

    def _resumed(self, folder: Path, config: Path, since: float) -> float:
        """Seconds from the start of a process that resumes to its first step."""
        checkpoint = folder / "out" / f"checkpoint-{self._steps}"
        content = yaml.safe_load(config.read_text()) | {
            "max_steps": self._steps + 2,
            "resume_from_checkpoint": str(checkpoint),
        }
        config.write_text(yaml.safe_dump(content, allow_unicode=True))
        started = time.time()
        self._run(folder, sys.executable, "-m", "axolotl.cli.train", config)
        (attempt,) = [each for each in logged_attempts(folder / "steps") if each.times[0] > since]
        return attempt.times[0] - started

    def _save_seconds(self, folder: Path, variant: Variant) -> float:
        """Seconds from the first to the last write to the files of the last step's checkpoint."""
        out = folder / ("runs/run/checkpoints" if variant.is_regrow else "out") / f"checkpoint-{self._steps}"
        began = min(path.stat().st_mtime for path in out.iterdir())
        return max(path.stat().st_mtime for path in out.iterdir()) - began

    def _predicted(self, config: Path) -> float | None:
        """The memory that the check predicts for one GPU, GiB; None: it predicts none."""
        command = [REGROW, "check", config, "--json"]
        done = subprocess.run(command, env=self._world.environment, stdout=subprocess.PIPE, check=False)
        memory = json.loads(done.stdout)["memory"]
        return memory["total"] / 2**30 if memory else None

    def _run(self, folder: Path, *command: object) -> None:
        """Run a command; CalledProcessError with its output if it fails."""
        subprocess.run(
            [str(word) for word in command], cwd=REPO_ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env=self._world.environment | {STEP_LOG_ENV: str(folder / "steps"), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
        )  # fmt: skip


def show(rows: Sequence[tuple[Variant, Found]]) -> None:
    table = Table(title="LoRA on a mixture of experts", title_justify="left", box=box.SIMPLE_HEAD)
    for header in ("", "tokens/s", "peak GiB", "predicted GiB", "save s", "start s", "resume s"):
        table.add_column(header, justify="right" if header else "left", no_wrap=True)
    for variant, found in rows:
        figures = [found.tokens_per_second, found.peak_gib, found.predicted_gib, found.save_seconds, found.start_seconds,
                   found.resume_seconds]  # fmt: skip
        formats = (",.0f", ".2f", ".2f", ".2f", ".1f", ".1f")
        shown = [format(value, how) if value is not None else "" for value, how in zip(figures, formats, strict=True)]
        table.add_row(variant.name, *shown)
    print_wide(table)
    for variant, found in rows:
        if found.failure:
            print(f"{variant.name} failed: {found.failure}")


if __name__ == "__main__":
    sys.exit(main())
