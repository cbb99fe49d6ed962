"""Prompts follow the config's own format; records are read from arrays and lines alike."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from callbacks.shared.prompts import PromptFormat, Sample, load_records, read_samples, write_samples

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


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("text", [json.dumps([RECORD]), json.dumps(RECORD)])
def test_records_are_read_from_gzip_and_after_a_byte_order_mark(
    text: str, mark: bytes, packed: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    (tmp_path / "records").write_bytes(packed(mark + text.encode()))
    assert load_records(tmp_path / "records") == [RECORD]


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "records").write_text(f"{json.dumps(RECORD)}\n\n{{broken\n")
    with pytest.raises(ValueError, match=r"^line 3: "):
        load_records(tmp_path / "records")


def test_samples_survive_their_file(tmp_path: Path) -> None:
    samples = [Sample("a\u2028b", "in", "out"), Sample("<s>x", "in", "out", (1, 2))]
    write_samples(tmp_path / "samples.jsonl", samples)
    assert read_samples(tmp_path / "samples.jsonl") == samples
    assert [sample.for_model for sample in samples] == ["a\u2028b", (1, 2)]
