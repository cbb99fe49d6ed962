"""Rows of predictions: the same from training and evaluation, whole on disk, scored with what was undefined."""

from pathlib import Path

from callbacks.shared.args import ExtractionTask
from callbacks.shared.predictions import prediction_metrics, prediction_row, read_rows, write_rows
from callbacks.shared.prompts import PromptFormat
from callbacks.shared.tasks.extraction_scorer import ExtractionScorer

SCORER = ExtractionScorer(ExtractionTask(keywords=("逮捕",)))
SOMEBODY = '{"offenders": [{"name": "山田太郎", "age": 35, "occupation": "無職", "offence": "窃盗"}]}'
NOBODY = '{"offenders": []}'


def test_rows_survive_the_file_line_separators_included(tmp_path: Path) -> None:
    record = {"instruction": "x", "input": "逮捕\u2028した。", "output": SOMEBODY}
    rows = [prediction_row(PromptFormat().sample(record), "一行\n二行\u2028", SCORER)] * 2
    write_rows(tmp_path / "rows.jsonl", rows)
    assert read_rows(tmp_path / "rows.jsonl") == rows


def test_metrics_count_what_is_undefined_and_bring_the_rule() -> None:
    records = [
        {"instruction": "x", "input": "逮捕した。", "output": NOBODY},
        {"instruction": "x", "input": "", "output": NOBODY},
    ]
    rows = [prediction_row(PromptFormat().sample(record), NOBODY, SCORER) for record in records]
    metrics = prediction_metrics(rows, SCORER)
    assert metrics["gen_json_parse_rate"] == 1.0
    assert metrics["gen_keyword_rule_presence_f1"] == 0.0
    assert metrics["gen_undefined_metrics"] == 5  # presence, names and three field rates: nobody to find


def test_no_keywords_no_rule() -> None:
    scorer = ExtractionScorer(ExtractionTask())
    sample = PromptFormat().sample({"instruction": "x", "input": "y", "output": SOMEBODY})
    assert "gen_keyword_rule_presence_f1" not in prediction_metrics([prediction_row(sample, SOMEBODY, scorer)], scorer)


def test_metrics_of_no_rows_are_there_and_undefined() -> None:
    """`metric_for_best_model` finds its metric even if no record was answered in time."""
    metrics = prediction_metrics([], SCORER)
    assert metrics["gen_offender_presence_f1"] == 0.0
    assert metrics["gen_undefined_metrics"] == 7
