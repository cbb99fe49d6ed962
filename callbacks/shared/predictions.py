"""Predictions: one row for each generated record, and the metrics of rows. Light; training and evaluation write the same rows."""

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
"""`input`, `expected`, `generated`, and the keys of `extraction.case_verdict`."""


@dataclass(frozen=True)
class Generated:
    """The answer of a model to one prompt."""

    text: str
    """The text, without special tokens."""
    tokens: int
    """Number of new tokens, the end-of-text token included."""
    is_cut: bool
    """Whether the answer had not ended after max_new_tokens."""


def prediction_row(prompt_format: PromptFormat, record: Mapping[str, str], generated: str, target: Target) -> Row:
    expected = prompt_format.answer(record)
    verdict = case_verdict(expected, generated, target)
    return {"input": prompt_format.article(record), "expected": expected, "generated": generated, **verdict}


def prediction_metrics(rows: Sequence[Row], target: Target) -> dict[str, float]:
    """The scores of `extraction.score`, how many are undefined (`gen_undefined_metrics`), and the F1 of the keyword rule."""
    scores = score([(row["expected"], row["generated"]) for row in rows], target)
    metrics = scores.metrics | {"gen_undefined_metrics": float(len(scores.undefined))}
    if target.keywords:
        rule = keyword_rule_f1([(row["input"], row["expected"]) for row in rows], target)
        metrics["gen_keyword_rule_presence_f1"] = rule
    return metrics


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as JSON lines, completely or not at all."""
    write_atomically(path, "".join(f"{json_text(row)}\n" for row in rows))


def json_text(value: Any, indent: int | None = None) -> str:
    """Readable JSON; a character that UTF-8 cannot encode (a lone surrogate) stays an escape."""
    return json.dumps(value, ensure_ascii=False, indent=indent).encode("utf-8", "backslashreplace").decode()


def read_rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
