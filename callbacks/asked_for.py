"""AskedFor: compares the settings that the user asked for with those that the trainer has, before the first step."""

import os
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.shared.from_stage import DEVICE_ENV

if TYPE_CHECKING:  # scripts without Axolotl use the rest
    from axolotl.utils.dict import DictDefault

HINTS = {
    "world_size": "on a machine without a GPU, several ranks need `use_cpu: true` in the profile's accelerate_config",
    "device": "check the driver and torch's build on the node; or set `use_cpu: true` in the profile's accelerate_config",
    "sharding": "read the first messages of DeepSpeed or FSDP in the log",
    "precision": "write a precision that the node's device supports: `bf16`, `fp16`, or neither",
    "attention": "write an `attn_implementation` that is installed on the node",
    "evaluation": 'write `test_datasets` or `val_set_size`, or `eval_strategy: "no"`',
}
"""The hint for each difference."""

ATTENTIONS = frozenset({"eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"})
"""transformers' own kinds of attention. Axolotl sets up the other kinds in its own way."""


@dataclass(frozen=True)
class Setting:
    """How a training runs. None: the user did not ask for a value, or it is unknown."""

    world_size: int | None = None
    """Number of ranks that train together."""
    device: str | None = None
    """cpu or cuda."""
    sharding: str | None = None
    """deepspeed, fsdp or none."""
    precision: str | None = None
    """Precision of the computation: bf16, fp16 or no."""
    attention: str | None = None
    """transformers' name for the attention."""
    evaluation: bool | None = None
    """Whether there are records to evaluate on."""


def asked(cfg: "DictDefault") -> Setting:
    """What the config and the stage ask for. None for values that Axolotl chooses by itself (`auto`)."""
    sharding = "deepspeed" if cfg.deepspeed else "fsdp" if cfg.fsdp_config or cfg.fsdp else "none"
    precision = "bf16" if cfg.bf16 is True else "fp16" if cfg.fp16 is True else None
    return Setting(
        world_size=int(os.environ.get("WORLD_SIZE", "1")),
        device=os.environ.get(DEVICE_ENV) or None,
        sharding=sharding,
        precision=precision,
        attention=cfg.attn_implementation if cfg.attn_implementation in ATTENTIONS else None,
        evaluation=True if (cfg.test_datasets or cfg.val_set_size) and cfg.eval_strategy != "no" else None,
    )


def found(trainer: Trainer, args: TrainingArguments, model: PreTrainedModel) -> Setting:
    """What the trainer has, once accelerate has prepared it."""
    sharding = "deepspeed" if trainer.is_deepspeed_enabled else "fsdp" if trainer.is_fsdp_enabled else "none"
    return Setting(
        world_size=args.world_size,
        device=args.device.type,
        sharding=sharding,
        precision=trainer.accelerator.mixed_precision,
        attention=attention_name(getattr(model.config, "_attn_implementation", None)),
        evaluation=trainer.eval_dataset is not None,
    )


def attention_name(name: str | None) -> str | None:
    """The name of the attention; for a kernel from the hub, `kernels-community/flash-attn2`, the attention that it computes."""
    kernel = re.search(r"flash-attn-?(\d)", name or "")
    return f"flash_attention_{kernel[1]}" if kernel else name


def differences(wanted: Setting, has: Setting) -> list[str]:
    """One message for each setting that differs, with both values and a hint."""
    pairs = ((each.name, getattr(wanted, each.name), getattr(has, each.name)) for each in fields(Setting))
    return [
        f"{name.replace('_', ' ')}: asked for {want}, the trainer has {have}\nhint: {HINTS[name]}"
        for name, want, have in pairs
        if want is not None and want != have
    ]


class AskedFor(TrainerCallback):
    """Runs on every rank, before anything is written: ranks that train apart would all write into the same folder."""

    def __init__(self, wanted: Setting, trainer: Trainer) -> None:
        self._asked, self._trainer = wanted, trainer

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Raise ValueError if the trainer's settings differ from those that the user asked for."""
        assert model is not None
        if wrong := differences(self._asked, found(self._trainer, args, model)):
            raise ValueError("\n".join(wrong))
