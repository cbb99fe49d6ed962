"""Predictions: one row per generated record, and the metrics over rows. Light; training and evaluation write the same."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callbacks.shared.args import Target
from callbacks.shared.extraction import case_verdict, keyword_rule_f1, score
from callbacks.shared.manifest import write_atomically
from callbacks.shared.prompts import PromptFormat

Row = dict[str, Any]
"""`input`, `expected`, `generated`, and the verdict of `extraction.case_verdict`."""


@dataclass(frozen=True)
class Generated:
    """What a model wrote after one prompt."""

    text: str
    """Without special tokens."""
    tokens: int
    """New ones, the end-of-text token included."""
    is_cut: bool
    """It had not come to its end after max_new_tokens."""


def prediction_row(prompt_format: PromptFormat, record: Mapping[str, str], generated: str, target: Target) -> Row:
    expected = prompt_format.answer(record)
    verdict = case_verdict(expected, generated, target)
    return {"input": prompt_format.article(record), "expected": expected, "generated": generated, **verdict}


def prediction_metrics(rows: Sequence[Row], target: Target) -> dict[str, float]:
    """The scores of `extraction.score`, how many of them were 0/0 (`gen_undefined_metrics`), and the keyword rule's F1."""
    scores = score([(row["expected"], row["generated"]) for row in rows], target)
    metrics = scores.metrics | {"gen_undefined_metrics": float(len(scores.undefined))}
    if target.keywords:
        rule = keyword_rule_f1([(row["input"], row["expected"]) for row in rows], target)
        metrics["gen_keyword_rule_presence_f1"] = rule
    return metrics


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """JSON lines, whole or not at all."""
    write_atomically(path, "".join(f"{json_text(row)}\n" for row in rows))


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON that people can read; what is no Unicode text (a lone surrogate) stays an escape."""
    return json.dumps(value, ensure_ascii=False, indent=indent).encode("utf-8", "backslashreplace").decode()


def read_rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
