"""Synthetic records have the customer's form, are reproducible and too varied for a keyword rule; no name is in two splits."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from data_prep.english import ENGLISH
from data_prep.japanese import JAPANESE
from data_prep.language import Language
from data_prep.synthetic import Record, full_names, records, write_synthetic

HONORIFIC_NAME = re.compile(r"([一-龠]{4})(?=さん|氏|署長|市長|容疑者|被告|\()")


def sample(count: int, *, seed: int = 1, split: Any = "train", language: Language = JAPANESE) -> list[Record]:
    """Records, half of them with an offender and half without."""
    kinds = (
        records(count // 2, seed=seed, split=split, offender=offender, language=language) for offender in (True, False)
    )
    return list(itertools.chain.from_iterable(kinds))


def offenders(record: Record) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(record["output"])["offenders"]
    return found


def persons(record: Record) -> set[str]:
    """The names of all persons in the article, found by the title or the bracket after the name."""
    return set(HONORIFIC_NAME.findall(record["input"]))


def has_keyword(record: Record, language: Language = JAPANESE) -> bool:
    return any(keyword in record["input"] for keyword in language.keywords)


def test_records_answer_with_what_the_article_says() -> None:
    for record in records(300, seed=1, split="train", offender=True):
        assert offenders(record)
        for entry in offenders(record):
            assert list(entry) == ["name", "age", "occupation", "offence"]
            assert all(str(value) in record["input"] for value in entry.values())
            assert re.search(rf"{entry['name']}(容疑者|被告)?\({entry['age']}\)", record["input"])


def test_records_without_offender_answer_with_an_empty_list() -> None:
    assert {record["output"] for record in records(300, seed=1, split="train", offender=False)} == {'{"offenders": []}'}


@pytest.mark.parametrize("offender", [True, False])
def test_records_name_bystanders_too(offender: bool) -> None:
    bystanders = [
        persons(record) - {entry["name"] for entry in offenders(record)}
        for record in records(400, seed=1, split="train", offender=offender)
    ]
    assert sum(map(bool, bystanders)) > 100


def test_records_have_one_or_several_offenders() -> None:
    assert {len(offenders(record)) for record in records(300, seed=1, split="train", offender=True)} == {1, 2, 3}


def test_records_are_their_arguments() -> None:
    assert sample(50) == sample(50)
    assert sample(50) != sample(50, seed=2)


def test_records_hardly_repeat() -> None:
    articles = [record["input"] for record in sample(20_000)]
    assert len(set(articles)) > 0.97 * len(articles)


@pytest.mark.parametrize("language", [JAPANESE, ENGLISH], ids=["Japanese", "English"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_records_defeat_the_keyword_rule(seed: int, language: Language) -> None:
    verdicts = [
        (bool(offenders(record)), has_keyword(record, language))
        for record in sample(2000, seed=seed, split="validation", language=language)
    ]
    hits = 2 * verdicts.count((True, True))
    f1 = hits / (hits + verdicts.count((True, False)) + verdicts.count((False, True)))
    assert 0.65 < f1 < 0.8
    assert {(True, False), (False, True)} <= set(verdicts)


@pytest.mark.parametrize("language", [JAPANESE, ENGLISH], ids=["Japanese", "English"])
def test_names_of_the_splits_are_disjoint(language: Language) -> None:
    assert set(full_names("train", language)).isdisjoint(full_names("validation", language))


def test_english_records_answer_with_what_the_article_says() -> None:
    unsaid = re.compile(r"[{}]|  ")
    for record in sample(600, language=ENGLISH):
        assert not unsaid.search(record["input"])
        for entry in offenders(record):
            assert f"{entry['occupation']} {entry['name']} ({entry['age']})" in record["input"]
            assert entry["offence"] in record["input"]
    named = [
        sum(name in record["input"] for name in full_names("train", ENGLISH)) for record in sample(60, language=ENGLISH)
    ]
    assert min(named) == 1
    assert max(named) > 2


def test_chat_says_what_the_records_say(tmp_path: Path) -> None:
    numbers = {"positives": 3, "negatives": 3, "validation": 2, "seed": 1, "language": ENGLISH}
    plain, chat = (write_synthetic(tmp_path / form, form=form, **numbers) for form in ("alpaca", "messages"))
    for stem in plain:
        for record, said in zip(*(json.loads(paths[stem].read_text()) for paths in (plain, chat)), strict=True):
            question = {"role": "user", "content": f"{record['instruction']}\n{record['input']}"}
            assert said == {"messages": [question, {"role": "assistant", "content": record["output"]}]}


@pytest.mark.parametrize("split", ["train", "validation"])
def test_records_name_only_people_of_their_split(split: Any) -> None:
    named = set().union(*map(persons, sample(2000, split=split)))
    assert len(named) > 500
    assert named <= set(full_names(split))


def test_records_of_train_hold_no_name_of_validation_anywhere() -> None:
    windows = {
        text[start : start + 4]
        for record in sample(4000)
        for text in (record["input"], record["output"])
        for start in range(len(text))
    }
    assert not windows.isdisjoint(full_names("train"))
    assert windows.isdisjoint(full_names("validation"))


def test_write_synthetic_writes_the_customers_files(tmp_path: Path) -> None:
    paths = write_synthetic(tmp_path / "data", positives=5, negatives=7, validation=5, seed=1)
    contents = {stem: json.loads(path.read_text(encoding="utf-8")) for stem, path in paths.items()}
    presence = {stem: [bool(offenders(record)) for record in content] for stem, content in contents.items()}
    assert presence == {
        "hawks_train": [True] * 5,
        "person_dummy": [False] * 7,
        "hawks_val": [True, False, True, False, True],
    }
    assert sorted((tmp_path / "data").iterdir()) == sorted(paths.values())


def test_write_synthetic_writes_the_same_bytes_again(tmp_path: Path) -> None:
    first, second = (
        write_synthetic(tmp_path / name, positives=5, negatives=5, validation=4, seed=1) for name in ("first", "second")
    )
    assert [path.read_bytes() for path in first.values()] == [path.read_bytes() for path in second.values()]
