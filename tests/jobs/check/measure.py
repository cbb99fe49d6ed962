"""An Axolotl plugin that measures the bytes of all tensors of a training. The memory model is compared with them."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from axolotl.integrations.base import BasePlugin
from transformers import TrainerCallback

MEASURED_ENV = "REGROW_TEST_MEASURED"


def weigh(tensors: Iterable[Any]) -> int:
    """Bytes of all tensors among the values. Scalars do not count: a step counter is not a parameter's state."""
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor) and t.dim())


def states_of(optimizer: Any) -> list[Any]:
    inner = getattr(optimizer, "optimizer", optimizer)
    return states_of(inner) if inner is not optimizer else [v for s in optimizer.state.values() for v in s.values()]


class Weigh(TrainerCallback):
    """Measures the bytes in the first steps, and writes them to a file."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any) -> None:
        engine = getattr(optimizer, "optimizer", optimizer)
        if hasattr(engine, "averaged_gradients"):
            step = engine.step

            def weigh_and_step(*args: Any, **kwargs: Any) -> Any:
                self.found["gradients"] = weigh(sharded_gradients(engine))
                return step(*args, **kwargs)

            engine.step = weigh_and_step

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if "gradients" not in self.found:  # DeepSpeed has stepped already, and keeps its gradients elsewhere
            self.found["gradients"] = weigh(p.grad for p in model.parameters())

    def on_step_end(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **kwargs: Any
    ) -> None:
        engine = getattr(optimizer, "optimizer", optimizer)
        master = getattr(engine, "single_partition_of_fp32_groups", [])
        self.found |= {
            "weights": weigh(model.parameters()),
            "optimizer": weigh(states_of(optimizer)),
            "master copies": weigh(master),
        }
        Path(os.environ[MEASURED_ENV]).with_suffix(f".{os.environ.get('RANK', '0')}").write_text(json.dumps(self.found))


def sharded_gradients(engine: Any) -> list[Any]:
    return [gradient for group in engine.averaged_gradients.values() for gradient in group or []]


class WeighingPlugin(BasePlugin):
    """Adds the callback, and the setting that bf16 needs on a CPU."""

    def get_training_args(self, cfg: Any) -> dict[str, Any]:
        return {"use_cpu": True} if cfg.bf16 else {}

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[TrainerCallback]:
        return [Weigh()]
