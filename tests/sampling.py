"""Seeded samples of the long sets of tests, so that `make test` stays short."""

import os
import random
from collections.abc import Sequence
from typing import TypeVar

SAMPLE = os.environ.get("REGROW_SAMPLE", "1")
"""The seed of the samples; `all`: every test runs, without samples (`make test-whole`)."""
T = TypeVar("T")


def sampled(cases: Sequence[T], count: int) -> list[T]:
    """`count` of the cases, in their order."""
    if SAMPLE == "all" or count >= len(cases):
        return list(cases)
    chosen = random.Random(int(SAMPLE)).sample(range(len(cases)), count)
    return [cases[index] for index in sorted(chosen)]
