"""Counts a model's parameters on the meta device, from its config alone, with the adapter as Axolotl and peft apply it.
Needs Axolotl, and so torch; no weight is read or allocated."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

KINDS = ("attention", "experts", "router", "mlp", "embeddings", "other")
DIMENSIONS = {
    "hidden": "hidden_size", "layers": "num_hidden_layers", "vocabulary": "vocab_size", "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads", "head_dim": "head_dim", "intermediate": "intermediate_size",
    "experts_per_token": "num_experts_per_tok", "expert_intermediate": "moe_intermediate_size",
}  # fmt: skip


def counts(question: dict[str, Any]) -> dict[str, Any]:
    """All and the trainable parameters by kind, what the memory model needs, and the adapter's targets that match nothing.

    Args:
        question: `config_file` (the model's config.json), `axolotl` (the keys that describe the adapter), `dtype`.
    """
    config = AutoConfig.from_pretrained(str(Path(question["config_file"])))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, question["dtype"]))
    _as_loaded(model, has_adapter=bool(question["axolotl"].get("adapter")))
    text = config.get_text_config()
    found: dict[str, Any] = {
        "dimensions": {name: getattr(text, key, None) for name, key in DIMENSIONS.items()},
        "parameters": _by_kind(model.named_parameters()),
        "float32": sum(p.numel() for p in model.parameters() if p.dtype == torch.float32),
        "largest_layer": _largest_layer(model),
        "linear": sum(module.weight.numel() for name, module in model.named_modules()
                      if isinstance(module, torch.nn.Linear) and name != "lm_head"),
        "has_experts": any(kind_of(name) == "experts" for name, _ in model.named_parameters()),
    }  # fmt: skip
    return found | (_adapter(model, question["axolotl"]) if question["axolotl"].get("adapter") else _full(model))


def _as_loaded(model: PreTrainedModel, has_adapter: bool) -> None:
    """Give modules the types that Axolotl gives them after loading (ax/loaders/model.py, _configure_embedding_dtypes): float32
    for routers, and without an adapter for norms and embeddings too."""
    upcast = (".gate",) if has_adapter else (".gate", "embed_tokens", "lm_head")
    for name, module in model.named_modules():
        if name.endswith(upcast) or ("norm" in name and not has_adapter):
            module.to(torch.float32)


def kind_of(name: str) -> str:
    """The kind of a parameter, by its name in transformers."""
    if re.search(r"\.experts?\.", name):
        return "experts"
    if re.search(r"(\.|^)(router|gate)\.(?!.*proj)|\.router\.", name):
        return "router"
    for kind, pattern in (
        ("attention", r"attn|attention"),
        ("mlp", r"\.mlp\.|feed_forward"),
        ("embeddings", r"embed|lm_head|wte"),
    ):
        if re.search(pattern, name):
            return kind
    return "other"


def _by_kind(parameters: Iterable[tuple[str, torch.nn.Parameter]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, parameter in parameters:
        found[kind_of(name)] += parameter.numel()
    return dict(found)


def _layer_of(name: str) -> str | None:
    match = re.search(r"(?:layers|h|blocks)\.(\d+)\.", name)
    return match[1] if match else None


def _largest_layer(model: torch.nn.Module) -> int:
    layers: Counter[str | None] = Counter()
    for name, parameter in model.named_parameters():
        if layer := _layer_of(name):
            layers[layer] += parameter.numel()
    return max(layers.values(), default=0)


def _full(model: PreTrainedModel) -> dict[str, Any]:
    return {"trainable": _by_kind(model.named_parameters()), "trainable_dtypes": _dtypes(model.named_parameters())}


def _dtypes(parameters: Iterable[tuple[str, torch.nn.Parameter]]) -> dict[str, int]:
    """Trainable parameters by their type."""
    found: Counter[str] = Counter()
    for _, parameter in parameters:
        if parameter.requires_grad:
            found[str(parameter.dtype).removeprefix("torch.")] += parameter.numel()
    return dict(found)


def _adapter(model: PreTrainedModel, axolotl: dict[str, Any]) -> dict[str, Any]:
    """The adapter's parameters; `adapter_error` if Axolotl or peft rejects it."""
    from axolotl.loaders.adapter import load_lora
    from axolotl.utils.dict import DictDefault

    axolotl = _with_defaults(axolotl)
    names = [name for name, _ in model.named_modules()]
    parameters = {name: parameter.numel() for name, parameter in model.named_parameters()}
    try:
        adapted, config = load_lora(model, DictDefault(axolotl))
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        return {"adapter_error": str(error), "unmatched": _unmatched(axolotl, names, parameters)}
    trainable = [(name, p) for name, p in adapted.named_parameters() if p.requires_grad]
    targets: list[str] = sorted(getattr(config, "target_parameters", None) or ())
    wrapped: Counter[str | None] = Counter()
    for name, size in parameters.items():
        if any(name.endswith(target) for target in targets):
            wrapped[_layer_of(name)] += size
    return {
        "trainable": _by_kind(trainable),
        "trainable_dtypes": _dtypes(trainable),
        "wrapped_per_layer": max(wrapped.values(), default=0),
        "unmatched": _unmatched(axolotl, names, parameters),
        "converted": sorted(set(targets) - set(axolotl.get("lora_target_parameters") or ())),
        "ranks": _changed(config.rank_pattern, axolotl.get("lora_rank_pattern")),
        "alphas": _changed(config.alpha_pattern, axolotl.get("lora_alpha_pattern")),
    }


def _with_defaults(axolotl: dict[str, Any]) -> dict[str, Any]:
    """The keys of the adapter, and Axolotl's own values for those that are not set."""
    from axolotl.utils.schemas.peft import LoraConfig

    defaults = {name: field.default for name, field in LoraConfig.model_fields.items() if not field.is_required()}
    return {name: value for name, value in defaults.items() if value is not None} | axolotl


def _changed(pattern: dict[str, Any] | None, wanted: dict[str, Any] | None) -> dict[str, Any]:
    """The entries that peft has added to a rank or alpha pattern."""
    return {name.rpartition(".")[2]: value for name, value in (pattern or {}).items() if name not in (wanted or {})}


def _unmatched(axolotl: dict[str, Any], modules: list[str], parameters: dict[str, int]) -> list[str]:
    """Targets that match nothing in the model. An expert's own name matches the fused parameter to which peft
    converts it."""
    fused: dict[str, str] = {
        "gate_proj": "gate_up_proj",
        "up_proj": "gate_up_proj",
        "w1": "gate_up_proj",
        "w3": "gate_up_proj",
        "w2": "down_proj",
    }
    wanted = axolotl.get("lora_target_modules") or []
    missing = []
    for target in wanted if isinstance(wanted, list) else []:
        ends = (f".{target}", f".{fused.get(target, target)}")
        if not any(f".{name}".endswith(ends) for name in [*modules, *parameters]):
            missing.append(target)
    for target in axolotl.get("lora_target_parameters") or []:
        if not any(f".{name}".endswith(f".{target}") for name in parameters):
            missing.append(target)
    return missing
