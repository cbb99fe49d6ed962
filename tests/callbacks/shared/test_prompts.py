"""Prompts follow the config's own format; records are read from arrays and lines alike."""

import json
from pathlib import Path

import pytest

from callbacks.shared.prompts import PromptFormat, load_records

RECORD = {"instruction": "抽出", "input": "記事{x}\u2028続き", "output": "{}"}


def test_prompt_uses_the_short_format_without_an_article() -> None:
    kind = {"format": "I:{instruction} A:{input}", "no_input_format": "I:{instruction}", "system_prompt": None}
    prompt_format = PromptFormat.from_dataset({"path": "x", "type": kind})
    assert prompt_format.prompt(RECORD) == "I:抽出 A:記事{x}\u2028続き"
    assert prompt_format.prompt(RECORD | {"input": ""}) == "I:抽出"


def test_type_that_is_no_mapping_says_what_to_write() -> None:
    with pytest.raises(ValueError, match="has `type: alpaca`; generation needs the mapping form"):
        PromptFormat.from_dataset({"path": "x", "type": "alpaca"})


@pytest.mark.parametrize("text", [json.dumps([RECORD, RECORD]), f"{json.dumps(RECORD, ensure_ascii=False)}\n" * 2])
def test_records_are_read_from_an_array_and_from_lines(text: str, tmp_path: Path) -> None:
    (tmp_path / "records").write_text(text, encoding="utf-8")
    assert load_records(tmp_path / "records") == [RECORD, RECORD]
