"""Records: they are read from every form of file, and an error names each flaw."""

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.records import Record, RecordError, iter_batches, iter_records

TRICKY = '記事 "},{" [] \\ }, {" \n\u2028 🦅'


def record(number: int = 0, **changes: Any) -> dict[str, Any]:
    entries = [{"name": f"山田{number}", "age": 42}, {"name": TRICKY}]
    output = json.dumps({"offenders": entries}, ensure_ascii=bool(number % 2))
    return {"instruction": "加害者を抽出", "input": f"{number} {TRICKY}", "output": output} | changes


def written(path: Path, content: bytes | list[Any]) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def flaw(path: Path, content: bytes | list[Any], **options: Any) -> str:
    with pytest.raises(RecordError) as caught:
        list(iter_records(written(path, content), **options))
    return str(caught.value)


FORMS = {
    "array": lambda records: json.dumps(records, ensure_ascii=False),
    "pretty": lambda records: json.dumps(records, ensure_ascii=False, indent=4),
    "escaped": lambda records: json.dumps(records, separators=(",", ":")),
    "spaced": lambda records: " \n[\t" + " \r\n , \t".join(map(json.dumps, records)) + "\n]\n\n",
    "bom": lambda records: "\ufeff" + json.dumps(records),
    "lines": lambda records: "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records),
    "blank lines": lambda records: "\n \n" + "\r\n\n".join(map(json.dumps, records)),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("window", [1, 7, 64, 4096, 1 << 20])
@pytest.mark.parametrize("form", FORMS)
def test_iter_records_reads_every_form(tmp_path: Path, form: str, window: int, packed: bool) -> None:
    records = [record(number) for number in range(9)]
    text = FORMS[form](records).encode()
    path = written(tmp_path / "any.name", gzip.compress(text) if packed else text)
    found = list(iter_records(path, window=window))
    assert [json.loads(raw) for raw, _ in found] == records
    assert [typed for _, typed in found] == [Record(**fields) for fields in records]
    assert all(type(raw) is bytes and raw in text for raw, _ in found)


def test_iter_records_keeps_extra_fields_in_the_bytes(tmp_path: Path) -> None:
    odd = record(extra=[{"a": 1}, {"a": [2]}, {"a": "}, {"}], id=None)
    [(raw, typed)] = iter_records(written(tmp_path / "x.json", [odd]))
    assert json.loads(raw) == odd
    assert typed == Record(odd["instruction"], odd["input"], odd["output"])


def test_iter_records_splits_lists_of_objects_in_records(tmp_path: Path) -> None:
    records = [record(number, extra=[{"n": 1}] * 50) for number in range(30)]
    path = written(tmp_path / "x.json", records)
    assert [json.loads(raw) for raw, _ in iter_records(path, window=5000)] == records


def test_iter_records_grows_the_window_for_a_long_record(tmp_path: Path) -> None:
    records = [record(0), record(1, input="長" * 100_000), record(2)]
    path = written(tmp_path / "x.json", records)
    assert [typed.input for _, typed in iter_records(path, window=100)] == [r["input"] for r in records]


text = st.text(
    alphabet=st.one_of(st.sampled_from('{}[],:"\\ \n'), st.characters(exclude_categories=["Cs"])), max_size=12
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([1.5, -2e-9]) | text,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(text, children, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(text, values, max_size=3)
outputs = objects.map(json.dumps)
made = st.builds(
    lambda extra, instruction, input, output: extra | {"instruction": instruction, "input": input, "output": output},
    objects,
    text,
    text,
    outputs,
)


@pytest.mark.long
@settings(deadline=None, max_examples=150)
@given(
    records=st.lists(made, min_size=1, max_size=6),
    form=st.sampled_from(sorted(FORMS)),
    window=st.integers(1, 300),
)
def test_iter_records_finds_every_border(records: list[dict[str, Any]], form: str, window: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder, "x"), FORMS[form](records).encode())
        assert [json.loads(raw) for raw, _ in iter_records(path, window=window)] == records


@pytest.mark.long
@settings(deadline=None, max_examples=150)
@given(
    records=st.lists(made, min_size=1, max_size=3),
    form=st.sampled_from(["array", "pretty", "spaced"]),
    window=st.integers(1, 300),
    share=st.floats(0, 1, exclude_max=True),
)
def test_iter_records_never_takes_a_cut_array(
    records: list[dict[str, Any]], form: str, window: int, share: float
) -> None:
    text = FORMS[form](records).rstrip().encode()
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder, "x"), text[: int(len(text) * share)])
        found: list[Any] = []
        with pytest.raises(RecordError):
            found.extend(json.loads(raw) for raw, _ in iter_records(path, window=window))
    assert found == records[: len(found)]


@pytest.mark.parametrize("window", [1, 50, 1 << 18])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"instruction": "a", "input": "b", "outputs": "{}"},
         'field "output" is missing (found: instruction, input, outputs)'),
        ({}, 'field "instruction" is missing (found: no fields)'),
        (record(output=3), '"output" must be a string, found int'),
        (record(input=None), '"input" must be a string, found null'),
        (record(instruction=["a"], extra=1), '"instruction" must be a string, found list'),
        (record(output="{nobody}"), '"output" is not JSON: JSON is malformed: '),
        (record(output=""), '"output" is not JSON: Input data was truncated'),
        (record(output='{"a": "\\q"}'), '"output" is not JSON: '),
        (record(output='{"a":' + "[" * 100_000), '"output" is not JSON: maximum recursion depth'),
        (record(output="[]"), '"output" must hold a JSON object: Expected `object`, got `array`'),
        (["a"], "must be an object, found list"),
        ("a", "must be an object, found str"),
    ],
)  # fmt: skip
def test_iter_records_names_the_flaw(tmp_path: Path, fields: Any, message: str, window: int) -> None:
    path = tmp_path / "x.json"
    assert flaw(path, [record(1), record(2), fields, record(4)], window=window).startswith(
        f"{path}, record 3: {message}"
    )


def test_iter_records_yields_what_stands_before_a_flaw(tmp_path: Path) -> None:
    path = written(tmp_path / "x.json", [record(1), record(2), record(output="x")])
    stream = iter_records(path)
    assert [next(stream)[1].input[0], next(stream)[1].input[0]] == ["1", "2"]
    with pytest.raises(RecordError, match="record 3"):
        next(stream)


def test_iter_records_stops_early_where_a_brace_is_missing(tmp_path: Path) -> None:
    texts = [json.dumps(record(number)) for number in range(5000)]
    texts[3] = texts[3][:-1]
    steps: list[int] = []
    message = flaw(tmp_path / "x.json", f"[{','.join(texts)}]".encode(), window=4096, progress=steps.append)
    assert "x.json, record 4: not JSON: JSON is malformed: object keys must be strings" in message
    assert sum(steps) < 16 * 4096


def test_iter_records_leaves_output_alone_when_told(tmp_path: Path) -> None:
    path = written(tmp_path / "x.json", [record(output="nobody")])
    assert [typed.output for _, typed in iter_records(path, check_output=False)] == ["nobody"]


GOOD = json.dumps(record()).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": holds no records"),
        (b" \n\n", ": holds no records"),
        (b"\xef\xbb\xbf", ": holds no records"),
        (b"[]", ": holds no records"),
        (b" [ \n ]\n", ": holds no records"),
        (b"[", ": ends inside record 1 (truncated?)"),
        (b"[" + GOOD + b"," + GOOD[:50], ": ends inside record 2 (truncated?)"),
        (b"[" + GOOD + b",", ": ends inside record 2 (truncated?)"),
        (b"[" + GOOD + b"," + GOOD, ': ends after record 2 without the closing "]" (truncated?)'),
        (GOOD + b"\n" + GOOD[:-1], ": ends inside record 2 (truncated?)"),
        (b"[" + GOOD + b"] x", ": there is text after the \"]\" that follows record 1: b'x'"),
        (b"[" + GOOD + b"]\n[" + GOOD + b"]", ': there is text after the "]" that follows record 1: b\'[{"instr'),
        (b"[" + GOOD + b",]", ", record 2: there is nothing between two commas, or after the last one"),
        (b"[," + GOOD + b"]", ", record 1: there is nothing between"),
        (b"[" + GOOD + b",," + GOOD + b"]", ", record 2: there is nothing between"),
        (b"[" + GOOD + b" " + GOOD + b"]", ", record 1: not JSON: JSON is malformed: trailing characters"),
        (b"[" + GOOD + b', {"a": tru}, ' + GOOD + b"]", ", record 2: not JSON: JSON is malformed"),
        (b"[" + GOOD + b', {"input": "he said "no", and"}, ' + GOOD, ", record 2: not JSON: JSON is malformed"),
        (b"[" + GOOD + b', {"a": [}, ' + GOOD + b"]", ", record 2: not JSON: JSON is malformed"),
        (GOOD + b"\n{\n" + GOOD[1:], ", record 2: not JSON: Input data was truncated"),
        (GOOD + b" " + GOOD + b"\n", ", record 1: not JSON: JSON is malformed: trailing characters"),
        (b'{"data": []}', ', record 1: field "instruction" is missing (found: data)'),
        (b"instruction,input,output\n", ", record 1: not JSON: "),
        (b"[" + GOOD + b"," + GOOD.replace(b"name", b"\xff\xfe") + b"]", ", record 2: not JSON: 'utf-8' codec"),
        (GOOD[:-1] + b', "extra": "\xff"}', ", record 1: not JSON: 'utf-8' codec"),
        (gzip.compress(GOOD * 50)[:-30], ": the gzip stream is cut off or damaged: "),
        (gzip.compress(GOOD)[:-4] + b"abcd", ": the gzip stream is cut off or damaged: "),
        (gzip.compress(GOOD) + b"junk", ": the gzip stream is cut off or damaged: "),
        (b"\x1f\x8b\x08junk", ": the gzip stream is cut off or damaged: "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("window", [1, 40, 1 << 18])
def test_iter_records_refuses_a_broken_file(tmp_path: Path, content: bytes, message: str, window: int) -> None:
    path = tmp_path / "x.json"
    assert flaw(path, content, window=window).startswith(f"{path}{message}")


def test_iter_records_refuses_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"gone\.json: cannot be read: No such file or directory"):
        list(iter_records(tmp_path / "gone.json"))
    with pytest.raises(RecordError, match="cannot be read: Is a directory"):
        list(iter_records(tmp_path))


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_iter_batches_reports_the_bytes_of_the_file(tmp_path: Path, packed: bool) -> None:
    text = json.dumps([record(number) for number in range(50)]).encode()
    path = written(tmp_path / "x.json", gzip.compress(text) if packed else text)
    steps: list[int] = []
    batches = list(iter_batches(path, window=1000, progress=steps.append))
    assert sum(len(batch.records) for batch in batches) == 50
    assert all(len(batch.raws()) == len(batch.records) > 0 for batch in batches)
    assert sum(steps) == path.stat().st_size
