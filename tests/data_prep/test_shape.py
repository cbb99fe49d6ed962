"""Records of other shapes than Alpaca's: read, merged in their own bytes and audited, with messages as clear."""

import json
from pathlib import Path
from typing import Any

import pytest

from data_prep.audit import audit
from data_prep.curriculum import Source, merge
from data_prep.records import RecordError, iter_records
from data_prep.shape import ALPACA, ANY_OBJECT, Alpaca, Messages, Shape, shape_of

TURNS = [
    {"role": "system", "content": "Answer."},
    {"role": "user", "content": "Who?"},
    {"role": "assistant", "content": "What?"},
    {"role": "user", "content": "Who did it?"},
    {"role": "assistant", "content": '{"offenders": [{"name": "A"}]}'},
]
SHARED = [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": '{"offenders": []}'}]


@pytest.mark.parametrize(
    ("dataset", "shape"),
    [
        ({"type": "alpaca"}, ALPACA),
        ({"type": {"field_instruction": "q", "field_output": "a"}}, Alpaca("q", "input", "a")),
        ({"type": {"field_output": "output", "format": "{instruction}"}}, ALPACA),
        ({"type": "chat_template"}, Messages()),
        (
            {"type": "chat_template", "field_messages": "conversations", "roles": {"assistant": ["gpt"]},
             "message_property_mappings": {"role": "from", "content": "value"}},
            Messages("conversations", "from", "value", ("gpt",)),
        ),
        ({"type": {"field_instruction": ["q"], "field_input": 3, "field_output": {}}}, ALPACA),
        ({"type": "chat_template", "field_messages": 1, "roles": {"assistant": 3}, "message_property_mappings": "x"}, Messages()),
        ({"type": "chat_template", "roles": ["gpt"], "message_property_mappings": {"role": []}}, Messages()),
        ({"type": "completion"}, ANY_OBJECT),
        ({}, ANY_OBJECT),
    ],
)  # fmt: skip
def test_shape_is_that_of_the_data_set(dataset: dict[str, Any], shape: Shape) -> None:
    assert shape_of(dataset) == shape


@pytest.mark.parametrize("form", ["array", "pretty", "lines"])
@pytest.mark.parametrize(
    ("shape", "record", "read"),
    [
        (Alpaca("q", "more", "a"), {"q": "Who?", "more": "News.", "a": "{}"}, ("Who?", "News.", "{}")),
        (Alpaca("q", "more", "a"), {"q": "Who?", "a": "{}"}, ("Who?", "", "{}")),
        (Messages(), {"messages": TURNS}, ("", "Answer.\nWho?\nWhat?\nWho did it?", TURNS[-1]["content"])),
        (Messages(), {"messages": [*TURNS, TURNS[1]]}, ("", "Answer.\nWho?\nWhat?\nWho did it?", TURNS[-1]["content"])),
        (Messages("said", "from", "value"), {"said": SHARED}, ("", "Who?", '{"offenders": []}')),
        (Messages(), {"messages": [{"role": "user", "content": [{"type": "text", "text": "Who"}, {"type": "image"}]},
                                   {"role": "assistant", "content": "{}"}]}, ("", "Who", "{}")),
        (ANY_OBJECT, {"prompt": "x", "chosen": ["y"]}, ("", "", "")),
    ],
)  # fmt: skip
def test_record_of_each_shape_is_read_in_its_own_bytes(
    tmp_path: Path, form: str, shape: Shape, record: dict[str, Any], read: tuple[str, str, str]
) -> None:
    records = [record | {"number": number} for number in range(5)]
    text = (
        "\n".join(map(json.dumps, records)) if form == "lines" else json.dumps(records, indent=form == "pretty" or None)
    )
    (tmp_path / "x.json").write_text(text)
    found = list(iter_records(tmp_path / "x.json", shape=shape, check_output=shape != ANY_OBJECT, window=60))
    assert [json.loads(raw) for raw, _ in found] == records
    assert {(typed.instruction, typed.input, typed.output) for _, typed in found} == {read}


@pytest.mark.parametrize(
    ("shape", "record", "message"),
    [
        (Alpaca("q", None, "a"), {"q": "x"}, 'record 2: field "a" is missing (found: q)'),
        (Alpaca("q", None, "a"), {"q": 1, "a": "x"}, 'record 2: "q" must be a string, found int'),
        (Messages(), {"conversations": []}, 'record 2: field "messages" is missing (found: conversations)'),
        (Messages(), {"messages": "x"}, 'record 2: "messages" must be a list of objects, found str'),
        (
            Messages(),
            {"messages": TURNS[:2]},
            '"messages" has no turn of assistant or gpt or model (found: system, user)',
        ),
        (
            Messages(),
            {"messages": [{"role": "assistant", "content": None}]},
            '"content" of a turn must be a string, found null',
        ),
        (ANY_OBJECT, [1], "record 2: must be an object, found list"),
    ],
)
def test_record_of_another_shape_is_told(tmp_path: Path, shape: Shape, record: Any, message: str) -> None:
    good = {"q": "x", "a": "y", "messages": TURNS}
    (tmp_path / "x.json").write_text(json.dumps([good, record]))
    with pytest.raises(RecordError) as raised:
        merge([Source(tmp_path / "x.json", shape=shape, is_json=False)], tmp_path / "merged.json")
    assert message in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_text_answers_are_merged_where_none_must_be_json(tmp_path: Path) -> None:
    records = [{"instruction": "x", "input": "", "output": "plain text"}] * 3
    (tmp_path / "x.json").write_text(json.dumps(records))
    merged = merge([Source(tmp_path / "x.json", repeat=2, is_json=False)], tmp_path / "merged.json")
    assert merged.records == 6
    assert json.loads((tmp_path / "merged.json").read_text()) == records * 2
    with pytest.raises(RecordError, match='"output" is not JSON'):
        merge([Source(tmp_path / "x.json")], tmp_path / "again.json")


def test_chat_is_audited_as_the_records_would_be(tmp_path: Path) -> None:
    other = [TURNS[0], TURNS[1], {"role": "assistant", "content": '{"offenders": []}'}]
    for name, turns in (("train", [TURNS, other, other]), ("validation", [other])):
        (tmp_path / f"{name}.json").write_text(json.dumps([{"messages": each} for each in turns]))
    sources = (Source(tmp_path / f"{name}.json", shape=Messages()) for name in ("train", "validation"))
    found = audit(*sources, list_field="offenders", name_field="name", fields=["name"])
    assert (found.train.records, found.train.positives, found.train.negatives, found.train.duplicates) == (3, 1, 2, 1)
    assert found.leaks.count == 1
    assert found.train.input_characters.max == len("Answer.\nWho?\nWhat?\nWho did it?")
