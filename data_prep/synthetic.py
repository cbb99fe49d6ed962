"""Makes synthetic news records in the customer's format, seeded and streamed, in place of the private data.

The rule "a word of arrest or suspicion is in the article" must not be enough. So many negatives contain such a word without an
offender (an exercise, a wrong arrest, nobody identified), some positives contain none (charged, convicted), and victims,
officers and officials are named in both.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Literal

from data_prep.japanese import JAPANESE
from data_prep.language import Language

Split = Literal["train", "validation"]
Form = Literal["alpaca", "messages"]
Record = dict[str, str]
"""`instruction`, `input` and `output`."""

_VALIDATION_SHARE = 5
# The shares of articles with a keyword; together they give the keyword rule a presence F1 near 0.73.
_KEYWORD_SHARE = {True: 0.75, False: 0.35}
_OFFENDER_COUNTS, _OFFENDER_WEIGHTS = (1, 2, 3), (75, 20, 5)
_ASIDE_COUNTS = (0, 1, 2)
_LEAD_FIRST_SHARE = 0.7


@cache
def full_names(split: Split, language: Language = JAPANESE) -> tuple[str, ...]:
    """Every name that the records of a split may contain, bystanders included, sorted; the two splits share no name."""
    return tuple(
        sorted(
            language.full_name.format(surname=surname, given=given)
            for number, surname in enumerate(language.surnames)
            for given in _given_names(split, number, language)
        )
    )


def _given_names(split: Split, surname_number: int, language: Language) -> list[str]:
    """The given names that may follow a surname: each occurs in both splits, but with other surnames."""
    is_validation = split == "validation"
    return [
        given
        for number, given in enumerate(language.given_names)
        if ((surname_number + number) % _VALIDATION_SHARE == 0) == is_validation
    ]


class _Scene(dict[str, str]):
    """The slots of one article, each drawn when a sentence first asks for it."""

    def __init__(self, rng: Random, split: Split, language: Language) -> None:
        super().__init__()
        self.rng = rng
        self.language = language
        self._names = full_names(split, language)

    def __missing__(self, slot: str) -> str:
        kind = slot.partition("_")[0]
        value = self._name() if kind == "name" else self._draw(kind)
        self[slot] = value
        return value

    def _name(self) -> str:
        """A name that nobody in this article has yet."""
        taken = {value for slot, value in self.items() if slot.startswith("name")}
        while (name := self.rng.choice(self._names)) in taken:
            pass
        return name

    def _draw(self, kind: str) -> str:
        if kind in self.language.choices:
            return self.rng.choice(self.language.choices[kind])
        return str(self.rng.randint(*_NUMBERS[kind]))

    def tell(self, sentence: str) -> str:
        """The sentence with its slots filled in."""
        return sentence.format_map(self)


_NUMBERS = {"age": (18, 79), "day": (1, 28), "count": (2, 99)}


def records(count: int, *, seed: int, split: Split, offender: bool, language: Language = JAPANESE) -> Iterator[Record]:
    """Alpaca-style records, all with an offender or all without one; the same arguments give the same records."""
    rng = Random(f"{seed} {split} {offender}")
    for _ in range(count):
        scene = _Scene(rng, split, language)
        yield _with_offender(scene) if offender else _without_offender(scene)


def _with_offender(scene: _Scene) -> Record:
    rng, language = scene.rng, scene.language
    has_keyword = rng.random() < _KEYWORD_SHARE[True]
    title, lead = rng.choice(language.leads_with_keyword if has_keyword else language.leads_without_keyword)
    numbers = range(1, 1 + rng.choices(_OFFENDER_COUNTS, _OFFENDER_WEIGHTS)[0])
    told = (
        language.offender.format(title=title, **{slot: f"{{{slot}_{number}}}" for slot in ("job", "name", "age")})
        for number in numbers
    )
    scene["offenders"] = language.between_offenders.join(map(scene.tell, told))
    return _record(language, _article(scene, lead), [_offender(scene, number) for number in numbers])


def _without_offender(scene: _Scene) -> Record:
    rng, language = scene.rng, scene.language
    has_keyword = rng.random() < _KEYWORD_SHARE[False]
    lead = rng.choice(language.nobody_with_keyword if has_keyword else language.nobody_without_keyword)
    return _record(language, _article(scene, lead), [])


def _article(scene: _Scene, lead: str) -> str:
    """The lead with up to two asides, mostly before them. Every article names somebody, at least a bystander: so no article of
    the validation records, which have names of their own, can be in the training records."""
    rng, language = scene.rng, scene.language
    count = rng.choices(_ASIDE_COUNTS, language.aside_weights)[0]
    asides = rng.sample((*language.people, *language.other_asides), count)
    position = 0 if rng.random() < _LEAD_FIRST_SHARE else rng.randint(0, len(asides))
    told = [scene.tell(sentence) for sentence in (*asides[:position], lead, *asides[position:])]
    if not any(slot.startswith("name") for slot in scene):
        told.append(scene.tell(rng.choice(language.people)))
    return language.between_sentences.join(told)


def _offender(scene: _Scene, number: int) -> dict[str, str | int]:
    """One entry of the answer, as in the article."""
    return {
        "name": scene[f"name_{number}"],
        "age": int(scene[f"age_{number}"]),
        "occupation": scene[f"job_{number}"],
        "offence": scene["offence"],
    }


def _record(language: Language, article: str, offenders: list[dict[str, str | int]]) -> Record:
    output = json.dumps({"offenders": offenders}, ensure_ascii=False)
    return {"instruction": language.instruction, "input": article, "output": output}


def write_synthetic(
    folder: Path,
    *,
    positives: int,
    negatives: int,
    validation: int,
    seed: int,
    language: Language = JAPANESE,
    form: Form = "alpaca",
) -> dict[str, Path]:
    """Write the customer's three files as JSON arrays, each completely or not at all; return the paths by their stems."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "hawks_train": records(positives, seed=seed, split="train", offender=True, language=language),
        "person_dummy": records(negatives, seed=seed, split="train", offender=False, language=language),
        "hawks_val": _validation_records(validation, seed, language),
    }
    paths = {stem: folder / f"{stem}.json" for stem in contents}
    for stem, path in paths.items():
        _write_array(path, map(_as_chat, contents[stem]) if form == "messages" else contents[stem])
    return paths


def _validation_records(count: int, seed: int, language: Language) -> Iterator[Record]:
    """Records with and without an offender, in turn."""
    half = (count + 1) // 2
    kinds = [
        iter(records(half, seed=seed, split="validation", offender=offender, language=language))
        for offender in (True, False)
    ]
    return (next(kinds[number % 2]) for number in range(count))


def _as_chat(record: Record) -> dict[str, list[dict[str, str]]]:
    said = {"user": f"{record['instruction']}\n{record['input']}", "assistant": record["output"]}
    return {"messages": [{"role": role, "content": content} for role, content in said.items()]}


def _write_array(path: Path, content: Iterable[Mapping[str, Any]]) -> None:
    """Write one record a line; an old file stays until the new one is complete."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        draft = Path(scratch, path.name)
        with draft.open("w", encoding="utf-8") as file:
            file.write("[")
            for number, record in enumerate(content):
                file.write(",\n" if number else "\n")
                json.dump(record, file, ensure_ascii=False)
            file.write("\n]\n")
        os.replace(draft, path)
