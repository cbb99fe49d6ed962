"""Configs of many kinds, as people have them: each goes from `regrow submit` to a report that fits its kind.

Over 250 lines: most of them are the configs.
"""

import csv
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from sampling import sampled
from world import World

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import read_journal
from callbacks.shared.predictions import read_rows
from jobs.report.write import can_be_evaluated
from jobs.spec.paths import RunPaths
from jobs.spec.run_spec import RunSpec

COLOURS, THINGS = ("red", "green", "blue"), ("cat", "dog", "car", "tree")
SCORER = """
def first_letter(expected, generated, input):
    return {"first_letter": expected[:1] == generated[:1], "is_short": len(generated) < 20}
"""
Record = dict[str, Any]


def facts(number: int) -> tuple[str, str, str]:
    rng = random.Random(number)
    colour, thing = rng.choice(COLOURS), rng.choice(THINGS)
    return f"The {colour} {thing} number {number}.", colour, thing


def chat(number: int) -> Record:
    text, colour, thing = facts(number)
    said = [("user", text), ("assistant", thing), ("user", "Its colour?"), ("assistant", colour)]
    return {"messages": [{"role": role, "content": content} for role, content in said]}


def alpaca(number: int) -> Record:
    text, colour, _ = facts(number)
    return {"instruction": "Which colour?", "input": text, "output": colour}


def as_json(number: int) -> Record:
    _, colour, thing = facts(number)
    return alpaca(number) | {"output": json.dumps({"colour": colour, "thing": thing})}


def pair(number: int) -> Record:
    text, colour, thing = facts(number)
    return {"prompt": text, "chosen": colour, "rejected": thing}


def opinion(number: int) -> Record:
    text, colour, thing = facts(number)
    return {"instruction": text, "completion": colour if number % 2 else thing, "label": bool(number % 2)}


def plain(number: int) -> Record:
    return {"text": facts(number)[0] * 3}


@dataclass(frozen=True)
class Kind:
    """One config: its records, its keys, and what its report must show."""

    record: Callable[[int], Record]
    config: dict[str, Any]
    """Without what `BASE` says; `{train}`, `{validation}` and `{csv}` stand for files of records."""
    task: dict[str, Any] | None = None
    columns: Sequence[str] = ()
    """Columns of the report's table of evaluated steps."""
    expected: Sequence[str] = field(default=COLOURS)
    """The answers that the records expect."""
    prepare: dict[str, Any] | None = None
    records: int | None = None
    """The validation records; None: some."""


BASE: dict[str, Any] = {
    "sequence_len": 512,
    "micro_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "max_steps": 4,
    "save_steps": 2,
    "save_total_limit": 2,
    "learning_rate": 0.001,
    "optimizer": "adamw_torch",
    "logging_steps": 1,
    "adapter": "lora",
    "lora_r": 4,
    "lora_alpha": 8,
    "lora_target_modules": ["q_proj", "v_proj"],
    "output_dir": "./out",
    "bf16": False,
}
SPLIT = {"val_set_size": 0.2, "eval_steps": 2}
LOSS = ("eval loss",)
TEXT = ("exact", "normalised", "token F1", "ROUGE-L", "chrF")
SCHEMA = {"type": "object", "required": ["colour"], "properties": {"colour": {"type": "string"}}}
FORMAT = {
    "field_instruction": "instruction",
    "field_input": "input",
    "field_output": "output",
    "format": "{instruction} {input}\n",
    "no_input_format": "{instruction}\n",
}
PAIR = {"field_prompt": "prompt", "field_chosen": "chosen", "field_rejected": "rejected"}
KINDS = {
    "chat": Kind(chat, {"datasets": [{"path": "{train}", "type": "chat_template"}], **SPLIT}, None, LOSS),
    "chat as text": Kind(
        chat, {"datasets": [{"path": "{train}", "type": "chat_template"}], **SPLIT}, {"kind": "text"}, LOSS + TEXT
    ),
    "two data sets": Kind(
        alpaca,
        {
            "datasets": [
                {"path": "{train}", "ds_type": "json", "type": "alpaca"},
                {"path": "{csv}", "ds_type": "csv", "type": "alpaca"},
            ],
            **SPLIT,
        },
        None,
        LOSS,
    ),
    "labels of a csv": Kind(
        alpaca,
        {"datasets": [{"path": "{csv}", "ds_type": "csv", "type": "alpaca"}], **SPLIT},
        {"kind": "label", "labels": list(COLOURS)},
        (*LOSS, "accuracy", "macro F1", "known labels"),
    ),
    "json by schema": Kind(
        as_json,
        {
            "datasets": [{"path": "{train}", "type": FORMAT}],
            "eval_steps": 2,
            "test_datasets": [{"path": "{validation}", "ds_type": "json", "split": "train", "type": FORMAT}],
        },
        {"kind": "json", "json_schema": SCHEMA},
        (*LOSS, "parse rate", "schema valid", "keys right", "exact"),
        [json.dumps({"colour": c, "thing": t}) for c in COLOURS for t in THINGS],
    ),
    "two validation sets": Kind(
        alpaca,
        {
            "datasets": [{"path": "{train}", "type": "alpaca"}],
            "eval_steps": 2,
            "test_datasets": [
                {"path": "{validation}", "ds_type": "json", "split": "train", "type": FORMAT},
                {"path": "{csv}", "ds_type": "csv", "split": "train", "type": "alpaca"},
            ],
        },
        {"kind": "text"},
        LOSS + TEXT,
        records=6 + 40,
    ),
    "chat, merged": Kind(
        chat,
        {
            "datasets": [{"path": "merged.json", "type": "chat_template"}],
            "eval_steps": 2,
            "test_datasets": [
                {"path": "merged-val.json", "ds_type": "json", "split": "train", "type": "chat_template"}
            ],
        },
        {"kind": "text"},
        LOSS + TEXT,
        prepare={"sources": [{"path": "{train}", "repeat": 2, "take": 30}], "validation": [{"path": "{validation}"}]},
        records=6,
    ),
    "own scorer": Kind(
        alpaca,
        {
            "datasets": [{"path": "{train}", "type": "alpaca"}],
            "eval_steps": 2,
            "test_datasets": [{"path": "{validation}", "ds_type": "json", "split": "train", "type": "alpaca"}],
        },
        {"scorer": "letters.first_letter"},
        (*LOSS, "first letter", "is short"),
    ),
    "dpo": Kind(pair, {"rl": "dpo", "datasets": [{"path": "{train}", "ds_type": "json", "type": PAIR}]}),
    "kto": Kind(
        opinion,
        {
            "rl": "kto",
            "datasets": [{"path": "{train}", "ds_type": "json", "type": "llama3.argilla"}],
            "remove_unused_columns": False,
        },
    ),
    "full, packed": Kind(
        alpaca,
        {
            "datasets": [{"path": "{train}", "type": "alpaca"}],
            "adapter": None,
            "lora_r": None,
            "lora_alpha": None,
            "lora_target_modules": None,
            "sample_packing": True,
            "pad_to_sequence_len": True,
        },
    ),
    "plain text": Kind(plain, {"datasets": [{"path": "{train}", "type": "completion"}]}),
    "pretraining stream": Kind(
        plain,
        {
            "pretraining_dataset": [
                {"path": "json", "data_files": ["{train}"], "text_column": "text", "type": "pretrain"}
            ],
            "streaming": True,
        },
    ),
    "epochs": Kind(
        alpaca,
        {
            "datasets": [{"path": "{train}", "type": "alpaca"}],
            "max_steps": None,
            "num_epochs": 1,
            "micro_batch_size": 10,
            "save_strategy": "epoch",
            "save_steps": None,
        },
    ),
}


def written(folder: Path, kind: Kind, model: Path) -> Path:
    """The config with its records, without a `regrow:` section where there is no task."""
    records = [kind.record(number) for number in range(40)]
    for name, some in (("train", records), ("validation", records[:6])):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in some), encoding="utf-8")
    with (folder / "records.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(records[0]))
        table.writeheader()
        table.writerows(records)
    (folder / "letters.py").write_text(SCORER)
    config = {"base_model": str(model)} | BASE | kind.config
    if kind.task:
        sizes = {"max_records": 4, "max_new_tokens": 4, "batch_size": 4}
        config["regrow"] = {"task": kind.task, "generation_eval": sizes, "evaluate": {"shards": 1, "max_new_tokens": 4}}
    if kind.prepare:
        config.setdefault("regrow", {})["prepare"] = kind.prepare
    text = yaml.safe_dump({key: value for key, value in config.items() if value is not None}, sort_keys=False)
    files = {"{train}": "train.jsonl", "{validation}": "validation.jsonl", "{csv}": "records.csv"}
    for mark, file in files.items():
        text = text.replace(f"'{mark}'", file)
    (folder / "mine.yml").write_text(text)
    return folder / "mine.yml"


@pytest.mark.parametrize("name", sampled(list(KINDS), 2))
def test_a_config_of_each_kind_goes_through_to_a_report_that_fits_it(name: str, world: World, tmp_path: Path) -> None:
    kind, run = KINDS[name], RunPaths(world.runs_root / f"kind-{name.replace(' ', '-').replace(',', '')}")
    written(tmp_path, kind, world.folder / "model")
    places = [f"runs_root={world.runs_root}", f"tracking_uri={world.tracking_uri}"]
    settings = [flag for place in places for flag in ("--set", place)]
    done = world.regrow("submit", "mine.yml", "--name", run.run_dir.name, *settings, where=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    spec, entries = RunSpec.load(run.run_dir), read_journal(run.journal)
    assert only(entries, events.RunEnded)[-1].status == "FINISHED"
    assert can_be_evaluated(spec, entries)
    assert ("evaluate" in spec.stages) is bool(kind.task)
    table = next((line for line in run.report.read_text().splitlines() if line.startswith("| step ")), "| step |")
    assert [cell.strip() for cell in table.strip("|").split("|")] == ["step", *kind.columns]
    assert list(run.checkpoints.glob("checkpoint-*"))
    if kind.task:
        rows = read_rows(run.evaluation("final").predictions)
        assert len(rows) == (kind.records or len(rows)) > 0
        assert {row["expected"].strip() for row in rows} <= set(kind.expected)
        assert all(row["input"].strip() for row in rows)
