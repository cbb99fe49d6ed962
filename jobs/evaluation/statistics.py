"""The uncertainty of scores: percentile bootstrap over records, and McNemar's test. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95
SEED = 1
"""Fixed, so that the same predictions always get the same intervals."""
Ratios: TypeAlias = NDArray[np.float64]
"""Shape (records, metrics, 2): each record's share of the numerator and of the denominator of each metric."""
Means: TypeAlias = Sequence[Sequence[int]]
"""Further metrics: each is the unweighted mean of those metrics, by index, that are defined. They come after the others."""


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval, for other records drawn from the same kind."""

    value: float | None
    """None: 0/0, the metric is undefined for these records."""
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """The difference of two models on the same records; None if the metric is 0/0 for one of them."""

    value: float | None
    low: float | None
    high: float | None
    p_value: float | None
    """Two-sided, from the bootstrap: twice the share of resampled differences with the other sign."""
    least: float | None
    """One-sided 95 % bound: with this confidence, the difference is not lower. It lies above `low`, which has 97.5 %."""


def intervals(ratios: Ratios, resamples: int = RESAMPLES, seed: int = SEED, means: Means = ()) -> list[Interval]:
    """Each metric with its bootstrap interval, from the resamples in which it is defined."""
    values = _with_means(_quotients(ratios.sum(axis=0)), means)
    drawn = _with_means(resampled(ratios, resamples, seed), means)
    low, high = _tails(drawn)
    return [Interval(*map(_number, each)) for each in zip(values, low, high, strict=True)]


def differences(
    a: Ratios, b: Ratios, resamples: int = RESAMPLES, seed: int = SEED, means: Means = ()
) -> list[Difference]:
    """Each metric of `a` minus that of `b`, on the same records, which are resampled together (paired)."""
    value_a, value_b = (_with_means(_quotients(each.sum(axis=0)), means) for each in (a, b))
    drawn_a, drawn_b = (_with_means(resampled(each, resamples, seed), means) for each in (a, b))
    values, drawn = value_a - value_b, drawn_a - drawn_b
    low, high = _tails(drawn)
    (least,) = _quantiles(drawn, [1 - LEVEL])
    defined = np.maximum(1, (~np.isnan(drawn)).sum(axis=0))
    other_sign = np.minimum((drawn <= 0).sum(axis=0), (drawn >= 0).sum(axis=0)) / defined
    p_values = np.where(np.isnan(values), np.nan, np.minimum(1.0, 2 * np.maximum(other_sign, 1 / resamples)))
    return [Difference(*map(_number, each)) for each in zip(values, low, high, p_values, least, strict=True)]


def resampled(ratios: Ratios, resamples: int, seed: int) -> NDArray[np.float64]:
    """The metrics of `resamples` sets of as many records, drawn with replacement. Shape (resamples, metrics).

    The same seed draws the same records whatever the ratios are, so that the resamples of two models are pairs.
    """
    records, metrics, _ = ratios.shape
    random, flat = np.random.default_rng(seed), ratios.reshape(records, -1).astype(np.float64)
    drawn = np.empty((resamples, metrics))
    for index in range(resamples):  # one at a time: resamples × records would not fit for a hundred thousand records
        counts = np.bincount(random.integers(records, size=records), minlength=records)
        drawn[index] = _quotients((counts @ flat).reshape(metrics, 2))
    return drawn


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided exact p-value of McNemar's test.

    Args:
        only_a: the number of records that only `a` has right.
        only_b: the number of records that only `b` has right.
    """
    trials, fewer = only_a + only_b, min(only_a, only_b)
    tail = term = 1
    for count in range(fewer):
        term = term * (trials - count) // (count + 1)
        tail += term
    return min(1.0, _fraction(2 * tail, trials))


def _fraction(numerator: int, power: int) -> float:
    """numerator / 2**power, for integers that are too large for a float."""
    shift = max(0, numerator.bit_length() - 64)
    return math.ldexp(numerator >> shift, shift - power)


def _quotients(sums: NDArray[np.generic]) -> NDArray[np.float64]:
    """Shape (metrics, 2) → (metrics,)."""
    numerators, denominators = sums[:, 0].astype(np.float64), sums[:, 1].astype(np.float64)
    quotients = np.full(len(sums), np.nan)
    np.divide(numerators, denominators, out=quotients, where=denominators > 0)
    return quotients


def _with_means(values: NDArray[np.float64], means: Means) -> NDArray[np.float64]:
    """The values with their means appended along the last axis."""
    parts = [values[..., list(indices)] for indices in means]
    there = [(~np.isnan(part)).sum(axis=-1) for part in parts]
    sums = [np.where(count > 0, np.nansum(part, axis=-1) / np.maximum(1, count), np.nan)
            for part, count in zip(parts, there, strict=True)]  # fmt: skip
    return np.concatenate([values, *(each[..., np.newaxis] for each in sums)], axis=-1)


def _tails(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Both ends of the interval of each metric: shape (2, metrics)."""
    return _quantiles(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])


def _quantiles(drawn: NDArray[np.float64], wanted: Sequence[float]) -> NDArray[np.float64]:
    """Quantiles of each metric, from its defined resamples: shape (wanted, metrics)."""
    found = np.full((len(wanted), drawn.shape[1]), np.nan)
    is_defined = ~np.isnan(drawn).all(axis=0)
    found[:, is_defined] = np.nanquantile(drawn[:, is_defined], wanted, axis=0)
    return found


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
