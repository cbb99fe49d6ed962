"""Predictions: one row for each generated record, and the metrics of rows. Light; training and evaluation write the same rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callbacks.shared.manifest import write_atomically
from callbacks.shared.prompts import Sample
from callbacks.shared.tasks.verdict import Scorer, judged, values

Row = dict[str, Any]
"""`input`, `expected`, `generated`, and the columns of the scorer's verdict."""


@dataclass(frozen=True)
class Generated:
    """The answer of a model to one prompt."""

    text: str
    """The text, without special tokens."""
    tokens: int
    """Number of new tokens, the end-of-text token included."""
    is_cut: bool
    """Whether the answer had not ended after max_new_tokens."""


def prediction_row(sample: Sample, generated: str, scorer: Scorer) -> Row:
    texts = {"input": sample.input, "expected": sample.expected, "generated": generated}
    return {**texts, **scorer.judge(texts).columns}


def prediction_metrics(rows: Sequence[Row], scorer: Scorer) -> dict[str, float]:
    """The metrics of the scorer, 0/0 as 0.0. `gen_undefined_metrics`: how many are 0/0; `gen_records`: the number of rows."""
    scorer = scorer.for_records(rows)
    verdicts = [judged(scorer, row, f"record {number}") for number, row in enumerate(rows, 1)]
    found = values(scorer, verdicts)
    undefined = sum(value is None for name, value in found.items() if name not in scorer.about.references)
    counted = {"gen_records": float(len(rows)), "gen_undefined_metrics": float(undefined)}
    return {name: value or 0.0 for name, value in found.items()} | counted


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as JSON lines, completely or not at all."""
    write_atomically(path, "".join(f"{json_text(row)}\n" for row in rows))


def json_text(value: Any, indent: int | None = None) -> str:
    """Readable JSON; a character that UTF-8 cannot encode (a lone surrogate) stays an escape."""
    return json.dumps(value, ensure_ascii=False, indent=indent).encode("utf-8", "backslashreplace").decode()


def read_rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
