"""Whether the training fits into the GPU that the profile names, the node's memory, and the disk."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from jobs.check.lora import weight_dtype
from jobs.check.shared.deepspeed_file import DeepspeedFile
from jobs.check.shared.finding import Finding
from jobs.check.shared.memory_model import Model, Settings, checkpoint_bytes, host_bytes_at_load, memory_table
from jobs.check.shared.places import Places
from jobs.spec.run_spec import RunSpec

TIGHT = 0.85
"""Above this share of the GPU's memory, fragmentation and the terms that are only estimated may exceed it."""
Verdict = Literal["fits", "tight", "does not fit"]


@dataclass(frozen=True)
class Memory:
    """The memory table of one run."""

    terms: dict[str, int]
    """Bytes on one GPU."""
    gpu: str | None
    gpu_bytes: int | None

    @property
    def total(self) -> int:
        return sum(self.terms.values())

    @property
    def verdict(self) -> Verdict | None:
        """None: the profile names no GPU."""
        if self.gpu_bytes is None:
            return None
        return (
            "fits"
            if self.total <= TIGHT * self.gpu_bytes
            else "tight"
            if self.total <= self.gpu_bytes
            else "does not fit"
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "terms": self.terms,
            "total": self.total,
            "gpu": self.gpu,
            "gpu_bytes": self.gpu_bytes,
            "verdict": self.verdict,
        }


NOT_MODELLED = ("tensor_parallel_size", "context_parallel_size", "expert_parallel_size")
"""Keys that spread the model or the sequence over GPUs in a way that `memory_model` does not know."""


def is_estimable(spec: RunSpec) -> bool:
    """Whether the memory model knows how this config spreads the training over GPUs."""
    return not any(_number(spec.axolotl, key, 1) > 1 for key in NOT_MODELLED)


def _fsdp(config: dict[str, Any]) -> dict[str, Any] | None:
    """`fsdp_config`, its keys without Axolotl's old prefix; None: the config does not use FSDP."""
    section = config.get("fsdp_config")
    if not isinstance(section, dict):
        return {} if config.get("fsdp") else None
    return {str(key).removeprefix("fsdp_"): value for key, value in section.items()}


def settings_of(spec: RunSpec, deepspeed: DeepspeedFile | None) -> Settings:
    """The settings that determine the memory; a value that is not a number counts as Axolotl's default (`schema` reports it)."""
    config, fsdp = spec.axolotl, _fsdp(spec.axolotl)
    stage = deepspeed.stage if deepspeed else 0
    if fsdp is not None:  # FULL_SHARD shards what ZeRO-3 does; kept gathered after the forward pass, what ZeRO-2 does
        stage = 2 if fsdp.get("reshard_after_forward") in (False, "SHARD_GRAD_OP") else 3
    offloads = bool(fsdp and fsdp.get("offload_params"))
    return Settings(
        ranks=spec.world_size,
        has_gpu=spec.profile.gpu is not None,
        dtype=weight_dtype(config),
        uses_deepspeed=deepspeed is not None,
        stage=stage,
        offload_optimizer=offloads or bool(deepspeed and deepspeed.offloads("optimizer")),
        offload_parameters=offloads or bool(deepspeed and deepspeed.offloads("param")),
        bits=4 if config.get("load_in_4bit") else 8 if config.get("load_in_8bit") else 0,
        micro_batch=_number(config, "micro_batch_size", 1),
        sequence=_number(config, "sequence_len", 512),
        checkpointing=bool(config.get("gradient_checkpointing")),
        fused_attention=config.get("attn_implementation") != "eager" and not config.get("eager_attention"),
        optimizer=str(config.get("optimizer") or "adamw_torch_fused"),
        reduce_bucket=deepspeed.bucket("reduce_bucket_size", 0) if deepspeed else 0,
        allgather_bucket=deepspeed.bucket("allgather_bucket_size", 500_000_000) if deepspeed else 0,
        overlap=bool(deepspeed and deepspeed.zero.get("overlap_comm", True)),
    )


def run_memory(spec: RunSpec, counts: dict[str, Any], deepspeed: DeepspeedFile | None) -> Memory:
    gpu = spec.profile.gpu if spec.profile.train.get("gpus_per_node") else None
    terms = memory_table(Model.from_counts(counts), settings_of(spec, deepspeed))
    return Memory(terms, gpu.name if gpu else None, int(gpu.memory_gib * 2**30) if gpu else None)


def memory_findings(
    spec: RunSpec, places: Places, counts: dict[str, Any], deepspeed: DeepspeedFile | None
) -> Iterator[Finding]:
    """Findings about GPU, host memory and disk."""
    if not is_estimable(spec):
        key = next(key for key in NOT_MODELLED if _number(spec.axolotl, key, 1) > 1)
        yield Finding.note(
            "memory.unchecked",
            places.config(key),
            found=f"{key}: {spec.axolotl[key]}",
            cost="the memory of this kind of parallel training is not estimated",
            fix="try a few steps first: `--set max_steps=5`",
        )
        return
    model, settings = Model.from_counts(counts), settings_of(spec, deepspeed)
    memory = run_memory(spec, counts, deepspeed)
    if memory.gpu_bytes and memory.verdict != "fits":
        largest = max(memory.terms, key=lambda name: memory.terms[name])
        found = (
            f"{_gb(memory.total)} GB on each {memory.gpu} of {_gb(memory.gpu_bytes)} GB: "
            f"{memory.verdict}; "
            f"the largest term is {largest}, {_gb(memory.terms[largest])} GB"
        )
        if settings.stage in (1, 2) and settings.ranks > 1:
            found += f" (ZeRO-{settings.stage} does not shard weights)"
        cost = (
            "the run may fail with CUDA out of memory, in the first step or at a long record"
            if memory.verdict == "tight"
            else "the run would fail with CUDA out of memory"
        )
        yield Finding(
            "warning" if memory.verdict == "tight" else "error",
            f"memory.{str(memory.verdict).replace(' ', '-')}",
            places.config("deepspeed") if settings.uses_deepspeed else places.config("micro_batch_size"),
            found=found,
            cost=cost,
            fix=nearest_fit(model, settings, memory.gpu_bytes),
        )
    yield from _host(spec, places, model, settings)
    yield from _disk(spec, places, model, settings)


def nearest_fit(model: Model, settings: Settings, gpu_bytes: int) -> str:
    """The smallest change after which the training fits with some room."""
    changes: list[tuple[str, Settings]] = []
    if not settings.checkpointing:
        changes.append(("gradient_checkpointing: true", replace(settings, checkpointing=True)))
    batch = settings.micro_batch
    while batch > 1:
        batch //= 2
        changes.append(
            (
                f"micro_batch_size: {batch} and more gradient_accumulation_steps",
                replace(settings, checkpointing=True, micro_batch=batch),
            )
        )
    if settings.ranks > 1:
        for stage in range(max(2, settings.stage + 1), 4):
            changed = replace(settings, uses_deepspeed=True, stage=stage, checkpointing=True)
            changes.append((f"deepspeed: deepspeed_configs/zero{stage}.json", changed))
            changes.append(
                (
                    f"deepspeed: deepspeed_configs/zero{stage}.json and micro_batch_size: 1",
                    replace(changed, micro_batch=1),
                )
            )
    for text, changed in changes:
        if sum(memory_table(model, changed).values()) <= TIGHT * gpu_bytes:
            return f"write {text}: {_gb(sum(memory_table(model, changed).values()))} GB"
    return "use more or larger GPUs, a shorter sequence_len, or train fewer parameters"


def _host(spec: RunSpec, places: Places, model: Model, settings: Settings) -> Iterator[Finding]:
    memory = spec.profile.train.get("mem_gb")
    needed = host_bytes_at_load(model, settings)
    if isinstance(memory, int | float) and needed > memory * 2**30:
        yield Finding.warning(
            "memory.host",
            places.profile("train", "mem_gb"),
            found=f"{memory} GB for {settings.ranks} ranks, but each rank reads {_gb(needed // settings.ranks)} GB of weights",
            cost="Slurm may kill the job while the ranks load the model",
            fix=f"write mem_gb: {-(-needed // 2**30) + 16}, if a node has that much",
        )


def _disk(spec: RunSpec, places: Places, model: Model, settings: Settings) -> Iterator[Finding]:
    kept = spec.axolotl.get("save_total_limit")
    kept = kept + 1 if isinstance(kept, int) else None  # the newest is written before the oldest goes
    size = checkpoint_bytes(model, settings)
    folder = next(
        path for path in (Path(spec.profile.runs_root), *Path(spec.profile.runs_root).parents) if path.exists()
    )
    free = shutil.disk_usage(folder).free
    is_there = Path(spec.profile.runs_root).parent.exists()
    if kept and is_there and kept * size > free:
        yield Finding.error(
            "memory.disk",
            places.config("save_total_limit"),
            found=f"{kept} checkpoints of {_gb(size)} GB each, but {_gb(free)} GB are free in {folder}",
            cost="a save would fail, and the run with it",
            fix="make room, or write a smaller save_total_limit",
        )
    if kept is None and is_there:
        yield Finding.warning(
            "memory.disk",
            places.config("save_total_limit"),
            found=f"all checkpoints are kept, {_gb(size)} GB each",
            cost="the disk may fill up",
            fix="write save_total_limit: 3",
        )


def _number(config: dict[str, Any], key: str, default: int) -> int:
    value = config.get(key)
    return value if isinstance(value, int) and value > 0 else default


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f}"
