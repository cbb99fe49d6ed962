"""What a resumed process would not have: weights and numbers that transformers and torch load wrongly, and stale caches."""

from functools import reduce
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import safe_open
from torch.autograd.graph import increment_version
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils import ADAPTER_SAFE_WEIGHTS_NAME


class CountedVersions(TrainerCallback):
    """Counts each optimizer step in the version of the trained tensors, as other operations in place do.

    Axolotl keeps DoRA's norms as long as these versions stay the same. A fused optimizer does not change them (torch 2.13): the
    norms stay those of an early step, and a resumed process, which computes them anew, would train differently.
    """

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        assert model is not None
        increment_version([parameter for parameter in model.parameters() if parameter.requires_grad])


def load_whole(trainer: Trainer) -> None:
    """Let the trainer load every weight of a full model, when it resumes and when it takes the best model at the end; and the
    optimizer's state without a loss of bits.

    A mixture of experts is saved with a tensor for each expert, and has them fused in memory. `from_pretrained` converts
    them; the Trainer does not, and keeps the weights that the model had before (transformers 5.16).
    """
    load, load_best, load_optimizer = (
        trainer._load_from_checkpoint,
        trainer._load_best_model,
        trainer._load_optimizer_and_scheduler,
    )

    def load_from_checkpoint(checkpoint: str, model: Any = None) -> None:
        load(checkpoint, model)
        _load_missing(trainer, Path(checkpoint))
        _load_shares(trainer, Path(checkpoint))

    def load_best_model() -> None:
        load_best()
        _load_missing(trainer, Path(trainer.state.best_model_checkpoint))
        _load_shares(trainer, Path(trainer.state.best_model_checkpoint))

    def load_optimizer_and_scheduler(checkpoint: str | None) -> None:
        load_optimizer(checkpoint)
        if checkpoint is not None:
            _keep_types(trainer, Path(checkpoint) / "optimizer.pt")

    trainer._load_from_checkpoint = load_from_checkpoint
    trainer._load_optimizer_and_scheduler = load_optimizer_and_scheduler
    trainer._load_best_model = load_best_model


def _load_missing(trainer: Trainer, checkpoint: Path) -> None:
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    if isinstance(model, PeftModel) or trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        return  # they save and load the names that they have in memory
    files = sorted(checkpoint.glob("model*.safetensors"))
    if not isinstance(model, PreTrainedModel) or not files or not _misses(model, files):
        return
    types = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    fresh = type(model).from_pretrained(checkpoint, dtype=reduce(torch.promote_types, types), device_map={"": "cpu"})
    model.load_state_dict(fresh.state_dict())


def _load_shares(trainer: Trainer, checkpoint: Path) -> None:
    """Give each rank its share of an adapter under FSDP2 with `FULL_STATE_DICT`. accelerate saves rank 0's share alone for a
    resume, and each rank goes on with the adapter that it was made with (accelerate 1.13); the whole one is beside it."""
    model, file = trainer.accelerator.unwrap_model(trainer.model), checkpoint / ADAPTER_SAFE_WEIGHTS_NAME
    if not (trainer.accelerator.is_fsdp2 and isinstance(model, PeftModel) and file.exists()):
        return
    inner = f".{model.active_adapter}."
    with safe_open(file, "pt") as weights, torch.no_grad():
        saved = set(weights.keys())
        for name, parameter in model.named_parameters():
            key = name.replace(f".modules_to_save{inner}", ".").replace(inner, ".")
            if parameter.requires_grad and isinstance(parameter, DTensor) and key in saved:
                whole = weights.get_tensor(key).to(parameter.device, parameter.dtype)
                share = distribute_tensor(whole, parameter.device_mesh, parameter.placements, src_data_rank=None)
                parameter.to_local().copy_(share.to_local())


def _keep_types(trainer: Trainer, file: Path) -> None:
    """Take the optimizer's numbers as they were saved. torch converts them to the type of their parameter, so that for a model
    in bfloat16 an Adafactor would go on with a part of their bits (torch 2.13)."""
    if not file.exists() or trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        return
    saved = torch.load(file, map_location="cpu", weights_only=True, mmap=True)["state"]
    optimizer: Any = trainer.optimizer
    while hasattr(optimizer, "optimizer"):  # accelerate's wrapper
        optimizer = optimizer.optimizer
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, values in saved.items():
        state = optimizer.state[parameters[number]]
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.dtype != state[name].dtype:
                state[name] = value.to(state[name].device, copy=True)


def _misses(model: PreTrainedModel, files: list[Path]) -> bool:
    """Whether the model has weights that the files do not have under the same name. Tied weights are saved once."""
    tied: Any = getattr(model, "all_tied_weights_keys", None) or {}
    return bool(model.state_dict().keys() - _names(files) - set(tied))


def _names(files: list[Path]) -> set[str]:
    names: set[str] = set()
    for file in files:
        with safe_open(file, "pt") as weights:
            names |= set(weights.keys())
    return names
