"""Examples worked out by hand, a fuzz of spoilt outputs, and scikit-learn as a second opinion on both F1s.

Over 250 lines: mostly tables of texts and of what they must give.
"""

import json
import random
import subprocess
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callbacks.shared.args import ExtractionTask as Target
from callbacks.shared.tasks.extraction import METRICS, normalise, parse_answer, to_csv_fields
from callbacks.shared.tasks.extraction_scorer import RULE, ExtractionScorer
from callbacks.shared.tasks.verdict import judged, values

TARGET = Target()
NOBODY = '{"offenders": []}'
YAMADA = '{"offenders": [{"name": "山田 太郎", "age": 35, "occupation": "会社員", "offence": "強盗"}]}'
NO_JSON = "わかりません"


class Scores(NamedTuple):
    metrics: dict[str, float]
    undefined: tuple[str, ...]


def score(texts: Iterable[tuple[str, str]], target: Target) -> Scores:
    """The metrics of (expected, generated) texts, and the names of those that are 0/0."""
    scorer = ExtractionScorer(target)
    rows = [{"input": "", "expected": expected, "generated": generated} for expected, generated in texts]
    found = values(scorer, [judged(scorer, row, f"record {number}") for number, row in enumerate(rows, 1)])
    metrics = {name: value or 0.0 for name, value in found.items()} | {"gen_records": float(len(rows))}
    return Scores(metrics, tuple(name for name, value in found.items() if value is None))


def case_verdict(expected: str, generated: str, target: Target) -> Mapping[str, object]:
    return ExtractionScorer(target).judge({"input": "", "expected": expected, "generated": generated}).columns


def keyword_rule_f1(texts: Iterable[tuple[str, str]], target: Target) -> float:
    """The rule's F1 for (article, expected) texts."""
    scorer = ExtractionScorer(target)
    rows = [{"input": article, "expected": expected, "generated": ""} for article, expected in texts]
    return values(scorer, [scorer.judge(row) for row in rows]).get(RULE) or 0.0


def answer_text(*entries: Mapping[str, object]) -> str:
    return json.dumps({"offenders": entries}, ensure_ascii=False)


def people(*names: str) -> str:
    return answer_text(*({"name": name} for name in names))


def names_in(text: str, target: Target = TARGET) -> tuple[str, ...] | None:
    answer = parse_answer(text, target)
    return None if answer is None else answer.names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param(NOBODY, (), id="nobody"),
        pytest.param(YAMADA, ("山田太郎",), id="one"),
        pytest.param(people("B", "A"), ("B", "A"), id="order-kept"),
        pytest.param(f"```json\n{YAMADA}\n```", ("山田太郎",), id="fence"),
        pytest.param(f"```\n{NOBODY}", (), id="fence-not-closed"),
        pytest.param(f"以下が結果です。\n{YAMADA}\n以上です。", ("山田太郎",), id="prose-around"),
        pytest.param(f"形式は {{名前}} です [1]: {NOBODY}", (), id="braces-in-prose"),
        pytest.param(f'{{"note": "x"}} {YAMADA}', ("山田太郎",), id="another-object-first"),
        pytest.param(f"{people('A')}\n{people('B')}", ("B",), id="last-of-two"),
        pytest.param(f"<think>perhaps {NOBODY}</think>{people('A')}", ("A",), id="after-the-thoughts"),
        pytest.param(f"perhaps {NOBODY}</think>{people('A')}", ("A",), id="thoughts-begun-in-the-prompt"),
        pytest.param(f'{NOBODY} {{"offenders": [', (), id="cut-off-after-the-answer"),
        pytest.param(f'{{"result": {YAMADA}}}', ("山田太郎",), id="wrapped"),
        pytest.param(f'{{"a": {{"b": [1, {NOBODY}]}}}}', (), id="wrapped-twice"),
        pytest.param(f"[{people('A')}, {people('B')}]", ("A",), id="in-a-list"),
        pytest.param('{"x": {"offenders": [{"name": "in"}]}, "offenders": [{"name": "out"}]}', ("out",), id="outer"),
        pytest.param(f'{{"x": {people("A")}, "y": {people("B")}}}', ("A",), id="first-of-two-inner"),
        pytest.param('{"offenders": [{"name": "{\\"offenders\\": []}"}]}', ('{"offenders":[]}',), id="json-in-string"),
        pytest.param('{"offenders": [{"name": "A", "age": null, "x": true, "y": 1.5}]}', ("A",), id="scalars"),
    ],
)
def test_parse_answer_finds(text: str, names: tuple[str, ...]) -> None:
    assert names_in(text) == names


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(NO_JSON, id="prose"),
        pytest.param("[]", id="bare-list"),
        pytest.param("{}", id="no-field"),
        pytest.param('{"Offenders": []}', id="other-case"),
        pytest.param('{"offenders": [{"name": "A"},]}', id="comma-in-list"),
        pytest.param('{"offenders": [],}', id="comma-in-object"),
        pytest.param(f'{{"result": {NOBODY},}}', id="comma-in-wrapper"),
        pytest.param(f"{{result: {NOBODY}}}", id="unquoted-wrapper"),
        pytest.param(f"[{NOBODY}", id="cut-off-list"),
        pytest.param(f'{{"result": {NOBODY}, "x', id="cut-off-wrapper"),
        pytest.param(f'{{"offenders": [{{"name": "A" {NOBODY}', id="behind-broken"),
        pytest.param("{'offenders': []}", id="single-quotes"),
        pytest.param('{"offenders": [] // nobody\n}', id="comment"),
        pytest.param('{"offenders": null}', id="null"),
        pytest.param('{"offenders": {}}', id="object"),
        pytest.param('{"offenders": "[]"}', id="string"),
        pytest.param(f'{{"offenders": {NOBODY}}}', id="outer-has-wrong-type"),
        pytest.param(f'{NOBODY} {{"offenders": 1}}', id="last-has-wrong-type"),
        pytest.param('{"offenders": ["A"]}', id="entry-string"),
        pytest.param('{"offenders": [null]}', id="entry-null"),
        pytest.param('{"offenders": [{"name": "A"}, []]}', id="entry-list"),
        pytest.param('{"offenders": [{}]}', id="no-name"),
        pytest.param('{"offenders": [{"name": ""}]}', id="empty-name"),
        pytest.param('{"offenders": [{"name": " \u3000"}]}', id="blank-name"),
        pytest.param('{"offenders": [{"name": null}]}', id="null-name"),
        pytest.param('{"offenders": [{"name": 35}]}', id="number-name"),
        pytest.param('{"offenders": [{"name": true}]}', id="bool-name"),
        pytest.param('{"offenders": [{"name": "A", "age": [35]}]}', id="list-value"),
        pytest.param('{"offenders": [{"name": "A", "age": {}}]}', id="object-value"),
        pytest.param('{"offenders": [{"name": "A", "other": []}]}', id="list-value-of-no-target-field"),
        pytest.param('{"offenders": [{"name": "A", "age": NaN}]}', id="nan"),
        pytest.param('{"offenders": [{"name": "A", "age": -Infinity}]}', id="infinity"),
        pytest.param('{"offenders": [{"name": "A", "age": 1e999}]}', id="overflow"),
        pytest.param('{"offenders": [], "x": NaN}', id="nan-beside"),
        pytest.param('{"offenders": [{"name": "A"}], "offenders": []}', id="duplicate-list"),
        pytest.param('{"offenders": [{"name": "A", "name": "A"}]}', id="duplicate-name"),
        pytest.param('{"x": {"a": 1, "\\u0061": 2}, "offenders": []}', id="duplicate-beside"),
        pytest.param('{"offenders": [{"name": "\\ud800"}]}', id="escaped-surrogate"),
        pytest.param('{"offenders": [{"name": "A\ud800"}]}', id="raw-surrogate"),
        pytest.param('{"offenders": [], "\\udfff": 1}', id="surrogate-key"),
        pytest.param('{"offenders": [{"name": "A\n"}]}', id="raw-newline-in-string"),
        pytest.param('{"offenders": [{"name": "A", "age": %s}]}' % ("9" * 5000), id="huge-int"),
        pytest.param('{"a":' * 100_000, id="deep-objects-cut-off"),
        pytest.param('{"a":' * 100_000 + NOBODY + "}" * 100_000, id="deep-objects"),
        pytest.param('{"offenders":' + "[" * 100_000 + "]" * 100_000 + "}", id="deep-lists"),
        pytest.param("{" * 100_000, id="many-braces"),
        pytest.param("[{" * 100_000, id="many-pairs"),
        pytest.param("{x" * 50_000 + "}" * 50_000, id="many-prose-braces"),
        pytest.param("{x} " * 100_000, id="many-placeholders"),
    ],
)
def test_parse_answer_refuses(text: str) -> None:
    assert parse_answer(text, TARGET) is None


def test_parse_answer_reads_surrogate_pairs() -> None:
    assert names_in('{"offenders": [{"name": "\\ud842\\udfb7田"}]}') == ("𠮷田",)


def test_parse_answer_follows_target() -> None:
    target = Target(list_field="人物", name_field="氏名", fields=("職業",))
    answer = parse_answer('{"人物": [{"氏名": "A B", "職業": null, "other": 1}]}', target)
    assert answer is not None
    assert answer.names == ("AB",)
    assert answer.entries == ({"職業": "", "氏名": "AB"},)
    assert parse_answer(YAMADA, target) is None


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        (None, ""),
        ("", ""),
        (" \u3000\t\n", ""),
        (" 山田\u3000太 郎 ", "山田太郎"),
        ("ﾔﾏﾀﾞ", "ヤマダ"),
        ("Ｙａｍａｄａ", "Yamada"),
        ("３５", "35"),
        ("35", "35"),
        (35, "35"),
        (35.0, "35"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e22, "1" + "0" * 22),
        (True, "true"),
        (False, "false"),
        (1, "1"),
    ],
)
def test_normalise(value: str | float | bool | None, normal: str) -> None:
    assert normalise(value) == normal


@given(st.text())
def test_normalise_is_idempotent_and_without_whitespace(value: str) -> None:
    normal = normalise(value)
    assert normalise(normal) == normal
    assert normal.split() in ([], [normal])


def test_to_csv_fields_keeps_only_target_fields() -> None:
    fields = to_csv_fields({"name": "山田 太郎", "age": 35.0, "offence": None, "other": "x"}, TARGET)
    assert fields == {"name": "山田太郎", "age": "35", "occupation": "", "offence": ""}


WORKED = [
    # TP of presence; names A hit, B missed, C wrong; the pair A: age right, occupation wrong, offence both empty.
    (answer_text({"name": "A", "age": 35, "occupation": "医師"}, {"name": "B"}),
     answer_text({"name": "C"}, {"name": "Ａ ", "age": "35", "occupation": "教師"})),
    # Exact, in another order: names D, E hit; all three fields of both pairs right.
    (answer_text({"name": "D", "age": 1}, {"name": "E"}),
     answer_text({"name": "E", "x": 1}, {"name": "D", "age": 1.0})),
    # Exact: nobody.
    (NOBODY, f"```json\n{NOBODY}\n```"),
    # Hallucinated: FP of presence, name F wrong.
    (NOBODY, people("F")),
    # No parse where somebody was expected: FN of presence, name G missed.
    (people("G"), '{"offenders": [{"name": "G"'),
    # No parse where nobody was expected: FP of presence, no name.
    (NOBODY, NO_JSON),
]  # fmt: skip


def test_score_worked_example() -> None:
    scores = score(WORKED, TARGET)
    assert scores.metrics == pytest.approx({
        "gen_offender_presence_f1": 2 * 2 / (2 * 2 + 2 + 1),
        "gen_offender_name_set_f1": 2 * 3 / (2 * 3 + 2 + 2),  # hits A D E, wrong C F, missed B G
        "gen_json_parse_rate": 4 / 6,
        "gen_all_fields_exact_match_rate": 2 / 6,
        "gen_field_match_rate/age": 3 / 3,  # pairs A, D, E
        "gen_field_match_rate/occupation": 2 / 3,
        "gen_field_match_rate/offence": 3 / 3,
        "gen_records": 6.0,
    })  # fmt: skip
    assert scores.undefined == ()


@pytest.mark.parametrize(
    ("expected", "generated", "changed"),
    [
        pytest.param(YAMADA, YAMADA, {}, id="perfect"),
        pytest.param(
            YAMADA,
            NOBODY,
            {"gen_offender_presence_f1": 0, "gen_offender_name_set_f1": 0, "gen_all_fields_exact_match_rate": 0},
            id="missed",
        ),
        pytest.param(
            YAMADA,
            people("佐藤"),
            {"gen_offender_name_set_f1": 0, "gen_all_fields_exact_match_rate": 0},
            id="wrong-name",
        ),
        pytest.param(
            YAMADA,
            NO_JSON,
            dict.fromkeys(METRICS, 0),
            id="no-parse",
        ),
        pytest.param(
            people("A", "A"),
            people("A"),
            {"gen_all_fields_exact_match_rate": 0},
            id="multiset-not-set",
        ),
    ],
)
def test_score_of_one_case(expected: str, generated: str, changed: dict[str, float]) -> None:
    metrics = score([(expected, generated)], TARGET).metrics
    assert {name: metrics[name] for name in METRICS} == dict.fromkeys(METRICS, 1.0) | changed


def test_score_matches_same_names_in_order() -> None:
    expected = answer_text({"name": "A", "age": 1}, {"name": "A", "age": 2}, {"name": "A", "age": 3})
    generated = answer_text({"name": "A", "age": 2}, {"name": "B", "age": 1}, {"name": "A", "age": 2})
    metrics = score([(expected, generated)], TARGET).metrics
    assert metrics["gen_field_match_rate/age"] == 1 / 2  # 1-2 wrong, 2-2 right, the third A has no partner
    assert metrics["gen_offender_name_set_f1"] == 2 / 3


def test_score_never_matches_across_records() -> None:
    scores = score([(people("A"), people("B")), (people("B"), people("A"))], TARGET)
    assert scores.metrics["gen_offender_name_set_f1"] == 0.0
    assert "gen_field_match_rate/age" in scores.undefined


def test_score_says_what_is_undefined() -> None:
    nobody = score([(NOBODY, NOBODY)], TARGET)
    rates = tuple(f"gen_field_match_rate/{field}" for field in ("age", "occupation", "offence"))
    assert nobody.undefined == ("gen_offender_presence_f1", "gen_offender_name_set_f1", *rates)
    assert nobody.metrics["gen_offender_presence_f1"] == 0.0
    assert nobody.metrics["gen_all_fields_exact_match_rate"] == 1.0


def test_score_without_cases_is_all_undefined() -> None:
    scores = score(iter(()), TARGET)
    assert set(scores.metrics.values()) == {0.0}
    assert set(scores.undefined) == set(scores.metrics) - {"gen_records"}


def test_score_fields_follow_target() -> None:
    target = Target(fields=("offence",))
    metrics = score([(YAMADA, YAMADA.replace("35", "36"))], target).metrics
    assert [name for name in metrics if "/" in name] == ["gen_field_match_rate/offence"]
    assert metrics["gen_all_fields_exact_match_rate"] == 1.0


def test_every_metric_is_defined_in_its_docstring() -> None:
    assert all(metric.__doc__ for metric in METRICS.values())


def test_score_names_bad_expected_without_showing_it() -> None:
    with pytest.raises(ValueError, match=r"^record 2: .*\"offenders\".*regrow\.task") as caught:
        score([(NOBODY, NOBODY), (NO_JSON, NOBODY)], TARGET)
    assert NO_JSON not in str(caught.value)


@pytest.mark.parametrize(
    ("expected", "generated", "verdict"),
    [
        (people("B", "A", "A"), people("A A"), [True, True, True, ["A", "B"], ["AA"], False]),
        (NOBODY, NOBODY, [True, False, False, [], [], True]),
        (YAMADA, NO_JSON, [False, True, None, ["山田太郎"], [], False]),
        (NOBODY, NO_JSON, [False, False, None, [], [], False]),
    ],
)
def test_case_verdict(expected: str, generated: str, verdict: list[object]) -> None:
    keys = ["parsed", "presence_expected", "presence_generated", "names_expected", "names_generated", "exact"]
    row = case_verdict(expected, generated, TARGET)
    assert row == dict(zip(keys, verdict, strict=True))
    assert json.loads(json.dumps(row)) == row


def test_keyword_rule_f1() -> None:
    target = Target(keywords=("逮捕", "容疑"))
    texts = [
        ("男を逮捕した", YAMADA),  # TP
        ("容疑者は逃走中", YAMADA),  # TP
        ("判決が出た", YAMADA),  # FN
        ("容疑はない", NOBODY),  # FP
        ("晴れ", NOBODY),
    ]
    assert keyword_rule_f1(iter(texts), target) == 4 / 6
    assert keyword_rule_f1(texts, TARGET) == 0.0  # no keywords: nobody is ever named
    assert keyword_rule_f1([("晴れ", NOBODY)], target) == 0.0
    assert keyword_rule_f1([], target) == 0.0


def is_strict_json(text: str) -> bool:
    """Python's own verdict, made strict: an oracle that shares no code with the module."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


def random_entry(rng: random.Random) -> dict[str, object]:
    values: list[object] = [None, "", "医師", "会社 員", 35, "35", 35.0, 1.5, True, '"{[', "\\"]
    name = rng.choice(["A", "B", "C", "山田 太郎", "Ａ", 'D "x" {', "E]"])
    return {"name": name} | {field: rng.choice(values) for field in ("age", "occupation", "offence", "other")}


def random_answer(rng: random.Random, max_entries: int = 3) -> str:
    return answer_text(*(random_entry(rng) for _ in range(rng.randint(0, max_entries))))


def spoilt(text: str, rng: random.Random) -> str:
    """The answer after one to three cuts, losses, insertions or swaps, none of which adds prose around it."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(1, len(text))
        char = rng.choice('{}[]",:\\xN0- \n\u3000\ud800あ')
        text = rng.choice([text[:at], text[:at] + text[at + 1 :], text[:at] + char + text[at:], text[: at - 1] + char])
        if len(text) < 3:
            break
    return text


@pytest.mark.parametrize("seed", range(10))
def test_parse_answer_refuses_500_spoilt_outputs(seed: int) -> None:
    rng, refused = random.Random(seed), 0
    while refused < 50:
        text = spoilt(random_answer(rng), rng)
        if not text.startswith('{"offenders"') or is_strict_json(text):
            continue
        closed = [end for end in range(len(text)) if is_strict_json(text[:end])]
        if closed:  # the answer ended early and what follows is prose
            continue
        assert parse_answer(text, TARGET) is None, text
        refused += 1


@pytest.mark.parametrize("wrapper", ["%s", '{"result": %s}', '[%s, {"x": [1]}]', '{"a": {"b": %s}, "c": "}"}'])
def test_parse_answer_refuses_every_truncation(wrapper: str) -> None:
    text = wrapper % random_answer(random.Random(0))
    assert parse_answer(text, TARGET) is not None
    assert all(parse_answer(text[:end], TARGET) is None for end in range(len(text)))


@given(st.lists(st.sampled_from([NOBODY, YAMADA, '{"', '"', "[", "]", "{", "}", ",", ":", "NaN", "\ud800", "x", " "])))
def test_parse_answer_never_trusts_what_stands_in_no_json(parts: list[str]) -> None:
    text = "".join(parts)
    if parse_answer(text, TARGET) is not None:
        starts = [start for start, char in enumerate(text) if char in "{["]
        assert any(is_strict_json(text[start:end]) for start in starts for end in range(start, len(text) + 1))


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
def test_parse_answer_never_raises(text: str) -> None:
    parse_answer(text, TARGET)
    parse_answer(NOBODY[:-1] + text, TARGET)
    parse_answer(YAMADA[:15] + text + YAMADA[15:], TARGET)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
entries = st.dictionaries(st.sampled_from(["age", "occupation", "other"]), scalars).flatmap(
    lambda entry: (
        st.text(min_size=1).filter(lambda name: bool(normalise(name))).map(lambda name: {"name": name} | entry)
    )
)


@given(st.lists(entries, max_size=4), st.booleans(), st.sampled_from([None, 2]))
def test_parse_answer_reads_every_valid_answer(
    rows: list[dict[str, Any]], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps({"offenders": rows}, ensure_ascii=ascii_only, indent=indent)
    answer = parse_answer(f"結果: ```json\n{text}\n```", TARGET)
    assert answer is not None
    assert list(answer.entries) == [to_csv_fields(row, TARGET) for row in rows]


@given(st.lists(entries, max_size=4), st.randoms())
def test_score_is_perfect_whatever_the_order(rows: list[dict[str, Any]], rng: random.Random) -> None:
    shuffled = rng.sample(rows, len(rows))
    assert score([(answer_text(*rows), answer_text(*shuffled))], TARGET).metrics["gen_all_fields_exact_match_rate"] == 1


def random_case(rng: random.Random) -> tuple[str, str]:
    expected = random_answer(rng) if rng.random() < 0.6 else NOBODY
    return expected, rng.choice([expected, random_answer(rng), NOBODY, NO_JSON, expected[:-1]])


def names_by_hand(text: str) -> set[str] | None:
    """The names of an answer without prose, by no code of the module; None where it is no JSON."""
    try:
        rows = json.loads(text)["offenders"]
    except ValueError:
        return None
    return {unicodedata.normalize("NFKC", row["name"]).replace(" ", "") for row in rows}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_score_agrees_with_sklearn(seed: int) -> None:
    from sklearn import metrics as sklearn

    rng = random.Random(seed)
    texts = [random_case(rng) for _ in range(50)]
    said = [(names_by_hand(expected) or set(), names_by_hand(generated)) for expected, generated in texts]
    presence = [(bool(expected), not expected if names is None else bool(names)) for expected, names in said]
    universe = sorted(set().union(*(expected | (names or set()) for expected, names in said)))
    expected_sets = [[int(name in expected) for name in universe] for expected, _ in said]
    generated_sets = [[int(name in (names or set())) for name in universe] for _, names in said]
    metrics = score(texts, TARGET).metrics
    assert metrics["gen_offender_presence_f1"] == pytest.approx(sklearn.f1_score(*zip(*presence, strict=True)))
    assert metrics["gen_offender_name_set_f1"] == pytest.approx(
        sklearn.f1_score(expected_sets, generated_sets, average="micro")
    )
    assert metrics["gen_json_parse_rate"] == sum(names is not None for _, names in said) / 50


def test_extraction_loads_no_heavy_library() -> None:
    module = "callbacks.shared.tasks.extraction_scorer"
    code = f"import sys, {module}; print({{'torch', 'transformers', 'mlflow', 'axolotl'}} & {{*sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "set()\n"
