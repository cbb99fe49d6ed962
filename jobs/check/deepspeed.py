"""The DeepSpeed file against the config beside it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.check.shared.deepspeed_keys import OFFLOAD_KEYS, SECTIONS, ZERO_KEYS
from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.spec.errors import nearest
from jobs.spec.run_spec import RunSpec

PAIRED = {
    ("train_micro_batch_size_per_gpu",): "micro_batch_size",
    ("gradient_accumulation_steps",): "gradient_accumulation_steps",
    ("gradient_clipping",): "max_grad_norm",
    ("optimizer", "params", "lr"): "learning_rate",
    ("optimizer", "params", "betas"): "adam_beta1 and adam_beta2",
    ("optimizer", "params", "eps"): "adam_epsilon",
    ("optimizer", "params", "weight_decay"): "weight_decay",
    ("bf16", "enabled"): "bf16",
    ("fp16", "enabled"): "fp16",
}
"""Values that the config has too; transformers refuses to train where the two differ (HfTrainerDeepSpeedConfig)."""


@dataclass(frozen=True)
class DeepspeedFile:
    """A DeepSpeed configuration."""

    content: dict[str, Any]

    @property
    def zero(self) -> dict[str, Any]:
        zero = self.content.get("zero_optimization")
        return zero if isinstance(zero, dict) else {}

    @property
    def stage(self) -> int:
        stage = self.zero.get("stage", 0)
        return stage if isinstance(stage, int) else 0

    def offloads(self, what: str) -> bool:
        """Whether `optimizer` or `param` is offloaded."""
        section = self.zero.get(f"offload_{what}")
        return isinstance(section, dict) and section.get("device") not in (None, "none")

    def bucket(self, key: str, default: int) -> int:
        """A bucket's size in elements; "auto" and what is missing are `default`."""
        value = self.zero.get(key)
        return int(value) if isinstance(value, int | float) else default


def deepspeed_file(spec: RunSpec) -> DeepspeedFile | None:
    """The DeepSpeed configuration of a run; None: it has none, or none that can be read (a finding of its own)."""
    named = spec.axolotl.get("deepspeed")
    if isinstance(named, dict):
        return DeepspeedFile(named)
    try:
        content = json.loads(Path(named).read_text(encoding="utf-8")) if isinstance(named, str) else None
    except (OSError, ValueError):
        return None
    return DeepspeedFile(content) if isinstance(content, dict) else None


def deepspeed_findings(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Where file and config disagree, and what the file lacks or brings that the trainer does not expect."""
    named = spec.axolotl.get("deepspeed")
    if named is None:
        return
    file = deepspeed_file(spec)
    if file is None:
        if isinstance(named, str) and Path(named).is_file():
            yield Finding(
                "error",
                "deepspeed.unreadable",
                places.deepspeed(),
                "it is no JSON object",
                "the ranks would end when they start",
                "compare it with deepspeed_configs/zero2.json",
            )
        return
    yield from _sections(file, places)
    yield from _pairs(spec, file, places)
    yield from _optimizer(spec, file, places)
    yield from _batch(file, places)
    yield from _precision(spec, file, places)
    yield from _stage(spec, file, places)


def _sections(file: DeepspeedFile, places: Places) -> Iterator[Finding]:
    for key, value in file.content.items():
        if key not in SECTIONS:
            yield Finding(
                "error",
                "deepspeed.unknown-key",
                places.deepspeed(key),
                "DeepSpeed does not know this key",
                "it would drop it without a word",
                nearest(key, SECTIONS),
            )
        elif value != "auto" and (
            not isinstance(value, SECTIONS[key]) or (isinstance(value, bool) and SECTIONS[key] is not bool)
        ):
            yield Finding(
                "error",
                "deepspeed.value",
                places.deepspeed(key),
                f"found {value!r}",
                "the ranks would end when they start",
                f"write {'a section { … }' if SECTIONS[key] is dict else 'auto, or a value of its kind'}",
            )
    for key in file.zero:
        if key not in ZERO_KEYS:
            yield Finding(
                "error",
                "deepspeed.unknown-key",
                places.deepspeed("zero_optimization", key),
                "DeepSpeed does not know this key here",
                "the ranks would end when they start",
                nearest(key, ZERO_KEYS),
            )
    for what in ("offload_optimizer", "offload_param"):
        section = file.zero.get(what)
        for key in section if isinstance(section, dict) else ():
            if key not in OFFLOAD_KEYS:
                yield Finding(
                    "error",
                    "deepspeed.unknown-key",
                    places.deepspeed("zero_optimization", what, key),
                    "DeepSpeed does not know this key here",
                    "the ranks would end when they start",
                    nearest(key, OFFLOAD_KEYS),
                )
    stage = file.zero.get("stage", 0)
    if stage not in (0, 1, 2, 3) or isinstance(stage, bool):
        yield Finding(
            "error",
            "deepspeed.value",
            places.deepspeed("zero_optimization", "stage"),
            f"found {stage!r}",
            "the ranks would end when they start",
            "write 0, 1, 2 or 3",
        )


def _pairs(spec: RunSpec, file: DeepspeedFile, places: Places) -> Iterator[Finding]:
    for path, key in PAIRED.items():
        value: Any = file.content
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None or value == "auto" or isinstance(value, dict):
            continue
        ours = _ours(spec.axolotl, key)
        if path == ("optimizer", "params", "lr"):
            agree = f"equal to learning_rate: {ours} now" if ours == value else f"and learning_rate is {ours}"
            yield Finding(
                "error" if ours != value else "warning",
                "deepspeed.hard-coded",
                places.deepspeed(*path),
                f"{value}, {agree}",
                "the ranks would end with a ValueError as soon as the two differ",
                'write "auto"',
            )
        elif ours is not None and ours != value:
            yield Finding(
                "error",
                "deepspeed.disagrees",
                places.deepspeed(*path),
                f"{value}, and {key} is {ours} in the config",
                "the ranks would end with a ValueError when they start",
                'write "auto"',
            )


def _ours(config: dict[str, Any], key: str) -> Any:
    if key == "adam_beta1 and adam_beta2":
        betas = [config.get("adam_beta1"), config.get("adam_beta2")]
        return betas if None not in betas else None
    value = config.get(key)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return bool(value) if key in ("bf16", "fp16") else value


def _optimizer(spec: RunSpec, file: DeepspeedFile, places: Places) -> Iterator[Finding]:
    optimizer = spec.axolotl.get("optimizer")
    if "optimizer" in file.content:
        yield Finding(
            "warning",
            "deepspeed.optimizer",
            places.deepspeed("optimizer"),
            f"its own optimizer, against optimizer: {optimizer} in the config",
            "DeepSpeed's takes over, logs the learning rate one step late, and saves no scheduler.pt: no resume could be exact",
            "remove the whole section",
        )


def _batch(file: DeepspeedFile, places: Places) -> Iterator[Finding]:
    if not {"train_batch_size", "train_micro_batch_size_per_gpu"} & set(file.content):
        yield Finding(
            "error",
            "deepspeed.no-batch-size",
            places.deepspeed("train_micro_batch_size_per_gpu"),
            "no batch size",
            "DeepSpeed ends with an AssertionError when it starts",
            'write "train_micro_batch_size_per_gpu": "auto", "train_batch_size": "auto", "gradient_accumulation_steps": "auto"',
        )


def _precision(spec: RunSpec, file: DeepspeedFile, places: Places) -> Iterator[Finding]:
    for key in ("bf16", "fp16"):
        section = file.content.get(key)
        if spec.axolotl.get(key) and not (isinstance(section, dict) and "enabled" in section):
            yield Finding(
                "error",
                f"deepspeed.no-{key}",
                places.deepspeed(key),
                f"no {key}.enabled beside {key}: true in the config",
                "DeepSpeed expects float32 then, and ends with a ValueError when it sees the weights",
                f'write "{key}": {{"enabled": "auto"}}',
            )


def _stage(spec: RunSpec, file: DeepspeedFile, places: Places) -> Iterator[Finding]:
    for what in ("optimizer", "param"):
        if not file.offloads(what):
            continue
        yield Finding(
            "warning",
            "deepspeed.offload",
            places.deepspeed("zero_optimization", f"offload_{what}"),
            "offload compiles DeepSpeedCPUAdam on the node, with g++, ninja and a CUDA toolkit that fits torch's"
            + ("" if shutil.which("g++") and shutil.which("ninja") else " (not found on this machine)"),
            "without them the ranks end when they start; with LoRA it saves little and costs speed",
            "remove it, or take deepspeed_configs/zero2_offload.json and see that the compiler is there",
        )
    if file.offloads("param") and file.stage != 3:
        yield Finding(
            "error",
            "deepspeed.value",
            places.deepspeed("zero_optimization", "offload_param"),
            f"with stage {file.stage}",
            "parameters are offloaded in stage 3 alone",
            'write "stage": 3, or remove it',
        )
    if file.stage == 3 and spec.regrow.generation_eval:
        yield Finding(
            "note",
            "deepspeed.slow-generation",
            places.deepspeed("zero_optimization", "stage"),
            "ZeRO-3 beside generation at each evaluation",
            "each generated token gathers the weights anew, layer by layer: slow",
            "lower regrow.generation_eval.max_records, or turn it off with generation_eval: null",
        )
