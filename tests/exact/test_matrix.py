"""The cases of `make exact` contain every pair of values that can be put together."""

import random
from itertools import combinations

from matrix import COUNT, cases, fits
from properties import PROPERTIES


def pairs(row: dict[str, str]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(pair) for pair in combinations(row.items(), 2)}


def test_every_pair_of_values_occurs() -> None:
    draw, possible = random.Random(1), set[frozenset[tuple[str, str]]]()
    for _ in range(20_000):
        row = {key: draw.choice(list(values)) for key, values in PROPERTIES.items()}
        possible |= pairs(row) if fits(row) else set()
    found = cases()
    assert len(possible) > 1000
    assert possible <= set().union(*(pairs(dict(case.chosen)) for case in found))
    assert len({case.name for case in found}) == len(found) == COUNT


def test_cases_are_the_same_at_every_call() -> None:
    assert [case.name for case in cases()] == [case.name for case in cases()]
