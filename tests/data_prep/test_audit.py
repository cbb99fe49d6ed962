"""The audit: every count is compared with a small file in which a reader can check it."""

import json
from pathlib import Path
from typing import Any

import pytest

from data_prep.audit import Audit, Found, Lengths, audit
from data_prep.curriculum import Source
from data_prep.records import RecordError

FIELDS = ("name", "age", "offence")
ENTRY = {"name": "山田", "age": 42, "offence": "詐欺"}


def record(text: str, *entries: Any, output: str | None = None) -> dict[str, str]:
    answer = json.dumps({"offenders": list(entries)}) if output is None else output
    return {"instruction": "抽出", "input": text, "output": answer}


def written(path: Path, records: list[dict[str, str]]) -> Path:
    path.write_text(json.dumps(records))
    return path


def audited(tmp_path: Path, train: list[dict[str, str]], validation: list[dict[str, str]] | None = None) -> Audit:
    train_path = written(tmp_path / "train.json", train)
    validation_path = validation and written(tmp_path / "val.json", validation)
    sources = Source(train_path), Source(validation_path) if validation_path else None
    return audit(*sources, list_field="offenders", name_field="name", fields=FIELDS)


def test_audit_counts_labels_and_lengths(tmp_path: Path) -> None:
    found = audited(
        tmp_path, [record("一", ENTRY), record("二二"), record("三三三三", ENTRY, ENTRY), record("", output="x")]
    )
    assert (found.train.records, found.train.positives, found.train.negatives, found.train.invalid) == (4, 2, 1, 1)
    assert found.train.entries == 3
    assert found.train.input_characters == Lengths(min=0, median=1.5, max=4)
    assert (found.validation, found.leaks) == (None, Found(0, ()))


def test_audit_counts_rounds_apart_from_contradictions(tmp_path: Path) -> None:
    rounds = [record("a", ENTRY), record("b")] * 3
    found = audited(tmp_path, [*rounds, record("b", ENTRY), record("b", ENTRY), record("a")]).train
    assert (found.records, found.distinct, found.duplicates) == (9, 4, 5)
    assert found.contradictions == Found(2, (7, 9))


def test_audit_keeps_instruction_and_input_apart(tmp_path: Path) -> None:
    pair = [{"instruction": "ab", "input": "c", "output": '{"offenders": []}'}]
    other = [{"instruction": "a", "input": "bc", "output": '{"offenders": []}'}]
    found = audited(tmp_path, pair, other)
    assert found.leaks == Found(0, ())


def test_audit_finds_validation_records_in_train(tmp_path: Path) -> None:
    train = [record(str(number)) for number in range(10)]
    validation = [record("new"), *(record(str(number), ENTRY) for number in range(7))]
    found = audited(tmp_path, train, validation)
    assert found.leaks == Found(7, (2, 3, 4, 5, 6))
    assert found.validation
    assert (found.validation.records, found.validation.positives) == (8, 7)


def test_audit_counts_filled_fields(tmp_path: Path) -> None:
    entries = [ENTRY, {"name": "佐藤", "age": None}, {"name": "鈴木", "age": 0, "offence": " "}, {"name": "伊藤"}]
    found = audited(tmp_path, [record("a", *entries), record("b")])
    assert found.train.field_fill == {"name": 1.0, "age": 0.5, "offence": 0.25}
    assert audited(tmp_path, [record("b")]).train.field_fill == dict.fromkeys(FIELDS, 0.0)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("nobody", '"output" is not JSON: '),
        ("[]", '"output" must hold a JSON object: '),
        ('{"persons": []}', '"output" has no "offenders" (found: persons)'),
        ("{}", '"output" has no "offenders" (found: no fields)'),
        ('{"offenders": null}', '"offenders" must be a list, found null'),
        ('{"offenders": ["山田"]}', '"offenders"[0] must be an object, found str'),
        ('{"offenders": [{"name": "a"}, {"age": 3}]}', '"offenders"[1] has no "name" (found: age)'),
        ('{"offenders": [{"name": ""}]}', '"offenders"[0] has no "name" (found: name)'),
        ('{"offenders": [{"name": "a", "job": 1, "sex": 2}]}',
         '"offenders"[0] has unknown fields: job, sex (known: name, age, offence)'),
    ],
)  # fmt: skip
def test_audit_counts_invalid_outputs(tmp_path: Path, output: str, message: str) -> None:
    found = audited(tmp_path, [record("a"), record("b", output=output)]).train
    assert (found.invalid, found.positives, found.negatives, found.entries) == (1, 0, 1, 0)
    assert found.invalid_examples[0].startswith(f"{tmp_path}/train.json, record 2: {message}")


def test_audit_shows_the_first_five_invalid_outputs(tmp_path: Path) -> None:
    found = audited(tmp_path, [record(str(number), output="x") for number in range(8)]).train
    assert found.invalid == 8
    assert [example.split(": ")[0].split()[-1] for example in found.invalid_examples] == list("12345")


def test_audit_refuses_a_file_without_records(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"train\.json: holds no records"):
        audited(tmp_path, [])


def test_audit_is_json_and_reports_progress(tmp_path: Path) -> None:
    train = written(tmp_path / "train.json", [record("a", ENTRY)])
    val = written(tmp_path / "val.json", [record("b")])
    steps: list[int] = []
    found = audit(
        Source(train), Source(val), list_field="offenders", name_field="name", fields=FIELDS, progress=steps.append
    )
    assert sum(steps) == train.stat().st_size + val.stat().st_size
    shown = json.loads(json.dumps(found.to_dict()))
    assert shown["train"]["positives"] == 1
    assert shown["validation"]["path"] == str(val)
    assert shown["leaks"] == {"count": 0, "first": []}
