"""Lets several ranks train on a machine without a GPU, although Axolotl, accelerate and DeepSpeed expect one."""

import os
import sys
from typing import Any

import torch


def are_on_cpu() -> bool:
    """Whether this process is one of several ranks, and has no GPU."""
    return not torch.cuda.is_available() and int(os.environ.get("WORLD_SIZE", "1")) > 1


def prepare_ddp_resume() -> None:
    """Let torch.load accept the location `cpu:<rank>`, onto which HF loads an optimizer's state."""
    torch.serialization.register_package(5, lambda storage: None, _location)


def prepare_deepspeed() -> None:
    """Let accelerate pick gloo, and keep gloo's all-gather out of autograd (torch 2.13, deepspeed 0.18).

    ACCELERATE_USE_DEEPSPEED must be set before accelerate looks at it; else accelerate trains with DDP, without a message.
    """
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    import deepspeed.comm  # noqa: F401 (fills sys.modules)
    from accelerate import PartialState

    choose = PartialState._prepare_backend
    PartialState._prepare_backend = lambda *arguments, **named: _or_gloo(choose(*arguments, **named))
    backend = sys.modules["deepspeed.comm.torch"].TorchBackend
    backend.all_gather_into_tensor = torch.no_grad()(backend.all_gather_into_tensor)
    PartialState()


def _or_gloo(choice: tuple[str | None, Any]) -> tuple[str, Any]:
    backend, distributed_type = choice
    return backend or "gloo", distributed_type


def _location(storage: Any, location: str) -> Any:
    return storage if str(location).startswith("cpu:") else None
