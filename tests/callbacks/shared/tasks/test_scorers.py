"""Each kind of task, by examples worked out by hand; other libraries as a second opinion; and a scorer of one's own."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import accuracy_score, f1_score

from callbacks.shared.args import Regrow
from callbacks.shared.predictions import prediction_metrics
from callbacks.shared.tasks.scorers import scorer_of
from callbacks.shared.tasks.text import token_f1, words
from callbacks.shared.tasks.verdict import Scorer, Verdict

SCHEMA = {
    "type": "object",
    "required": ["city"],
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
}


def scorer(**task: Any) -> Scorer:
    found = scorer_of(Regrow.model_validate({"task": task}))
    assert found
    return found


def judge(judging: Scorer, expected: str, generated: str, **more: Any) -> Verdict:
    return judging.judge({"input": "in", "expected": expected, "generated": generated, **more})


def metrics(judging: Scorer, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    return prediction_metrics([{"input": "in", "expected": a, "generated": b} for a, b in pairs], judging)


def test_no_task_has_no_scorer() -> None:
    assert scorer_of(Regrow()) is None


@pytest.mark.parametrize(
    ("expected", "generated", "exact", "normalised", "f1"),
    [
        ("The cat.", "The cat.", 1, 1, 1.0),
        ("The cat.", "the  CAT", 0, 1, 1.0),
        ("The cat.", "<think>a dog?</think> The cat.", 1, 1, 1.0),
        ("the black cat", "the cat", 0, 0, 0.8),
        ("猫がいる", "犬がいる", 0, 0, 0.75),  # a character is a word
        ("cat", "", 0, 0, 0.0),
        ("!", "!", 1, 1, 1.0),
        ("?", "!", 0, 0, 1.0),  # no words in either
    ],
)
def test_text_is_compared_as_it_is_and_as_words(
    expected: str, generated: str, exact: float, normalised: float, f1: float
) -> None:
    found = metrics(scorer(kind="text"), [(expected, generated)])
    assert found["gen_exact_match"] == exact
    assert found["gen_normalised_match"] == normalised
    assert found["gen_token_f1"] == pytest.approx(f1)


def test_text_metrics_are_those_of_the_libraries() -> None:
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu import sentence_chrf

    pairs = [("the quick brown fox jumps", "the brown fox sleeps"), ("one two three", "three two one"), ("a b", "a b")]
    found = metrics(scorer(kind="text"), pairs)
    rouge = [RougeScorer(["rougeL"]).score(a, b)["rougeL"].fmeasure for a, b in pairs]
    assert found["gen_rouge_l"] == pytest.approx(sum(rouge) / 3)
    assert found["gen_chrf"] == pytest.approx(sum(sentence_chrf(b, [a]).score for a, b in pairs) / 300)
    assert metrics(scorer(kind="text"), [("東京都", "東京")])["gen_rouge_l"] == pytest.approx(0.8)


def test_words_of_several_scripts() -> None:
    assert words("Ｔｈｅ Straße, カタカナ漢字ab_c 12.5") == [
        "the", "strasse", *"カタカナ漢字", "ab", "c", "12", "5"]  # fmt: skip
    assert token_f1([], []) == 1.0
    assert token_f1(["a", "a"], ["a"]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "text", ["Sports", "sports", " SPORTS. ", '"sports"', "「sports」", "<think>news?</think>\nsports"]
)
def test_label_is_read_however_it_is_written(text: str) -> None:
    verdict = judge(scorer(kind="label", labels=["news", "sports"]), "sports", text)
    assert (verdict.is_right, verdict.said, list(verdict.errors)) == (True, "sports", [])


def test_text_that_is_no_label_is_another_text() -> None:
    judging = scorer(kind="label", labels=["news", "sports"])
    verdict = judge(judging, "news", "I think it is news")
    assert (verdict.is_right, verdict.said) == (False, "(another text)")
    assert verdict.counts == {"unknown_labels": 1}
    assert judge(judging, "news", "I think", is_cut=True).errors == ["cut off"]
    with pytest.raises(ValueError, match=r"expected text \(7 characters\) is not one of news, sports"):
        judge(judging, "weather", "news")


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_label_metrics_agree_with_scikit_learn(listed: bool, seed: int) -> None:
    rng, names = random.Random(seed), ["a", "b", "c"]
    expected = [rng.choice(names) for _ in range(60)]
    generated = [rng.choice([answer, *names, "something else"]) for answer in expected]
    found = metrics(scorer(kind="label", labels=names if listed else []), list(zip(expected, generated, strict=True)))
    assert found["gen_accuracy"] == pytest.approx(accuracy_score(expected, generated))
    assert found["gen_macro_f1"] == pytest.approx(f1_score(expected, generated, labels=names, average="macro"))
    assert found["gen_known_label_rate"] == pytest.approx(sum(g in names for g in generated) / 60)


def test_json_is_scored_key_by_key() -> None:
    judging = scorer(kind="json", json_schema=SCHEMA)
    right = '{"city": "Oslo", "people": 700000}'
    pairs = [
        (right, f"Sure:\n```json\n{right}\n```"),
        (right, '{"people": 700000.0, "city": "Bergen"}'),  # one key is wrong
        (right, '{"people": "many"}'),  # not what the schema says
        (right, "Oslo"),
    ]
    found = metrics(judging, pairs)
    assert found["gen_json_parse_rate"] == 3 / 4
    assert found["gen_schema_valid_rate"] == 2 / 4
    assert found["gen_exact_match"] == 1 / 4
    assert found["gen_key_match"] == 3 / 8
    assert found["gen_key_match/city"] == 1 / 4
    assert found["gen_key_match/people"] == 2 / 4
    assert judge(judging, *pairs[1]).errors == ["wrong: city"]
    assert judge(judging, right, '{"city": "Oslo", "people": 700000, "mayor": "x"}').errors == ["not expected: mayor"]
    assert judge(judging, *pairs[3]).errors == ["not JSON"]
    with pytest.raises(ValueError, match=r"does not satisfy the schema at \$\.city: type"):
        judge(judging, '{"city": 5}', right)
    with pytest.raises(ValueError, match="no whole JSON"):
        judge(judging, "Oslo", right)


@pytest.mark.parametrize(
    ("expected", "generated", "is_right"),
    [
        ('{"a": 1}', '{"a": 1.0}', True),
        ('{"a": 1}', '{"a": true}', False),
        ('{"a": [1, {"b": null}]}', '{"a": [1, {"b": null}]}', True),
        ('{"a": [1, 2]}', '{"a": [2, 1]}', False),
        ("[1, 2]", "[1, 2]", True),
        ('{"a": 1}', '{"a": 2} or rather {"a": 1}', True),  # the last whole one counts
        ('{"a": 1}', '<think>{"a": 1}</think>{"a": 2}', False),
        ("{}", "{}", True),
    ],
)
def test_json_values_are_compared_as_json(expected: str, generated: str, is_right: bool) -> None:
    assert judge(scorer(kind="json"), expected, generated).is_right is is_right


def test_a_schema_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"regrow\.task\.json_schema is no JSON schema: 'text' is not valid"):
        scorer(kind="json", json_schema={"type": "text"})


OWN = """
def closeness(expected, generated, input):
    if not expected:
        raise ValueError("nothing is expected")
    return {"closeness": len(set(expected) & set(generated)) / len(set(expected)), "is_short": len(generated) < 5}
"""


def test_a_scorer_of_ones_own_is_loaded_from_the_runs_code(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "scorer_in_a_run.py").write_text(OWN)
    regrow = Regrow.model_validate({"task": {"scorer": "scorer_in_a_run.closeness"}, "run_dir": str(tmp_path)})
    judging = scorer_of(regrow)
    assert judging
    found = metrics(judging, [("abcd", "abxyzw"), ("ab", "ab")])
    assert found["gen_closeness"] == 0.75
    assert found["gen_is_short"] == 0.5
    assert (judging.about.headline, judging.about.right) == ("gen_closeness", "closeness right")
    with pytest.raises(ValueError, match="record 1: nothing is expected"):
        metrics(judging, [("", "x")])


@pytest.mark.parametrize("dotted", ["no_such_module_here.score", "json.no_such", "json.decoder", "closeness"])
def test_a_scorer_that_cannot_be_loaded_is_named(dotted: str) -> None:
    with pytest.raises(ValueError, match=rf"regrow\.task\.scorer: {dotted}"):
        scorer(scorer=dotted)
