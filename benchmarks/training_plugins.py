"""Axolotl plugins of the benchmarks. To use one, set `plugins: [training_plugins.…]`, with `benchmarks/` in PYTHONPATH."""

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
"""Holds `torch.cuda.max_memory_allocated` at the end of the first training of a folder, bytes; 0: there is no GPU."""


class StepLog(TrainerCallback):
    """Writes a line at the beginning of each step and at the end of the training: the time, and the last completed step."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._peak = folder / MEMORY_FILE
        self._file = (folder / f"{time.time_ns()}.jsonl").open("a", buffering=1)  # line-buffered, for readers

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._file.write(json.dumps([time.time(), state.global_step]) + "\n")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._file.write(json.dumps([time.time(), state.global_step]) + "\n")
        if not self._peak.exists():
            self._peak.write_text(str(torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0))


class StepLogPlugin(BasePlugin):
    """Adds the log to a training, and changes nothing else."""

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[TrainerCallback]:
        return [StepLog(Path(os.environ[STEP_LOG_ENV]))]


class JitCheckpointPlugin(BasePlugin):
    """Turns on Transformers' own answer to preemptions, a checkpoint at SIGTERM. Axolotl has no key for it."""

    def get_training_args(self, cfg: Any) -> dict[str, Any]:
        return {"enable_jit_checkpoint": True}
