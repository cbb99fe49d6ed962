"""Axolotl plugins of the benchmarks; `plugins: [training_plugins.…]`, with `benchmarks/` in PYTHONPATH."""

import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from axolotl.integrations.base import BasePlugin
from step_log import STEP_LOG_ENV
from transformers import TrainerCallback

MEMORY_FILE = "peak"
"""What `torch.cuda.max_memory_allocated` says at the end of the first training of a folder, bytes; 0 without a GPU."""


class StepLog(TrainerCallback):
    """A line at the beginning of each step, and one at the end of the training: the time, and the step completed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._peak = folder / MEMORY_FILE
        self._file = (folder / f"{time.time_ns()}.jsonl").open("a", buffering=1)  # a line is there once it is written

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._file.write(json.dumps([time.time(), state.global_step]) + "\n")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._file.write(json.dumps([time.time(), state.global_step]) + "\n")
        if not self._peak.exists():
            self._peak.write_text(str(torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0))


class StepLogPlugin(BasePlugin):
    """Brings the log into a training, and changes nothing."""

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[TrainerCallback]:
        return [StepLog(Path(os.environ[STEP_LOG_ENV]))]


class JitCheckpointPlugin(BasePlugin):
    """Turns on what Transformers has for preemptions: a checkpoint at SIGTERM. Axolotl has no key for it."""

    def get_training_args(self, cfg: Any) -> dict[str, Any]:
        return {"enable_jit_checkpoint": True}
