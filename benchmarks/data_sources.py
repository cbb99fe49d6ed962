"""The records of `make bench-data`: as many and as long as those of the migration document. They are written anew each time."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from random import Random

from data_prep.synthetic import records

POSITIVES, REPEAT, TAKE = 26_221, 3, 96_000
UNTAKEN = 24_000
"""Negatives in the file after those that are taken."""
DOCUMENT = POSITIVES * REPEAT + TAKE


@dataclass(frozen=True)
class Sources:
    """The document's two files, and the expected result of the merge."""

    folder: Path
    positives: int
    take: int

    @property
    def records(self) -> int:
        """The number of records that the merge writes."""
        return self.positives * REPEAT + self.take

    @property
    def positive_file(self) -> Path:
        return self.folder / "hawks_train.json"

    @property
    def negative_file(self) -> Path:
        return self.folder / "person_dummy.json"

    @property
    def taken_file(self) -> Path:
        """Only the negatives that are taken, for `cat`."""
        return self.folder / "taken.json"

    @property
    def expected_file(self) -> Path:
        """The file that the tools must write, and that `cp` copies."""
        return self.folder / "expected.json"

    @property
    def described(self) -> str:
        size = self.expected_file.stat().st_size
        return f"{REPEAT} x {self.positives:,} + {self.take:,} = {self.records:,} records, {size / 1e6:,.0f} MB"


def generated(folder: Path, scale: float) -> Sources:
    """Write the files. The same scale gives the same files every time."""
    print("writing the records ...", file=sys.stderr)
    sources = Sources(folder, max(4, round(POSITIVES * scale)), max(4, round(TAKE * scale)))
    positives = list(encoded(sources.positives, offender=True))
    negatives = list(encoded(sources.take + round(UNTAKEN * scale), offender=False))
    taken = negatives[: sources.take]
    write_array(sources.positive_file, positives)
    write_array(sources.negative_file, negatives)
    write_array(sources.taken_file, taken)
    write_array(sources.expected_file, positives * REPEAT + taken)
    return sources


def encoded(count: int, *, offender: bool) -> Iterator[str]:
    """Records as JSON, with articles as long as in a newspaper: several synthetic articles joined, 2.3 KB on average."""
    rng = Random(str(offender))  # noqa: S311
    articles = [record["input"] for record in records(5000, seed=1, split="train", offender=False)]
    for record in islice(cycle(records(5000, seed=2, split="train", offender=offender)), count):
        further = rng.choices(articles, k=round(rng.lognormvariate(2.3, 0.6)))
        yield json.dumps(record | {"input": record["input"] + "".join(further)}, ensure_ascii=False)


def write_array(path: Path, elements: Iterable[str]) -> None:
    first, *others = elements
    with path.open("w", encoding="utf-8") as file:
        file.writelines(chain(["[\n", first], (f",\n{element}" for element in others), ["\n]\n"]))
