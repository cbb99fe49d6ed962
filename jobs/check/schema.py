"""Compares the config with the Axolotl that will run it: keys that it ignores, values that it rejects or fails on."""

import difflib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from callbacks.shared.args import Regrow
from jobs.check.shared.axolotl_keys import key_tree, places_of, unknown_keys
from jobs.check.shared.finding import Finding, Level
from jobs.check.shared.places import Places
from jobs.spec.run_spec import PLUGIN, RunSpec, mappings, texts

SUCCESSORS = {
    "datasets_eval": "write `test_datasets`, each with path, ds_type, split: train and type",
    "unsloth": "remove it; this Axolotl has no Unsloth",
    "model_type": "remove it, and trust_remote_code with it, if transformers knows the model; "
    "else write the name of the class, e.g. Qwen3MoeForCausalLM",
}
"""What to write in place of keys that other trainers, or older Axolotls, know."""
VALUE_FIXES = {
    "chat_template": "write `tokenizer_default` for the template of the model's own tokenizer",
    "type": "write the prompt format:\n      type: {field_instruction: instruction, field_input: input, field_output: output, "
    'format: "...{instruction}...{input}...", no_input_format: "...{instruction}..."}',
}
FLOAT_AS_TEXT = re.compile(r"[+-]?\d+[eE][+-]?\d+|[+-]?\d+\.?\d*[eE]\d+")
"""A number that YAML 1.1 reads as text, because it has no point or no sign."""
PASSED_ON = {
    "gradient_checkpointing_kwargs": "use_reentrant preserve_rng_state context_fn determinism_check debug early_stop".split()
}
"""Mappings that Axolotl passes on as they are: here to torch.utils.checkpoint.checkpoint."""
DROPPED = "Axolotl would ignore the key without a message, and train without it"


def schema_question(spec: RunSpec) -> dict[str, Any]:
    """The question to `jobs.check.shared.probe`. Paths are removed: the answer does not depend on where the files are."""
    config: dict[str, Any] = json.loads(json.dumps(spec.axolotl))
    for key in ("output_dir", "dataset_prepared_path"):
        if key in config:
            config[key] = "."
    for key, stand_in in (("base_model", "model"), ("deepspeed", "zero.json")):
        if isinstance(config.get(key), str):
            config[key] = stand_in
    for role in ("datasets", "test_datasets"):
        for dataset in mappings(config.get(role)):
            if "path" in dataset:
                dataset["path"] = "records.json"
    plugins = [plugin for plugin in texts(config.pop("plugins", None)) if plugin != PLUGIN and ":" not in plugin]
    return {"config": config, "plugins": plugins, "gpus": spec.gpus("train")}


def schema_findings(spec: RunSpec, places: Places, answer: dict[str, Any]) -> Iterator[Finding]:
    """Findings about unknown, misplaced and deprecated keys, rejected values, and plugins."""
    if "error" in answer:
        yield Finding.error(
            "schema.invalid",
            places.config(),
            found=answer["error"],
            cost="Axolotl cannot read this config",
            fix="compare it with a config in axolotl_configs/",
        )
        return
    tree = (
        answer["tree"] | {"regrow": key_tree(Regrow)} | {key: dict.fromkeys(known) for key, known in PASSED_ON.items()}
    )
    tree["fsdp_config"] = tree["fsdp_config"] | {f"fsdp_{key}": None for key in tree["fsdp_config"]}  # the old names
    yield from _unknown(spec, places, tree)
    yield from _deprecated(spec, places, answer["deprecated"])
    yield from _rejected(places, answer["rejected"])
    yield from _numbers_as_text(spec.axolotl, places, ())
    yield from _plugins(spec, places, answer["failed_plugins"])
    yield from _precision(spec, places, has_gpu=bool(answer["has_gpu"]))
    yield from _sharding(spec, places, has_gpu=bool(answer["has_gpu"]))


def _precision(spec: RunSpec, places: Places, has_gpu: bool) -> Iterator[Finding]:
    """Half precision where no GPU trains. Axolotl makes `bf16: auto`, which is its default, to fp16 there.

    Args:
        has_gpu: whether this machine has one, which a run on this machine may use.
    """
    config = spec.axolotl
    if spec.trains_on_gpu(has_gpu) or config.get("fp16") or config.get("float16"):
        return
    if config.get("bf16") in (None, "auto"):
        yield Finding.error(
            "schema.cpu-precision",
            places.config("bf16"),
            found=f"bf16: {config.get('bf16') or 'auto'}, and {spec.cluster} trains without a GPU",
            cost="Axolotl would choose fp16, and the training would end in its first step",
            fix="write bf16: false; or `--set bf16=false`",
        )


def _sharding(spec: RunSpec, places: Places, has_gpu: bool) -> Iterator[Finding]:
    """FSDP where no GPU trains: accelerate shards on accelerators alone, and Axolotl asks for a mesh of CUDA devices."""
    key = next((key for key in ("fsdp_config", "fsdp") if spec.axolotl.get(key)), None)
    if key and not spec.trains_on_gpu(has_gpu):
        yield Finding.error(
            "schema.cpu-fsdp",
            places.config(key),
            found=f"FSDP, and {spec.cluster} trains without a GPU",
            cost="Axolotl asks for CUDA devices: the training would end before its first step",
            fix="remove the key; on CPUs, DDP and DeepSpeed's ZeRO work",
        )


def _unknown(spec: RunSpec, places: Places, tree: dict[str, Any]) -> Iterator[Finding]:
    for path, known in unknown_keys(spec.axolotl, tree):
        key = path[-1]
        # A common word may also be a key of a section that this config does not have, or of a mapping that is passed on.
        sections = {"regrow", *spec.axolotl} - PASSED_ON.keys()
        known_in = [above for above in places_of(key, tree) if not above or above[0] in sections]
        elsewhere = next((above for above in sorted(known_in, key=len) if above != path[:-1]), None)
        if _value_at(spec.axolotl, path) is None:
            continue  # `key:` without a value sets nothing
        close = _meant(key, known)
        level: Level = "error"
        if key in SUCCESSORS:
            code, fix = "schema.unknown-key", SUCCESSORS[key]
        elif close and elsewhere is None:
            code, fix = "schema.unknown-key", f"did you mean `{close[0]}`?"
        elif elsewhere is not None:
            code, fix = "schema.misplaced-key", f"write it {_where(elsewhere)}"
        else:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean `{close[0]}`? Or " if close else ""
            code, fix = "schema.unknown-key", f"{hint}remove it, or look for it in Axolotl's config reference"
            level = (
                "warning"  # of an older Axolotl, or of another tool: nothing says that the user meant a key of this one
            )
        yield Finding(
            level,
            code,
            places.config(*path),
            found="Axolotl does not know this key here",
            cost=DROPPED,
            fix=fix,
        )


def _meant(key: str, known: Collection[str]) -> list[str]:
    """The known key of which `key` is a misspelling or a short form, in a list; empty: there is none."""
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.85)
    return close or [other for other in sorted(known) if _is_short_form(key, other) or _is_short_form(other, key)][:1]


def _is_short_form(short: str, whole: str) -> bool:
    return whole.startswith(short) and len(short) > 0.6 * len(whole)


def _value_at(content: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        content = content[int(part)] if isinstance(content, list) else content.get(part)
    return content


def _where(above: tuple[str, ...]) -> str:
    return f"under `{'.'.join(above)}:`" if above else "at the top level"


def _deprecated(spec: RunSpec, places: Places, deprecated: Mapping[str, str]) -> Iterator[Finding]:
    for key in spec.axolotl:
        if key in deprecated:
            yield Finding.warning(
                "schema.deprecated-key",
                places.config(key),
                found=f"deprecated: {deprecated[key]}",
                cost="the next Axolotl may ignore the key without a message",
                fix=_successor(deprecated[key]),
            )


def _successor(said: str) -> str:
    """What to write, from the text of Axolotl's own message."""
    match = re.search(r"[Uu]se `?([a-z_.]+(?:: \w+)?)`?", said)
    return f"write `{match[1]}`" if match else "remove it"


def _rejected(places: Places, rejected: list[dict[str, Any]]) -> Iterator[Finding]:
    """`rejected`: `jobs.spec.wrong_value.WrongValue`s as mappings."""
    for wrong in rejected:
        key = wrong["key"]
        fixes = [wrong["fix"], VALUE_FIXES.get(key[-1] if key else "", "")]
        yield Finding.error(
            "schema.value",
            places.config(*key),
            found=wrong["found"],
            cost="every rank would fail with this error at start",
            fix="; or ".join(filter(None, fixes)) or "correct the values that the message names",
        )


def _numbers_as_text(content: Any, places: Places, above: tuple[str | int, ...]) -> Iterator[Finding]:
    if isinstance(content, Mapping | list):
        items = content.items() if isinstance(content, Mapping) else enumerate(content)
        for key, value in items:
            yield from _numbers_as_text(value, places, (*above, key))
    elif isinstance(content, str) and FLOAT_AS_TEXT.fullmatch(content):
        mantissa, _, exponent = content.lower().partition("e")
        point = mantissa if "." in mantissa else f"{mantissa}.0"
        sign = exponent if exponent[0] in "+-" else f"+{exponent}"
        yield Finding.warning(
            "schema.number-as-text",
            places.config(*above),
            found=f"YAML reads {content} as text, not as a number",
            cost="some libraries convert it, others fail in the first step",
            fix=f"write {point}e{sign}",
        )


def _plugins(spec: RunSpec, places: Places, failed: Mapping[str, str]) -> Iterator[Finding]:
    fix = "write the dotted path of a subclass of axolotl.integrations.base.BasePlugin that can be imported from the repo root"
    if not isinstance(written := spec.axolotl.get("plugins"), list):
        yield Finding.error(
            "schema.value",
            places.config("plugins"),
            found=f"found {written!r}",
            cost="no plugin would be loaded",
            fix=fix,
        )
    for index, plugin in enumerate(texts(written)):
        if ":" in plugin:
            found = f"`{plugin}` has the form module:class, but Axolotl needs module.Class"
        elif plugin in failed:
            found = failed[plugin]
        else:
            continue
        cost = "Axolotl would log an error, train without the plugin, and exit with 0"
        yield Finding.error(
            "schema.plugin",
            places.config("plugins", index),
            found=found,
            cost=cost,
            fix=fix,
        )
