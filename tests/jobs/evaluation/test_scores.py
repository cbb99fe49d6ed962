"""Scores of one model and of two, compared with scikit-learn and with values computed by hand."""

import random
from itertools import pairwise

import pytest
from answers import NAMES, SCORER, answer, record, row, rows

from jobs.evaluation.comparison import compare
from jobs.evaluation.scores import judge, score_predictions
from jobs.spec.errors import ConfigError


@pytest.mark.long
def test_scores_of_1000_random_cases_agree_with_sklearn() -> None:
    from sklearn.metrics import confusion_matrix, f1_score

    predictions = rows(1000, seed=1)
    scores = score_predictions(predictions, SCORER)
    expected = [each["presence_expected"] for each in predictions]
    said = [each["presence_generated"] if each["parsed"] else not each["presence_expected"] for each in predictions]
    names = [(set(each["names_expected"]), set(each["names_generated"])) for each in predictions]
    universe = [*NAMES, "幽霊次郎"]
    sets = [[[name in pair[side] for name in universe] for pair in names] for side in (0, 1)]
    value = {name: each["value"] for name, each in scores["metrics"].items()}
    assert value["gen_offender_presence_f1"] == pytest.approx(f1_score(expected, said))
    assert value["gen_offender_name_set_f1"] == pytest.approx(f1_score(*sets, average="micro"))
    assert value["gen_json_parse_rate"] == sum(each["parsed"] for each in predictions) / 1000
    rule = ["逮捕" in each["input"] for each in predictions]
    assert value["gen_keyword_rule_presence_f1"] == pytest.approx(f1_score(expected, rule))
    for each in scores["metrics"].values():
        assert 0 <= each["low"] <= each["value"] <= each["high"] <= 1
    parsed = [each for each in predictions if each["parsed"]]
    matrix = confusion_matrix([e["presence_expected"] for e in parsed], [e["presence_generated"] for e in parsed])
    table = scores["classes"]
    assert [[table[x][y] for y in ("nobody", "somebody")] for x in ("nobody", "somebody")] == matrix.tolist()
    assert sum(count for said_what in table.values() for count in said_what.values()) == 1000


def test_slices_are_whole_and_add_up() -> None:
    predictions = rows(300, seed=2)
    slices = score_predictions(predictions, SCORER)["slices"]
    for kind in ("length", "class"):
        assert sum(each["records"] for each in slices[kind]) == 300
        exact = sum(each["records"] * each["metrics"]["gen_all_fields_exact_match_rate"] for each in slices[kind])
        assert exact == pytest.approx(sum(each["exact"] for each in predictions))
    spans = [tuple(map(int, each["slice"].split("–"))) for each in slices["length"]]
    assert len(spans) == 4
    assert all(before[1] + 1 == after[0] for before, after in pairwise(spans))


def test_invented_wrong_and_missed_names_are_told_apart_and_the_worst_comes_first() -> None:
    item = {"instruction": "", "input": "山田 太郎容疑者を逮捕。鈴木一郎さんは驚いた。", "output": answer("山田太郎")}
    texts = [answer("山田太郎"), answer("鈴木一郎", "幽霊次郎"), answer(), "{", answer("山田太郎", age=31)]
    predictions = [row(item, text) for text in texts]
    judged = judge(predictions, SCORER)
    assert judged[1].verdict.counts == {"names_invented": 1, "names_wrong": 1, "names_missed": 1}
    assert [list(each.errors) for each in judged] == [
        [],
        ["invented: 幽霊次郎", "not an offender: 鈴木一郎", "missed: 山田太郎"],
        ["missed: 山田太郎"],
        ["not the JSON of an answer"],
        ["other fields"],
    ]
    scores = score_predictions(predictions, SCORER)
    missed = scores["counts"]["names_missed"]
    assert (missed["number"], missed["records"]) == (3, 3)  # an answer that does not parse names nobody
    assert [each["record"] for each in scores["worst"]] == [2, 4, 3, 5]
    assert scores["worst"][0]["input"] == item["input"]
    spelled = row({**item, "output": answer("山田 たろう")}, answer("山田たろう"))
    assert judge([spelled], SCORER)[0].errors == []  # no error, though the article spells the name differently
    cut = judge([row(item, "{", is_cut=True)], SCORER)
    assert cut[0].errors == ["cut off"]


@pytest.mark.long
def test_comparison_of_two_models_is_by_record() -> None:
    found = compare(rows(400, seed=1), rows(400, seed=2), SCORER)
    assert sum(found.right.values()) == 400
    same = compare(rows(400, seed=1), rows(400, seed=1), SCORER)
    assert same.right["a alone"] == same.right["b alone"] == 0
    assert same.right_p_value == 1.0
    perfect = [row(each, each["output"]) for each in (record(random.Random(number)) for number in range(400))]
    better = compare(perfect, rows(400, seed=2), SCORER)
    assert better.right["b alone"] == 0
    assert better.right_p_value < 1e-6
    exact = better.metrics["gen_all_fields_exact_match_rate"]
    assert exact.a.value == 1.0
    assert exact.difference.low > 0


def test_other_records_do_not_compare() -> None:
    with pytest.raises(ConfigError, match="3 and 2 records"):
        compare(rows(3, seed=1), rows(2, seed=1), SCORER)
    with pytest.raises(ConfigError, match="record 1 is different"):
        compare(rows(3, seed=1), rows(4, seed=1)[1:], SCORER)


def test_no_records_have_no_scores() -> None:
    assert score_predictions([], SCORER)["metrics"] == {}
