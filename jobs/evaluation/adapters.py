"""Which weights an engine loads: a model, an adapter on its base model, or the two merged because the engine cannot join them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.evaluation.parts import Part
from jobs.spec.run_spec import RunSpec

ADAPTER = "adapter_config.json"
VLLM_CAN: dict[str, Callable[[Any], bool]] = {
    "peft_type": lambda value: value == "LORA",
    "bias": lambda value: value in (None, "none"),
    "init_lora_weights": lambda value: value in (None, True, False, "gaussian"),
    "use_dora": lambda value: not value,
    "fan_in_fan_out": lambda value: not value,
    "modules_to_save": lambda value: not value,
    "target_parameters": lambda value: not value,
    "trainable_token_indices": lambda value: not value,
    "layer_replication": lambda value: not value,
    "rank_pattern": lambda value: not value,
    "alpha_pattern": lambda value: not value,
    "lora_bias": lambda value: not value,
}
"""What an adapter's config may say for every vLLM to answer with base and adapter as they are. Versions differ in the rest: they
refuse it, apply it (0.32 does patterns), or leave it out without a word."""

EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
"""The keys by which the config of a model says that it is a mixture of experts."""


def merged_because(spec: RunSpec, model: Path) -> str | None:
    """Why the engine of `regrow.evaluate` needs merged weights, e.g. "vLLM has no use_dora"; None: it can load the model."""
    if spec.regrow.evaluate.engine != "vllm" or not (model / ADAPTER).exists():
        return None
    config, base = json.loads((model / ADAPTER).read_bytes()), Path(base_of(model), "config.json")
    if cannot := [key for key, can in VLLM_CAN.items() if not can(config.get(key))]:
        return f"vLLM cannot apply an adapter with {', '.join(cannot)}"
    has_experts = base.exists() and any(json.loads(base.read_bytes()).get(key) for key in EXPERTS)
    return (
        "without a GPU, vLLM cannot apply an adapter to a mixture of experts"
        if has_experts and not spec.gpus("evaluate")
        else None
    )


def folder_to_load(spec: RunSpec, part: Part) -> Path:
    """The folder that the engine loads: the model's own, or that of the merged weights."""
    model = Path(part.model.path)
    return part.paths.merged if merged_because(spec, model) else model


def base_of(model: Path) -> str:
    """The base model of an adapter, or the model itself."""
    if not (model / ADAPTER).exists():
        return str(model)
    return str(json.loads((model / ADAPTER).read_bytes())["base_model_name_or_path"])
