"""The trainings that are stopped and compared: every pair of properties at least once."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from properties import BASE, PROPERTIES, TOGETHER


@dataclass(frozen=True)
class Case:
    """One training."""

    chosen: Mapping[str, str]
    """The value of each property."""

    @property
    def name(self) -> str:
        return ", ".join(f"{key}: {value}" for key, value in self.chosen.items())

    @property
    def settings(self) -> dict[str, Any]:
        """For Axolotl's config."""
        merged = dict(BASE)
        for key, value in self.chosen.items():
            merged |= PROPERTIES[key][value]
        for values, settings in TOGETHER:
            if values.items() <= self.chosen.items():
                merged |= settings
        return {key: value for key, value in merged.items() if key not in ("ranks", "stops")}

    @property
    def ranks(self) -> int:
        return int(PROPERTIES["ranks"][self.chosen["ranks"]].get("ranks", 1))

    @property
    def stops(self) -> Sequence[str]:
        stops: Sequence[str] = PROPERTIES["stopped"][self.chosen["stopped"]]["stops"]
        return stops


def fits(chosen: Mapping[str, str]) -> bool:
    """Whether these values, of some properties, can be put together."""
    return not any(rule(chosen) for rule in IMPOSSIBLE)


IMPOSSIBLE: tuple[Callable[[Mapping[str, str]], bool], ...] = (
    lambda c: c.get("stopped") == "in an accumulation" and c.get("accumulation") == "1",
    lambda c: "ZeRO" in c.get("ranks", "") and (c.get("optimizer") == "adafactor" or c.get("precision") == "bfloat16"),
    lambda c: (
        c.get("data", "records") != "records"
        and (
            c.get("order", "random") != "random"
            or "NEFTune" in c.get("method", "")
            or c.get("best", "none") != "none"
            or c.get("saves") in ("every epoch", "twice an epoch")
            or c.get("validation") == "split off"
            or c.get("scheduler") == "reduce_lr_on_plateau"
            or "ZeRO" in c.get("ranks", "")
            or "evaluation" in c.get("stopped", "")
            or c.get("stopped") == "three times"
        )
    ),
    lambda c: (
        c.get("data") == "stream"
        and ("border" in c.get("stopped", "") or c.get("ranks", "1") != "1" or c.get("length") == "4.5 epochs")
    ),
    lambda c: c.get("data") == "KTO" and c.get("ranks", "1") != "1",
    lambda c: c.get("ranks") == "4, DDP" and c.get("checkpointing") == "on",
    lambda c: c.get("best") == "early stopping" and c.get("saves") in ("every epoch", "twice an epoch"),
    lambda c: c.get("method") == "LoRA+" and c.get("optimizer", "adamw_torch") != "adamw_torch",
    lambda c: (
        c.get("scheduler") == "reduce_lr_on_plateau" and (c.get("best") == "none" or "ZeRO" in c.get("ranks", ""))
    ),
    lambda c: c.get("scheduler") == "one_cycle" and "ZeRO" in c.get("ranks", ""),
)
"""What Axolotl, DeepSpeed or torch refuse, or what has no such moment."""


COUNT = 210
"""So many contain every pair of values that can be put together."""


def cases(count: int = COUNT) -> list[Case]:
    """Cases in a fixed order: every pair of values occurs in one of the first, others are drawn at random."""
    draw, rows = random.Random(18), list[dict[str, str]]()
    pairs = [
        {one: a, other: b}
        for one, other in combinations(PROPERTIES, 2)
        for a in PROPERTIES[one]
        for b in PROPERTIES[other]
    ]
    left = {_Pair(pair.items()) for pair in pairs}
    for pair in pairs:
        if _Pair(pair.items()) in left:
            completed = [row for _ in range(TRIES) if (row := _completed(pair, draw))]
            rows += [max(completed, key=lambda row: len(left & _pairs(row)))] if completed else []
            left -= _pairs(rows[-1]) | {_Pair(pair.items())}
    while len(rows) < count:
        if (row := _completed({}, draw)) and row not in rows:
            rows.append(row)
    return [Case({key: row[key] for key in PROPERTIES}) for row in rows[:count]]


_Pair = frozenset[tuple[str, str]]
TRIES = 20
"""Of these completions of a pair, the one with the most new pairs is taken."""


def _pairs(row: Mapping[str, str]) -> set[_Pair]:
    return {_Pair(pair) for pair in combinations(row.items(), 2)}


def _completed(chosen: Mapping[str, str], draw: random.Random) -> dict[str, str] | None:
    """A random row with these values; None: there is none."""
    if not fits(chosen):
        return None
    left = [key for key in PROPERTIES if key not in chosen]
    if not left:
        return dict(chosen)
    key = draw.choice(left)
    values = draw.sample(list(PROPERTIES[key]), len(PROPERTIES[key]))
    return next((row for value in values if (row := _completed({**chosen, key: value}, draw))), None)
