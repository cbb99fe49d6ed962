"""A seeded generator spoils the shipped configs. `python tests/jobs/check/mutations.py FOLDER [SEED [EACH]]` prints the mutations
and the findings of the check. All run in one process, so that Axolotl is imported only once.
"""

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from jobs.check import report
from jobs.check.shared.probe import answer
from jobs.spec.errors import ConfigError
from jobs.spec.resolve import load_run_spec

REPO_ROOT = Path(__file__).resolve().parents[3]
SEED = 20
EACH = 8
ANY_VALUES_EACH = 4
"""So many times more of the cases that put any value at any key."""
Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Mutation:
    """One change of a config, and the word that the finding must name."""

    kind: str
    name: str
    config: dict[str, Any]
    profile: dict[str, Any]
    word: str


def leaves(content: Any, above: Path_ = ()) -> Iterator[Path_]:
    """The paths of all keys, at every level."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield (*above, key)
            yield from leaves(value, (*above, key))
    elif isinstance(content, list):
        for index, item in enumerate(content):
            yield from leaves(item, (*above, index))


def at(content: Any, path: Path_) -> Any:
    for part in path:
        content = content[part]
    return content


def typo(word: str, random_: random.Random) -> str:
    """The word with a typo: one letter is missing, or stands twice."""
    place = random_.randrange(1, len(word) - 1)
    return random_.choice([word[:place] + word[place + 1 :], word[:place] + word[place] + word[place:]])


def typos(config: dict[str, Any], profile: dict[str, Any], random_: random.Random) -> Iterator[Mutation]:
    keys = [path for path in leaves(config) if isinstance(path[-1], str)]
    for path in random_.sample(keys, EACH):
        spoiled = json.loads(json.dumps(config))
        wrong = typo(str(path[-1]), random_)
        above = at(spoiled, path[:-1])
        above[wrong] = above.pop(path[-1])
        yield Mutation("typo", f"{'.'.join(map(str, path))} -> {wrong}", spoiled, profile, wrong)


WRONG_TYPES: dict[str, list[Any]] = {
    "micro_batch_size": ["many", [1]], "num_epochs": ["long", {}], "learning_rate": [[1], {"a": 1}], "lora_r": ["big", 1.5],
    "lora_alpha": ["x", []], "sequence_len": ["long", [512]], "seed": ["none", 1.5], "save_steps": ["often", []],
    "eval_steps": [[], {}], "gradient_accumulation_steps": ["four", {}], "lora_dropout": ["no", []], "datasets": ["x.json", 5],
    "warmup_ratio": ["some", []], "optimizer": ["adamw_troch", 3], "lr_scheduler": ["cosin", []], "max_grad_norm": ["one", []],
    "logging_steps": ["all", []], "weight_decay": ["little", []], "adapter": [7, ["lora"]], "sample_packing": ["maybe", 7],
    "plugins": ["callbacks.plugin.RegrowPlugin", 3], "train_on_inputs": ["perhaps", 5], "save_total_limit": ["all", []],
}  # fmt: skip


def wrong_types(config: dict[str, Any], profile: dict[str, Any], random_: random.Random) -> Iterator[Mutation]:
    for key in random_.sample([key for key in WRONG_TYPES if key in config], EACH):
        value = random_.choice(WRONG_TYPES[key])
        yield Mutation("wrong type", f"{key}: {value!r}", config | {key: value}, profile, key)


def moved_keys(config: dict[str, Any], profile: dict[str, Any], random_: random.Random) -> Iterator[Mutation]:
    kind = ["field_instruction", "field_input", "field_output", "format", "no_input_format"]
    moves: list[tuple[Path_, Path_]] = [(("datasets", 0, "type", key), ("datasets", 0)) for key in kind]
    moves += [(("datasets", 0, "type", key), ()) for key in kind]
    moves += [
        ((key,), ("regrow",)) for key in ("lora_r", "seed", "sequence_len", "optimizer", "save_steps") if key in config
    ]
    moves += [((key,), ("datasets", 0)) for key in ("lora_r", "micro_batch_size", "learning_rate") if key in config]
    moves += [(("regrow", key), ()) for key in ("prepare", "task", "generation_eval") if key in config["regrow"]]
    for source, target in random_.sample(moves, EACH):
        spoiled = json.loads(json.dumps(config))
        value = at(spoiled, source[:-1]).pop(source[-1])
        at(spoiled, target)[source[-1]] = value
        yield Mutation(
            "moved key",
            f"{'.'.join(map(str, source))} -> {'.'.join(map(str, target))}",
            spoiled,
            profile,
            str(source[-1]),
        )


def missing_files(config: dict[str, Any], profile: dict[str, Any], random_: random.Random) -> Iterator[Mutation]:
    names = random_.sample([f"no/such-{number}" for number in range(100)], EACH)
    places = ["deepspeed", "base_model", "sources", "validation", "accelerate", "deepspeed", "base_model", "sources"]
    for place, name in zip(places, names, strict=True):
        spoiled, spoiled_profile = json.loads(json.dumps(config)), json.loads(json.dumps(profile))
        if place == "accelerate":
            spoiled_profile["accelerate_config"] = f"{name}.yaml"
        elif place == "deepspeed":
            spoiled["deepspeed"] = f"{name}.json"
        elif place == "base_model":
            spoiled["base_model"] = f"./{name}"
        else:
            spoiled["regrow"]["prepare"][place][0]["path"] = f"{name}.json"
        yield Mutation("missing file", f"{place}: {name}", spoiled, spoiled_profile, name)


def unfit_resources(config: dict[str, Any], profile: dict[str, Any], random_: random.Random) -> Iterator[Mutation]:
    train: list[tuple[dict[str, Any], str]] = [
        ({"nodes": random_.randint(2, 9)}, "nodes"), ({"tasks_per_node": random_.randint(2, 8)}, "tasks_per_node"),
        ({"timeout_min": 0}, "timeout_min"), ({"cpus_per_task": 0}, "cpus_per_task"), ({"mem_gb": -1}, "mem_gb"),
        ({"timeout_min": 2, "slurm_signal_delay_s": random_.randint(120, 999)}, "slurm_signal_delay_s"),
        ({"cpus_per_task": "many"}, "cpus_per_task"), ({"gpus_per_node": "four"}, "gpus_per_node"),
        ({"gpu_per_node": 4}, "gpu_per_node"),
        ({"cpus_per_task": 3, "slurm_srun_args": ["--cpus-per-task=7"]}, "slurm_srun_args"),
    ]  # fmt: skip
    for parameters, word in train:
        spoiled = profile | {"train": profile["train"] | parameters}
        yield Mutation("unfit resources", str(parameters), config, spoiled, word)


def too_large(config: dict[str, Any], profile: dict[str, Any], random_: random.Random) -> Iterator[Mutation]:
    small = {"gpu": {"name": "A100-40GB", "memory_gib": 40}}
    changes: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"sequence_len": random_.choice([65536, 131072])}, {}), ({"micro_batch_size": random_.choice([16, 64])}, {}),
        ({"adapter": None, "lora_target_parameters": None}, {}), ({"deepspeed": None}, small),
        ({}, small), ({"bf16": False}, {}), ({"gradient_checkpointing": False}, {}),
        ({"lora_r": 256}, {}),
    ]  # fmt: skip
    for changed, changed_profile in changes:
        yield Mutation(
            "too large", f"{changed} {changed_profile}", config | changed, profile | changed_profile, "does not fit"
        )


ANYTHING: list[Any] = [
    3, -1, 1.5, 10**30, float("nan"), True, None, "", "x", "2024-01-01", [], [1], [None], [["a"]], {}, {"a": 1},
]  # fmt: skip


def any_values(config: dict[str, Any], profile: dict[str, Any], random_: random.Random) -> Iterator[Mutation]:
    """Any value at any key: the check has to answer, whatever it says."""
    config = json.loads(json.dumps(config))
    for source in (*config["regrow"]["prepare"]["sources"], *config["regrow"]["prepare"]["validation"]):
        source["take"] = 20
    places = [(role, path) for role, content in (("config", config), ("profile", profile)) for path in leaves(content)]
    cases = [(*place, value) for place in places for value in ANYTHING if place[1] != ("runs_root",)]
    random_.shuffle(cases)
    for role, path, value in cases:
        spoiled = {"config": json.loads(json.dumps(config)), "profile": json.loads(json.dumps(profile))}
        at(spoiled[role], path[:-1])[path[-1]] = value
        yield Mutation("any value", f"{role} {'.'.join(map(str, path))}: {value!r}", **spoiled, word="")


MUTATORS = (typos, wrong_types, moved_keys, missing_files, unfit_resources)


def mutations(folder: Path, seed: int) -> Iterator[Mutation]:
    """The mutations of both configs. `folder`: where the runs would be written."""
    for name, cluster in (("qwen_finetune", "a100"), ("tiny_cpu", "local")):
        random_ = random.Random(f"{seed} {name}")
        config = yaml.safe_load((REPO_ROOT / "axolotl_configs" / f"{name}.yml").read_text(encoding="utf-8"))
        profile = yaml.safe_load((REPO_ROOT / "slurm" / f"{cluster}.yml").read_text(encoding="utf-8"))
        profile["runs_root"] = str(folder / "runs")
        yield Mutation("none", name, config, profile, "")
        for mutator in (*MUTATORS, *([too_large] if name == "qwen_finetune" else []), any_values):
            yield from mutator(config, profile, random_)


def fewer(found: Iterator[Mutation], each: int) -> Iterator[Mutation]:
    """The first `each` of the mutations of each kind, of each config."""
    counts: Counter[str] = Counter()
    for mutation in found:
        if mutation.kind == "none":
            counts.clear()  # a new config begins
        counts[mutation.kind] += 1
        if counts[mutation.kind] <= (each * ANY_VALUES_EACH if mutation.kind == "any value" else each):
            yield mutation


def findings(mutation: Mutation, folder: Path) -> list[str]:
    """The findings of the check, each as a text. If the config cannot be read, the error's text."""
    (folder / "config.yml").write_text(yaml.safe_dump(mutation.config, allow_unicode=True), encoding="utf-8")
    (folder / "profile.yml").write_text(yaml.safe_dump(mutation.profile), encoding="utf-8")
    try:
        spec = load_run_spec(folder / "config.yml", str(folder / "profile.yml"))
        return [str(finding) for finding in report.check_run(spec, with_site=False).findings]
    except ConfigError as error:
        return [f"error config: {error}"]
    except Exception as error:
        error.add_note(f"in {mutation.kind}: {mutation.name}")
        raise


@cache
def answered(name: str, question: str) -> str:
    return json.dumps(answer(name, json.loads(question)))


def ask_here(spec: Any, questions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: json.loads(answered(name, json.dumps(question))) for name, question in questions.items()}


def main() -> None:
    folder, *typed = sys.argv[1:]
    seed, each = (int(typed[0]) if typed else SEED), (int(typed[1]) if len(typed) > 1 else EACH)
    report.ask = ask_here
    rows: list[dict[str, Any]] = []
    for mutation in fewer(mutations(Path(folder), seed), each):
        rows.append(
            {
                "kind": mutation.kind,
                "name": mutation.name,
                "word": mutation.word,
                "findings": findings(mutation, Path(folder)),
            }
        )
    (Path(folder) / "found.json").write_text(json.dumps(rows, ensure_ascii=False))


if __name__ == "__main__":
    main()
