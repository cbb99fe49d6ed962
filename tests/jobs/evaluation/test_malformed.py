"""500 malformed outputs, of every kind that models write: none raises an error, and none counts as parsed."""

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from answers import NAMES, SCORER, answer, record, row

from callbacks.shared.predictions import Generated, read_rows, write_rows
from jobs.evaluation.markdown import code
from jobs.evaluation.scores import judge, score_predictions
from jobs.evaluation.shard_file import ShardFile


def cut(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(1, len(text))]


def fenced_cut(text: str, rng: random.Random) -> str:
    return f"```json\n{cut(text, rng)}\n```"


def prose(text: str, rng: random.Random) -> str:
    return rng.choice(["該当者はいません。", "加害者: 山田太郎(30)", "{山田太郎}", "[1] を参照", "offenders: []", ""])


def prose_around_cut(text: str, rng: random.Random) -> str:
    return f"以下が結果です。\n{cut(text, rng)}\n以上です。"


def wrong_type(text: str, rng: random.Random) -> str:
    no_list: list[object] = [None, 1, "山田太郎", {}, True]
    no_entry: list[object] = ["山田太郎", [], None, {"name": 5}, {"name": None}, {"name": ""}, {"name": " "}, {"age": 30},
                              {"name": {"a": 1}}, {"name": "A", "age": [1]}]  # fmt: skip
    wrong = rng.choice([*no_list, *([{"name": "A"}, entry] for entry in no_entry)])
    return json.dumps({"offenders": wrong}, ensure_ascii=False)


def duplicate_key(text: str, rng: random.Random) -> str:
    name = rng.choice(NAMES)
    inner = f'{{"offenders": [{{"name": "{name}", "name": "{rng.choice(NAMES)}"}}]}}'
    return rng.choice([inner, f'{{"offenders": [], "offenders": {json.dumps([{"name": name}])}}}'])


def no_number(text: str, rng: random.Random) -> str:
    number = rng.choice(["NaN", "Infinity", "-Infinity", "1e999", "-1e400", "0x1F", "01", "1.", "+1", "9" * 5000])
    return f'{{"offenders": [{{"name": "{rng.choice(NAMES)}", "age": {number}}}]}}'


def surrogate(text: str, rng: random.Random) -> str:
    lone = rng.choice(["\ud800", "\udfff", "\\ud800", "\\udc00\\ud800"])
    return f'{{"offenders": [{{"name": "{lone}{rng.choice(NAMES)}"}}]}}'


def deep(text: str, rng: random.Random) -> str:
    depth = rng.choice([2000, 20000, 200000])
    return rng.choice(['{"offenders": ' + "[" * depth + "]" * depth + "}", '{"a": ' * depth + text + "}" * depth])


def broken_syntax(text: str, rng: random.Random) -> str:
    if text == answer():
        return text.replace("[]", "[,]")
    changed = [text.replace('"', "'"), text.replace(":", "="), text.replace("}]}", "}],}"), text.replace("{", "", 1)]
    return rng.choice(changed)


KINDS: tuple[Callable[[str, random.Random], str], ...] = (
    cut, fenced_cut, prose, prose_around_cut, wrong_type, duplicate_key, no_number, surrogate, deep, broken_syntax,
)  # fmt: skip


def malformed(count: int, seed: int) -> list[tuple[str, str]]:
    """Malformed outputs, each as its kind and its text."""
    rng, found = random.Random(seed), []
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        text = answer(*rng.sample(NAMES, rng.randint(0, 2)))
        found.append((kind.__name__, kind(text, rng)))
    return found


def test_500_malformed_outputs_never_raise_and_never_count_as_parsed(tmp_path: Path) -> None:
    outputs = malformed(500, seed=11)
    assert set(Counter(kind for kind, _ in outputs).values()) == {50}
    items = [record(random.Random(number)) for number in range(500)]
    predictions = [row(item, text) for item, (_, text) in zip(items, outputs, strict=True)]
    parsed = [(kind, text[:200]) for (kind, text), each in zip(outputs, predictions, strict=True) if each["parsed"]]
    assert not parsed
    scores = score_predictions(predictions, SCORER)
    assert scores["metrics"]["gen_json_parse_rate"]["value"] == 0
    assert scores["metrics"]["gen_offender_presence_f1"]["value"] == 0
    assert all(each.errors == ["not the JSON of an answer"] for each in judge(predictions, SCORER))
    write_rows(tmp_path / "predictions.jsonl", predictions)
    assert len(read_rows(tmp_path / "predictions.jsonl")) == 500
    assert all("\n" not in code(text) for _, text in outputs)


def test_500_malformed_outputs_survive_a_shard_file(tmp_path: Path) -> None:
    texts = [text for _, text in malformed(500, seed=12)]
    file, prompts = ShardFile(tmp_path / "shard.jsonl"), [f"{number}" for number in range(500)]
    with file.resumed([range(500)], prompts) as (_, writer):
        writer.append(range(500), [Generated(text, 1, False) for text in texts])
    file.finish([range(500)], prompts, {})
    assert [line["generated"] for line in file.rows()] == texts
