"""Random records with right and wrong answers, for the tests of the evaluation."""

import json
import random
from typing import Any

from callbacks.shared.args import ExtractionTask
from callbacks.shared.predictions import Row, prediction_row
from callbacks.shared.prompts import PromptFormat
from callbacks.shared.tasks.extraction_scorer import ExtractionScorer

SCORER = ExtractionScorer(ExtractionTask(keywords=("逮捕",)))
NAMES = ["山田太郎", "鈴木一郎", "佐藤花子", "高橋健"]


def answer(*names: str, age: int = 30) -> str:
    entries = [{"name": name, "age": age, "occupation": "無職", "offence": "窃盗"} for name in names]
    return json.dumps({"offenders": entries}, ensure_ascii=False)


def record(rng: random.Random) -> dict[str, str]:
    """A record whose article names all offenders, and sometimes other persons."""
    offenders = rng.sample(NAMES, rng.choice([0, 0, 1, 1, 2]))
    others = rng.sample(NAMES, rng.randint(0, 2))
    text = "".join(f"{name}容疑者を逮捕した。" for name in offenders) + "".join(
        f"{name}さんは驚いた。" for name in others
    )
    return {"instruction": "誰か", "input": text + "晴れ。" * rng.randint(1, 20), "output": answer(*offenders)}


def generated(expected: str, rng: random.Random) -> str:
    """An answer of a model of medium quality."""
    wrong = answer(*rng.sample([*NAMES, "幽霊次郎"], rng.randint(0, 2)), age=rng.choice([30, 31]))
    return rng.choice([expected, expected, wrong, answer(), expected[:-2], "わかりません"])


def row(item: dict[str, str], text: str, **more: Any) -> Row:
    return prediction_row(PromptFormat().sample(item), text, SCORER) | {"tokens": 1, "is_cut": False} | more


def rows(count: int, seed: int) -> list[Row]:
    """Predictions of one model. Another `seed` gives the predictions of another model on the same records."""
    items = [record(random.Random(number)) for number in range(count)]
    rng = random.Random(seed)
    return [row(item, generated(item["output"], rng)) for item in items]
