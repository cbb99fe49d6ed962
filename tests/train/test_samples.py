"""The prompts of generation are those of the training, token by token, whatever the strategy."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from world import World

SAID = "a short answer"
ASK = """
import json, sys
from axolotl.utils.data.wrappers import get_dataset_wrapper
from callbacks.shared.tokens.samples import samples, tokenised_samples
from callbacks.shared.tokens.seen import load_records, loaded_config
found = []
for axolotl, dataset in json.load(open(sys.argv[1])):
    config, tokenizer = loaded_config(axolotl, [dataset])
    trained, _ = get_dataset_wrapper(config.datasets[0], tokenizer, config, str(dataset["type"]).split(":")[0],
                                     load_records(dataset, axolotl), None)
    made = samples(axolotl, dataset)
    found.append([
        {"prompt": one.prompt, "input": one.input, "expected": one.expected, "tokens": one.tokens, "trained": row["input_ids"],
         "eos": tokenizer.eos_token_id, "answer": tokenizer(one.expected, add_special_tokens=False)["input_ids"]}
        for one, row in zip(made, trained)
    ])
    split_off = [] if axolotl.get("train_on_inputs") else [one.tokens for one in tokenised_samples(list(trained), tokenizer)]
    assert split_off in ([], [one.tokens for one in made])
print(json.dumps(found))
"""
SPOKEN = [
    ("system", "Be brief."),
    ("user", "first"),
    ("assistant", "one"),
    ("user", "the question"),
    ("assistant", SAID),
]
TURNS = [{"role": role, "content": text} for role, text in SPOKEN]
OTHERS = [{"from": {"user": "human", "assistant": "gpt"}.get(role, role), "value": text} for role, text in SPOKEN]
WORD = {"type": "object", "properties": {"word": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "look", "description": "Look it up.", "parameters": WORD}}
RECORD = {"instruction": "Answer.", "input": "the question", "output": SAID}
NAMES = {"role": "from", "content": "value"}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "messages": ({}, {"type": "chat_template"}, {"messages": TURNS}),
    "conversations": ({}, {"type": "chat_template", "field_messages": "conversations", "message_property_mappings": NAMES},
                      {"conversations": OTHERS}),
    "all turns": ({}, {"type": "chat_template", "roles_to_train": ["user", "assistant"]}, {"messages": TURNS}),
    "inputs too": ({"train_on_inputs": True}, {"type": "chat_template"}, {"messages": TURNS}),
    "a template with thoughts": ({"chat_template": "qwen3"}, {"type": "chat_template"}, {"messages": TURNS}),
    "tools": ({"chat_template": "qwen3"}, {"type": "chat_template"}, {"messages": TURNS, "tools": [TOOL]}),
    "thoughts off": ({"chat_template": "qwen3", "chat_template_kwargs": {"enable_thinking": False}}, {"type": "chat_template"},
                     {"messages": TURNS}),
    "alpaca": ({}, {"type": "alpaca"}, RECORD),
    "alpaca, inputs too": ({"train_on_inputs": True}, {"type": "alpaca"}, RECORD),
    "alpaca_chat": ({}, {"type": "alpaca_chat.load_qa"}, {"question": "the question", "answer": SAID}),
}  # fmt: skip


def asked(
    world: World, folder: Path, run: Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
) -> dict[str, list[dict[str, Any]]]:
    questions = []
    for name, (config, dataset, record) in KINDS.items():
        path = folder / f"{name}.jsonl"
        path.write_text(f"{json.dumps(record)}\n", encoding="utf-8")
        shared = {"base_model": str(world.folder / "model"), "sequence_len": 512, "chat_template": "tokenizer_default"}
        questions.append((shared | config, {"path": str(path), "ds_type": "json"} | dataset))
    (folder / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
    done = run(["-c", ASK, str(folder / "questions.json")])
    assert done.returncode == 0, done.stderr
    return dict(zip(KINDS, json.loads(done.stdout.splitlines()[-1]), strict=True))


def test_prompt_tokens_of_generation_are_those_of_training(
    world: World, tmp_path: Path, run_python: Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
) -> None:
    for name, found in asked(world, tmp_path, run_python).items():
        (one,) = found
        prompt, trained = one["tokens"], one["trained"]
        assert prompt and trained[: len(prompt)] == prompt, name
        rest = trained[len(prompt) :]
        assert rest[: len(one["answer"])] == one["answer"] and one["eos"] in rest, name
        assert one["expected"].strip() == SAID, name
        assert one["input"] == "the question", name
        assert "the question" in one["prompt"] and SAID not in one["prompt"], name
