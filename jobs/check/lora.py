"""The parameters that an adapter trains, counted: a target that matches nothing is not trained."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.spec.run_spec import RunSpec

ADAPTER_KEYS = ("adapter", "load_in_4bit", "load_in_8bit")
PREFIXES = ("lora_", "peft")
"""Prefixes of further keys that describe the adapter."""
KERNELS = ("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel")
EXPERT_PARAMETERS = "lora_target_parameters: [mlp.experts.gate_up_proj, mlp.experts.down_proj]"


def model_question(spec: RunSpec, config_file: Path) -> dict[str, Any]:
    """The question to `jobs.check.shared.probe`."""
    adapter = {
        key: value
        for key, value in spec.axolotl.items()
        if (key in ADAPTER_KEYS or key.startswith(PREFIXES)) and key != "lora_model_dir"
    }
    return {
        "config_file": str(config_file),
        "content": config_file.read_text(encoding="utf-8"),
        "axolotl": adapter,
        "dtype": weight_dtype(spec.axolotl),
    }


def weight_dtype(axolotl: dict[str, Any]) -> str:
    """The data type in which Axolotl loads the weights (ax/utils/config/__init__.py, normalize_config)."""
    if axolotl.get("bf16") or axolotl.get("bfloat16"):
        return "bfloat16"
    return "float16" if axolotl.get("fp16") or axolotl.get("float16") else "float32"


def lora_findings(spec: RunSpec, places: Places, answer: dict[str, Any]) -> Iterator[Finding]:
    """Findings about targets that match nothing, frozen experts, ranks that a conversion changes, dropout and merging."""
    config = spec.axolotl
    if "error" in answer:
        yield Finding.error(
            "lora.model",
            places.config("base_model"),
            found=answer["error"],
            cost="the model does not load",
            fix="name a model that the installed transformers knows",
        )
        return
    if not config.get("adapter"):
        return
    yield from _unmatched(config, places, answer)
    if error := answer.get("adapter_error"):
        if not answer.get("unmatched"):
            yield Finding.error(
                "lora.refused",
                places.config("adapter"),
                found=f"peft rejects the adapter: {error}",
                cost="every rank would fail with this error at start",
                fix=_refusal_fix(config),
            )
        return
    yield from _experts(config, places, answer)
    yield from _fused(config, places, answer)
    yield from _kernels(spec, places, answer)


def _kernels(spec: RunSpec, places: Places, answer: dict[str, Any]) -> Iterator[Finding]:
    """Axolotl's LoRA kernels where no GPU trains. It turns them on by itself if no key says otherwise
    (ax/utils/schemas/config.py, check_auto_enable_lora_kernels). Two things in them need CUDA: the dense MLP, and weights of
    four bits."""
    config = spec.axolotl
    if spec.trains_on_gpu(answer["has_gpu"]) or not (answer["trainable"].get("mlp") or config.get("load_in_4bit")):
        return
    is_set = any(config.get(key) is not None for key in KERNELS)
    is_left_off = config.get("rl") or config.get("trust_remote_code") or config.get("load_in_8bit")
    is_on = any(config.get(key) for key in (KERNELS if config.get("load_in_4bit") else KERNELS[:1]))
    if is_on or not (is_set or is_left_off):
        yield Finding.error(
            "lora.kernels",
            places.config(KERNELS[0]),
            found=f"{'true' if is_set else 'not set, so Axolotl turns it on'}, and {spec.cluster} trains without a GPU",
            cost="this kernel needs CUDA: the training would end in its first step",
            fix=f"write {KERNELS[0]}: false; Axolotl then turns none of them on by itself",
        )


def _unmatched(config: dict[str, Any], places: Places, answer: dict[str, Any]) -> Iterator[Finding]:
    for target in answer.get("unmatched", []):
        key = (
            "lora_target_parameters"
            if target in (config.get("lora_target_parameters") or [])
            else "lora_target_modules"
        )
        yield Finding.error(
            "lora.no-match",
            places.config(key),
            found=f"`{target}` matches nothing in this model",
            cost="the adapter would train nothing there",
            fix="correct the name, or remove it",
        )


def _experts(config: dict[str, Any], places: Places, answer: dict[str, Any]) -> Iterator[Finding]:
    """Experts that stay frozen, or that get another rank than the config's."""
    trained = answer["trainable"]
    key = "lora_target_linear" if config.get("lora_target_linear") else "lora_target_modules"
    if answer["has_experts"] and not trained.get("experts"):
        share = 100 * sum(trained.values()) / sum(answer["parameters"].values())
        yield Finding.warning(
            "lora.experts-frozen",
            places.config(key),
            found=f"{sum(trained.values()):,} parameters would be trained ({share:.2f} %), but none of the experts' "
            f"({answer['parameters']['experts']:,}): these are fused parameters, which no module name matches",
            cost="a mixture of experts learns little if only its attention is trained",
            fix=f"write {EXPERT_PARAMETERS}",
        )
    if answer["converted"] and answer["ranks"]:
        ranks = ", ".join(
            f"{name} r={rank}, alpha={answer['alphas'].get(name)}" for name, rank in answer["ranks"].items()
        )
        yield Finding.warning(
            "lora.rank-changed",
            places.config(key),
            found=f"peft converts the experts' names to fused parameters, and changes their rank: {ranks} "
            f"(the config has r={config.get('lora_r')}, alpha={config.get('lora_alpha')})",
            cost=f"{sum(trained.values()):,} parameters would be trained, more than intended",
            fix=f"keep only q_proj, k_proj, v_proj and o_proj in lora_target_modules, remove lora_target_linear, and "
            f"write {EXPERT_PARAMETERS}; merge with merge_method: legacy",
        )


def _fused(config: dict[str, Any], places: Places, answer: dict[str, Any]) -> Iterator[Finding]:
    """What an adapter on fused parameters does not have: dropout, and Axolotl's default merge."""
    if answer["converted"] and config.get("lora_dropout"):
        yield Finding.warning(
            "lora.dropout",
            places.config("lora_dropout"),
            found=f"{config['lora_dropout']}, but the adapters are on fused parameters",
            cost="dropout would apply to the attention, but not to the experts",
            fix="write lora_dropout: 0.0",
        )
    if config.get("lora_target_parameters") and config.get("merge_method") != "legacy":
        yield Finding.note(
            "lora.merge-drops",
            places.config("merge_method"),
            found="the adapter trains fused parameters",
            cost="by default `axolotl merge-lora` would leave these out, with a warning and exit code 0",
            fix="write merge_method: legacy",
        )


def _refusal_fix(config: dict[str, Any]) -> str:
    if config.get("lora_dropout") and config.get("lora_target_parameters"):
        return "write lora_dropout: 0.0; adapters on parameters have no dropout"
    if not any(config.get(key) for key in ("lora_target_modules", "lora_target_linear", "lora_target_parameters")):
        return "name what the adapter trains, e.g. lora_target_modules: [q_proj, k_proj, v_proj, o_proj]"
    return "correct the keys that begin with `lora_`"
