"""Compares the DeepSpeed file with the Axolotl config."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.check.shared.deepspeed_file import DeepspeedFile, deepspeed_file
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
"""Values that the config has too; transformers refuses to train if the two differ (HfTrainerDeepSpeedConfig)."""
AT_START = "every rank would fail at start"


def deepspeed_findings(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Where file and config disagree; what is missing in the file, or does not belong there."""
    named = spec.axolotl.get("deepspeed")
    if named is None:
        return
    file = deepspeed_file(spec)
    if file is None:
        if isinstance(named, str) and Path(named).is_file():
            yield Finding.error(
                "deepspeed.unreadable",
                places.deepspeed(),
                found="the file is not a JSON object",
                cost=AT_START,
                fix="compare it with deepspeed_configs/zero2.json",
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
            yield Finding.error(
                "deepspeed.unknown-key",
                places.deepspeed(key),
                found="DeepSpeed does not know this key",
                cost="DeepSpeed would ignore the key without a message",
                fix=nearest(key, SECTIONS),
            )
        elif value != "auto" and (
            not isinstance(value, SECTIONS[key]) or (isinstance(value, bool) and SECTIONS[key] is not bool)
        ):
            yield Finding.error(
                "deepspeed.value",
                places.deepspeed(key),
                found=f"found {value!r}",
                cost=AT_START,
                fix=f"write {'a section { … }' if SECTIONS[key] is dict else 'auto, or a value of its kind'}",
            )
    for key in file.zero:
        if key not in ZERO_KEYS:
            yield Finding.error(
                "deepspeed.unknown-key",
                places.deepspeed("zero_optimization", key),
                found="DeepSpeed does not know this key here",
                cost=AT_START,
                fix=nearest(key, ZERO_KEYS),
            )
    for what in ("offload_optimizer", "offload_param"):
        section = file.zero.get(what)
        for key in section if isinstance(section, dict) else ():
            if key not in OFFLOAD_KEYS:
                yield Finding.error(
                    "deepspeed.unknown-key",
                    places.deepspeed("zero_optimization", what, key),
                    found="DeepSpeed does not know this key here",
                    cost=AT_START,
                    fix=nearest(key, OFFLOAD_KEYS),
                )
    stage = file.zero.get("stage", 0)
    if stage not in (0, 1, 2, 3) or isinstance(stage, bool):
        yield Finding.error(
            "deepspeed.value",
            places.deepspeed("zero_optimization", "stage"),
            found=f"found {stage!r}",
            cost=AT_START,
            fix="write 0, 1, 2 or 3",
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
            agree = (
                "the same as learning_rate in the config"
                if ours == value
                else f"but learning_rate is {ours} in the config"
            )
            yield Finding(
                "error" if ours != value else "warning",
                "deepspeed.hard-coded",
                places.deepspeed(*path),
                found=f"{value}, {agree}",
                cost="every rank would fail with a ValueError as soon as the two differ",
                fix='write "auto"',
            )
        elif ours is not None and ours != value:
            yield Finding.error(
                "deepspeed.disagrees",
                places.deepspeed(*path),
                found=f"{value}, but {key} is {ours} in the config",
                cost="every rank would fail with a ValueError at start",
                fix='write "auto"',
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
        yield Finding.warning(
            "deepspeed.optimizer",
            places.deepspeed("optimizer"),
            found=f"an optimizer of its own, beside `optimizer: {optimizer}` in the config",
            cost="DeepSpeed would use its own; the log would show the learning rate one step late, and no scheduler.pt be saved, "
            "so that no resume would be exact",
            fix="remove the whole section",
        )


def _batch(file: DeepspeedFile, places: Places) -> Iterator[Finding]:
    if not {"train_batch_size", "train_micro_batch_size_per_gpu"} & set(file.content):
        yield Finding.error(
            "deepspeed.no-batch-size",
            places.deepspeed("train_micro_batch_size_per_gpu"),
            found="no batch size",
            cost="DeepSpeed would fail with an AssertionError at start",
            fix='write "train_batch_size": "auto", "train_micro_batch_size_per_gpu": "auto", '
            '"gradient_accumulation_steps": "auto"',
        )


def _precision(spec: RunSpec, file: DeepspeedFile, places: Places) -> Iterator[Finding]:
    for key in ("bf16", "fp16"):
        section = file.content.get(key)
        if spec.axolotl.get(key) and not (isinstance(section, dict) and "enabled" in section):
            yield Finding.error(
                f"deepspeed.no-{key}",
                places.deepspeed(key),
                found=f"no {key}.enabled, but the config has {key}: true",
                cost="DeepSpeed would expect float32, and fail with a ValueError when it gets the weights",
                fix=f'write "{key}": {{"enabled": "auto"}}',
            )


def _stage(spec: RunSpec, file: DeepspeedFile, places: Places) -> Iterator[Finding]:
    for what in ("optimizer", "param"):
        if not file.offloads(what):
            continue
        yield Finding.warning(
            "deepspeed.offload",
            places.deepspeed("zero_optimization", f"offload_{what}"),
            found="offloading compiles DeepSpeedCPUAdam on the node: it needs g++, ninja and the CUDA toolkit of torch's version"
            + ("" if shutil.which("g++") and shutil.which("ninja") else " (not found on this machine)"),
            cost="without these, every rank would fail at start; with LoRA, offloading saves little memory and costs speed",
            fix="remove it, or use deepspeed_configs/zero2_offload.json and make sure that the nodes have the compiler",
        )
    if file.offloads("param") and file.stage != 3:
        yield Finding.error(
            "deepspeed.value",
            places.deepspeed("zero_optimization", "offload_param"),
            found=f"offload_param with stage {file.stage}",
            cost="DeepSpeed offloads parameters in stage 3 only",
            fix='write "stage": 3, or remove offload_param',
        )
    if file.stage == 3 and spec.regrow.generation_eval:
        yield Finding.note(
            "deepspeed.slow-generation",
            places.deepspeed("zero_optimization", "stage"),
            found="ZeRO-3, and generation at each evaluation",
            cost="generation is slow: each token gathers the weights again, layer by layer",
            fix="lower regrow.generation_eval.max_records, or turn it off with generation_eval: null",
        )
