"""Many simulated trainings, summed up: when the training ends, its goodput, and how often it should save. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt
from random import Random

from jobs.plan.costs import Costs
from jobs.plan.simulation import Outcome, Site, simulate

TRAININGS = 200
LOW, MIDDLE, HIGH = 0.05, 0.5, 0.95


@dataclass(frozen=True)
class Range:
    """The middle of all simulated trainings, and the range that nine in ten of them are in."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Plan:
    """What is to be expected of a training on a site."""

    trainings: int
    """How many were simulated."""
    end: Range
    """Seconds from the submission to the end, like `queued` and `allocated`."""
    queued: Range
    allocated: Range
    goodput: Range
    """The productive share of the allocated time."""
    attempts: Range
    steps_lost: Range
    """Optimizer steps that were done again."""
    spent: Mapping[str, float]
    """The mean share of the allocated time that each kind of work took."""
    best_save_steps: int | None
    """Where failures are not announced: the steps between two saves with the best mean goodput."""
    young_daly: int | None
    """The same by the formula of Young and Daly: the square root of twice the time of a save, times that between failures."""


def plan(costs: Costs, site: Site, trainings: int = TRAININGS, seed: int = 0) -> Plan:
    """Simulate trainings.

    Raises:
        NeverEnds: as in `simulate`.
    """
    found = _simulated(costs, site, trainings, seed)
    allocated = sum(each.allocated for each in found)
    parts: dict[str, Callable[[Outcome], float]] = {
        "steps that count": lambda each: each.productive,
        "steps done again": lambda each: each.replayed,
        "starting": lambda each: each.starting,
        "evaluating": lambda each: each.evaluating,
    }
    spent = {name: sum(map(of, found)) / allocated for name, of in parts.items()}
    has_failures = site.fail_every < inf and costs.save > 0
    return Plan(
        trainings,
        end=_range([each.end for each in found]),
        queued=_range([each.queued for each in found]),
        allocated=_range([each.allocated for each in found]),
        goodput=_range([each.goodput for each in found]),
        attempts=_range([each.attempts for each in found]),
        steps_lost=_range([each.steps_lost for each in found]),
        spent=spent | {"saving and leaving": max(0.0, 1 - sum(spent.values()))},
        best_save_steps=_best_save_steps(costs, site, trainings, seed) if has_failures else None,
        young_daly=max(1, round(sqrt(2 * costs.save * site.fail_every) / costs.step)) if has_failures else None,
    )


def _simulated(costs: Costs, site: Site, trainings: int, seed: int) -> list[Outcome]:
    return [simulate(costs, site, Random(f"{seed} {number}")) for number in range(trainings)]  # noqa: S311 (no secret)


def _range(values: Sequence[float]) -> Range:
    ordered = sorted(values)
    return Range(*(ordered[round(share * (len(ordered) - 1))] for share in (MIDDLE, LOW, HIGH)))


def _best_save_steps(costs: Costs, site: Site, trainings: int, seed: int) -> int:
    """By simulation with the same random numbers, over intervals each a quarter longer than the one before."""
    intervals, every = [], 1.0
    while every < costs.steps:
        intervals.append(round(every))
        every *= 1.25
    means = {
        interval: sum(each.allocated for each in _simulated(replace(costs, save_steps=interval), site, trainings, seed))
        for interval in dict.fromkeys([*intervals, costs.steps])
        if interval * costs.step >= costs.save / 4  # else it would save for most of the time
    }
    return min(means, key=lambda interval: means[interval])
