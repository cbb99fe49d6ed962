"""Confidence intervals and tests, compared with those of scipy."""

import random

import numpy as np
import pytest
from scipy import stats

from jobs.evaluation.statistics import RESAMPLES, Difference, Interval, differences, intervals, mcnemar


def random_ratios(seed: int, records: int = 60) -> np.ndarray:
    """Random ratios of two metrics: a rate (0 or 1 out of 1 for each record), and an F1 as 2·TP over 2·TP + FP + FN."""
    rng = np.random.default_rng(seed)
    rate = np.stack([rng.integers(0, 2, records), np.ones(records, int)], axis=1)
    hits = 2 * rng.integers(0, 2, records)
    return np.stack([rate, np.stack([hits, hits + rng.integers(0, 2, records)], axis=1)], axis=1).astype(np.int64)


def test_mcnemar_agrees_with_scipy_on_1000_random_cases() -> None:
    rng = random.Random(1)
    for _ in range(1000):
        most = rng.choice([3, 30, 3000])
        b, c = rng.randint(0, most), rng.randint(0, most)
        expected = stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
        assert mcnemar(b, c) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("seed", range(8))
def test_intervals_agree_with_the_percentile_bootstrap_of_scipy(seed: int) -> None:
    ratios = random_ratios(seed)

    def quotient(numerators: np.ndarray, denominators: np.ndarray, axis: int) -> np.ndarray:
        return numerators.sum(axis=axis) / denominators.sum(axis=axis)

    for metric, found in enumerate(intervals(ratios, resamples=4000)):
        data = ratios[:, metric, 0], ratios[:, metric, 1]
        theirs = stats.bootstrap(data, quotient, paired=True, vectorized=True, method="percentile", n_resamples=4000,
                                 rng=np.random.default_rng(seed)).confidence_interval  # fmt: skip
        assert found.value == pytest.approx(data[0].sum() / data[1].sum())
        assert (found.low, found.high) == (pytest.approx(theirs.low, abs=0.02), pytest.approx(theirs.high, abs=0.02))


@pytest.mark.parametrize("seed", range(8))
def test_differences_agree_with_the_paired_bootstrap_of_scipy(seed: int) -> None:
    a, b = random_ratios(seed), random_ratios(seed + 100)

    def difference(*columns: np.ndarray, axis: int) -> np.ndarray:
        sums = [column.sum(axis=axis) for column in columns]
        return sums[0] / sums[1] - sums[2] / sums[3]

    for metric, found in enumerate(differences(a, b, resamples=4000)):
        data = a[:, metric, 0], a[:, metric, 1], b[:, metric, 0], b[:, metric, 1]
        theirs = stats.bootstrap(data, difference, paired=True, vectorized=True, method="percentile", n_resamples=4000,
                                 rng=np.random.default_rng(seed)).confidence_interval  # fmt: skip
        one_sided = stats.bootstrap(data, difference, paired=True, vectorized=True, method="percentile", n_resamples=4000,
                                    alternative="greater", rng=np.random.default_rng(seed)).confidence_interval  # fmt: skip
        assert found.least == pytest.approx(one_sided.low, abs=0.03)
        assert (found.low, found.high) == (pytest.approx(theirs.low, abs=0.03), pytest.approx(theirs.high, abs=0.03))
        assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high) or abs(found.p_value - 0.05) < 0.02


def test_intervals_repeat_and_hold_a_constant() -> None:
    ratios = random_ratios(3)
    assert intervals(ratios) == intervals(ratios)
    (always,) = intervals(np.array([[[1, 1]]] * 20))
    assert (always.value, always.low, always.high) == (1.0, 1.0, 1.0)
    (undefined,) = intervals(np.zeros((20, 1, 2), dtype=np.int64))
    assert undefined == Interval(None, None, None)
    assert differences(np.zeros((20, 1, 2), dtype=np.int64), np.ones((20, 1, 2), dtype=np.int64)) == [
        Difference(*[None] * 5)
    ]


def test_a_model_does_not_differ_from_itself_and_the_p_value_has_a_floor() -> None:
    ratios = random_ratios(4)
    for same in differences(ratios, ratios):
        assert (same.value, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)
    (apart,) = differences(np.array([[[1, 1]]] * 20), np.array([[[0, 1]]] * 20))
    assert (apart.value, apart.p_value) == (1.0, 2 / RESAMPLES)


def test_the_95_percent_interval_holds_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(7)
    holds = 0
    for seed in range(200):
        hits = (rng.random(200) < 0.8).astype(np.int64)
        (found,) = intervals(np.stack([hits, np.ones(200, np.int64)], axis=1)[:, None, :], resamples=400, seed=seed)
        holds += found.low <= 0.8 <= found.high
    assert 180 <= holds <= 198
