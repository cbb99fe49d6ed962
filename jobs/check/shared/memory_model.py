"""Bytes on one GPU during training, term by term. Pure: counts and settings in, bytes out. GB are 1e9 bytes."""

from dataclasses import dataclass, replace
from typing import Any, Self

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
OPTIMIZER_BYTES = {"adamw_8bit": 2, "adamw_bnb_8bit": 2, "paged_adamw_8bit": 2, "adamw_torch_8bit": 2, "ao_adamw_8bit": 2,
                   "ao_adamw_4bit": 1, "adamw_torch_4bit": 1, "lion_32bit": 4, "paged_lion_32bit": 4, "lion_8bit": 1,
                   "paged_lion_8bit": 1, "sgd": 0, "adafactor": 0.01}  # fmt: skip
"""Bytes of state per trained parameter; every other optimizer counts as Adam in float32: two moments, 8 bytes."""
CONTEXT_BYTES = 1_500_000_000
"""CUDA's context, cuBLAS's and NCCL's workspaces, on an A100. Estimated, not measured."""
WRAPPED_COPIES = 4
"""Copies of a layer's fused experts that peft's ParamWrapper makes in a forward and backward (peft 0.20, tuners/lora/layer.py):
the delta, its scaled copy, weight + delta, and the gradient of the sum. Estimated, not measured."""


@dataclass(frozen=True)
class Settings:
    """The settings that determine the memory, beside the model."""

    ranks: int
    has_gpu: bool
    dtype: str
    """Of the frozen weights."""
    uses_deepspeed: bool = False
    stage: int = 0
    """ZeRO stage; 0: DDP, or one rank."""
    offload_optimizer: bool = False
    offload_parameters: bool = False
    bits: int = 0
    """4 or 8: linear layers are quantised; 0: they are not."""
    micro_batch: int = 1
    sequence: int = 512
    checkpointing: bool = False
    fused_attention: bool = True
    """Flash attention or SDPA: the attention matrix is never stored."""
    optimizer: str = "adamw_torch"
    reduce_bucket: int = 0
    """Elements; 0: hidden², DeepSpeed's "auto" in transformers (integrations/deepspeed.py)."""
    allgather_bucket: int = 500_000_000
    overlap: bool = True


@dataclass(frozen=True)
class Model:
    """A model and its adapter, as `jobs.check.shared.model_counts` has counted them: parameters, not bytes."""

    parameters: int
    trainable: int
    trainable_float32: int
    """Trainable parameters that are kept in float32 (peft's default for adapters)."""
    has_adapter: bool
    float32: int
    """The model's own parameters that Axolotl always loads in float32."""
    linear: int
    """Parameters in linear layers, which 4 and 8 bit quantise."""
    largest_layer: int
    wrapped_per_layer: int
    hidden: int
    layers: int
    vocabulary: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_width: int
    """MLP width for one token in a layer: that of all its experts together."""

    @classmethod
    def from_counts(cls, counts: dict[str, Any]) -> Self:
        """Make a model from an answer of `jobs.check.shared.probe`."""
        size = counts["dimensions"]
        heads = size["heads"] or 1
        experts = size["experts_per_token"] if counts["has_experts"] else None
        width = (
            experts * size["expert_intermediate"] if experts and size["expert_intermediate"] else size["intermediate"]
        )
        parameters = sum(counts["parameters"].values())
        return cls(
            parameters=parameters,
            trainable=sum(counts["trainable"].values()),
            trainable_float32=counts["trainable_dtypes"].get("float32", 0),
            has_adapter=bool(counts.get("wrapped_per_layer") is not None),
            float32=counts["float32"],
            linear=counts["linear"],
            largest_layer=counts["largest_layer"],
            wrapped_per_layer=counts.get("wrapped_per_layer") or 0,
            hidden=size["hidden"],
            layers=size["layers"],
            vocabulary=size["vocabulary"],
            heads=heads,
            kv_heads=size["kv_heads"] or heads,
            head_dim=size["head_dim"] or size["hidden"] // heads,
            mlp_width=width or 4 * size["hidden"],
        )


def memory_table(model: Model, settings: Settings) -> dict[str, int]:
    """Bytes on one GPU by term."""
    terms = {
        "weights": frozen_bytes(model, settings) + trained_bytes(model, settings),
        "gradients": gradient_bytes(model, settings),
        "optimizer": optimizer_bytes(model, settings),
        "master copies": master_bytes(model, settings),
        "activations": activation_bytes(model, settings),
        "logits": logit_bytes(model, settings),
        "adapters on experts": wrapped_bytes(model, settings),
        "buckets": bucket_bytes(model, settings),
        "CUDA and NCCL": CONTEXT_BYTES if settings.has_gpu else 0,
    }
    return {name: int(value) for name, value in terms.items()}


def frozen_bytes(model: Model, settings: Settings) -> int:
    """Weights that are not trained. ZeRO shards them only in stage 3 (Rajbhandari et al. 2020, ZeRO, section 5, "P_p")."""
    if settings.offload_parameters:
        return 0
    if not model.has_adapter:
        return 0
    plain = (model.parameters - (model.linear if settings.bits else 0)) * BYTES[settings.dtype]
    if not settings.uses_deepspeed:
        plain += model.float32 * (4 - BYTES[settings.dtype])
    quantised = (
        model.linear * settings.bits // 8 + (model.linear // 16 if settings.bits == 4 else 0) if settings.bits else 0
    )
    return _shared(plain + quantised, settings, from_stage=3)


def trained_bytes(model: Model, settings: Settings) -> int:
    """Weights that are trained. DeepSpeed casts the module to bf16 (runtime/engine.py, _configure_distributed_model); without
    it peft keeps an adapter in float32 (peft, autocast_adapter_dtype)."""
    if settings.offload_parameters:
        return 0
    return _shared(_trained(model, settings), settings, from_stage=3)


def gradient_bytes(model: Model, settings: Settings) -> int:
    """One gradient for each trained weight, in the weight's type; with ZeRO-2 and 3 a rank keeps its share (ZeRO, "P_g")."""
    return _shared(_trained(model, settings), settings, from_stage=2)


def optimizer_bytes(model: Model, settings: Settings) -> int:
    """The optimizer's states, sharded from stage 1 on (ZeRO, "P_os"). torch's Adam keeps them in the weights' type, DeepSpeed in
    float32."""
    if settings.offload_optimizer:
        return 0
    if settings.optimizer in OPTIMIZER_BYTES:
        return _shared(int(model.trainable * OPTIMIZER_BYTES[settings.optimizer]), settings, from_stage=1)
    state = 8 * model.trainable if settings.uses_deepspeed else 2 * _trained(model, settings)
    return _shared(state, settings, from_stage=1)


def master_bytes(model: Model, settings: Settings) -> int:
    """Float32 copies of what is trained in 16 bits, which DeepSpeed keeps (runtime/zero/stage_1_and_2.py,
    single_partition_of_fp32_groups). In float32 it keeps them as well."""
    if not settings.uses_deepspeed or settings.offload_optimizer:
        return 0
    return _shared(4 * model.trainable, settings, from_stage=1)


def activation_bytes(model: Model, settings: Settings) -> int:
    """What the backward pass needs of the forward pass: per token and layer two norms, q, k, v, the attention's output, its
    projection, and gate, up and their product of the MLP (Korthikanti et al. 2022, section 4.1, for a gated MLP); with
    checkpointing each layer's input, and one layer in full (section 4.3 there)."""
    size = BYTES[settings.dtype]
    tokens = settings.micro_batch * settings.sequence
    attention = 2 * model.heads * model.head_dim + 2 * model.kv_heads * model.head_dim + model.hidden
    per_token = 3 * model.hidden + attention + 3 * model.mlp_width
    layer = tokens * per_token * size
    if not settings.fused_attention:  # scores and probabilities, the latter in float32
        layer += settings.micro_batch * model.heads * settings.sequence**2 * (2 * size + 4)
    if settings.checkpointing:
        return model.layers * tokens * model.hidden * size + layer
    return model.layers * layer


def logit_bytes(model: Model, settings: Settings) -> int:
    """The head's output, its float32 copy, the log-softmax and its gradient (transformers, loss/loss_utils.py,
    ForCausalLMLoss upcasts to float32)."""
    return settings.micro_batch * settings.sequence * model.vocabulary * (BYTES[settings.dtype] + 12)


def wrapped_bytes(model: Model, settings: Settings) -> int:
    """What peft's ParamWrapper makes of a layer's fused experts; without checkpointing weight + delta stays for each layer."""
    size = model.wrapped_per_layer * (BYTES[settings.dtype] if settings.uses_deepspeed else 4)
    return size * (WRAPPED_COPIES + (0 if settings.checkpointing else model.layers - 1))


def bucket_bytes(model: Model, settings: Settings) -> int:
    """DDP: buckets as large as the gradients (torch/nn/parallel/distributed.py, gradient_as_bucket_view=False). ZeRO: the
    reduce bucket, two with overlap_comm, and the all-gather bucket, none larger than what is trained; stage 3: a layer
    gathered while the next is fetched."""
    if settings.ranks == 1:
        return 0
    if settings.stage == 0:
        return _trained(model, settings)
    element = BYTES[settings.dtype]
    reduce = min(settings.reduce_bucket or model.hidden**2, model.trainable) * (2 if settings.overlap else 1)
    gathered = 2 * model.largest_layer if settings.stage == 3 else min(settings.allgather_bucket, model.trainable)
    return (reduce + gathered) * element


def host_bytes_at_load(model: Model, settings: Settings) -> int:
    """Host memory of a node while each of its ranks reads the weights. Estimated, the worst case."""
    offloaded = model.trainable * 12 if settings.offload_optimizer else 0
    return settings.ranks * model.parameters * BYTES[settings.dtype] + offloaded


def checkpoint_bytes(model: Model, settings: Settings) -> int:
    """One checkpoint: what is trained, the optimizer's states, and DeepSpeed's master copies."""
    weights = _trained(model, settings) if model.has_adapter else model.parameters * BYTES[settings.dtype]
    alone = replace(settings, ranks=1, stage=0, offload_optimizer=False)
    return weights + optimizer_bytes(model, alone) + master_bytes(model, alone)


def _trained(model: Model, settings: Settings) -> int:
    if settings.uses_deepspeed:
        return model.trainable * BYTES[settings.dtype]
    return model.trainable_float32 * 4 + (model.trainable - model.trainable_float32) * BYTES[settings.dtype]


def _shared(size: int, settings: Settings, from_stage: int) -> int:
    """The share of `size` on one GPU."""
    return -(-size // settings.ranks) if settings.stage >= from_stage else size
