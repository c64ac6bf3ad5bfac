"""Intervals hold what they promise, also for returns that remember; blocks are as long as they must be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl.judge.bootstrap import (
    FEWEST_DAYS,
    block_length,
    expanded_tail,
    interquartile_mean,
    interval,
    memory,
    t_quantile,
)


def remembering(phi: float, days: int, rng: np.random.Generator, curves: int = 1) -> np.ndarray:
    """(curves, days) of an autoregression with heavy tails, mean 0."""
    shocks = rng.standard_t(4, (curves, days + 50))
    told = np.zeros_like(shocks)
    for day in range(1, shocks.shape[1]):
        told[:, day] = phi * told[:, day - 1] + shocks[:, day]
    return 1e-3 * told[:, 50:]


@pytest.mark.parametrize("phi", [0.0, 0.5])
def test_the_lower_bound_is_above_the_truth_as_rarely_as_promised(phi: float) -> None:
    rng, days, n = np.random.default_rng(3), 60, 400
    missed = 0
    for i in range(n):
        told = interval(remembering(phi, days, rng), confidence=0.95, seed=i, draws=500)
        assert told is not None
        missed += told.low > 0.0
    assert missed / n <= 0.045  # 2.5 % is promised; of blocks of a day without memory it is 11 % at 0.5


def test_of_independent_normal_days_the_interval_is_that_of_a_t_test() -> None:
    stats = pytest.importorskip("scipy.stats")
    widths, exact = [], []
    for i in range(30):
        daily = np.random.default_rng(i).normal(1e-3, 2e-3, (1, 40))
        if memory(daily).persistence > 0.0:
            continue
        told = interval(daily, confidence=0.9, seed=i)
        assert told is not None
        low, high = stats.t.interval(0.9, 39, 100 * daily.mean(), 100 * daily.std(ddof=1) / math.sqrt(40))
        assert told.mean == pytest.approx(100 * daily.mean())
        widths.append(told.high - told.low)
        exact.append(high - low)
    assert len(widths) >= 10
    assert np.mean(widths) == pytest.approx(np.mean(exact), rel=0.03)


def test_memory_widens_the_interval_as_much_as_it_must() -> None:
    rng = np.random.default_rng(0)
    for phi in (0.3, 0.6):
        told = memory(remembering(phi, 5_000, rng))
        assert told.persistence == pytest.approx(phi, abs=0.04)
        assert told.inflation == pytest.approx((1 + phi) / (1 - phi), rel=0.15)


def test_the_estimate_of_memory_is_not_biased_on_few_days() -> None:
    rng = np.random.default_rng(1)
    told = [memory(remembering(0.5, 36, rng)).persistence for _ in range(400)]
    assert np.mean(told) == pytest.approx(0.5, abs=0.03)  # 0.43 as it is estimated


def test_swings_are_not_taken_for_information() -> None:
    daily = np.tile([1e-3, -1e-3], 30)[None] + np.random.default_rng(0).normal(0, 1e-4, (1, 60))
    assert memory(daily).persistence == 0.0
    assert memory(daily).inflation == 1.0


def test_without_memory_a_block_is_a_day_and_with_it_as_long_as_politis_and_white_say() -> None:
    rng = np.random.default_rng(0)
    assert block_length(rng.normal(size=2_000)) == 1
    phi, n = 0.5, 20_000
    series = np.zeros(n)
    for day, shock in enumerate(rng.normal(size=n)):
        series[day] = phi * series[day - 1] + shock
    # Of an autoregression: G / g(0) = 2 phi / (1 - phi^2), b = (1.5 (G / g(0))^2 n)^(1/3).
    assert block_length(series) == pytest.approx(
        (1.5 * (2 * phi / (1 - phi**2)) ** 2 * n) ** (1 / 3), rel=0.2
    )


def test_what_the_autoregression_leaves_makes_the_blocks_longer() -> None:
    rng = np.random.default_rng(2)
    shocks = rng.normal(size=400)
    late = 1e-3 * (shocks[3:] + 0.9 * shocks[:-3])  # remembers the third day before, and not yesterday
    assert memory(late[None]).block_days > 1
    assert memory(late[None]).blocks == len(late) // memory(late[None]).block_days
    made_good = 1e-3 * (shocks[3:] - 0.9 * shocks[:-3])
    assert memory(made_good[None]).block_days == 1


def test_the_middle_half_of_the_seeds_is_what_counts() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(0).normal(size=(8, 3))
    np.testing.assert_allclose(interquartile_mean(values), stats.trim_mean(values, 0.25, axis=0))
    assert interquartile_mean(np.array([1.0, 2.0, 3.0, 100.0])) == pytest.approx(2.5)
    assert interquartile_mean(np.array([5.0])) == 5.0
    assert interquartile_mean(np.array([1.0, 3.0])) == pytest.approx(2.0)
    # Of three: the middle one whole (a third), a twelfth of each other.
    assert interquartile_mean(np.array([0.0, 3.0, 30.0])) == pytest.approx((30 / 12 + 3 / 3) * 2)


def test_seeds_that_differ_widen_the_interval_and_unbiasedly_so() -> None:
    rng = np.random.default_rng(5)
    quiet = 1e-6 * rng.normal(size=(4, 40))
    levels = 1e-3 * np.array([[1.0], [2.0], [3.0], [4.0]])
    alike, apart = (interval(x, confidence=0.9, seed=0) for x in (quiet + 2.5e-3, quiet + levels))
    assert alike is not None
    assert apart is not None
    assert apart.high - apart.low > 50 * (alike.high - alike.low)
    # Of two seeds one is drawn, so that a score is never half way between them: the variance is not halved.
    two = interval(quiet[:2] + levels[:2], confidence=0.3, seed=0)
    assert two is not None
    assert (two.low, two.high) == (pytest.approx(0.1, abs=1e-3), pytest.approx(0.2, abs=1e-3))


def test_what_moves_both_curves_does_not_move_their_difference() -> None:
    rng = np.random.default_rng(0)
    market = remembering(0.2, 60, rng)
    own = market + 5e-4 + 1e-5 * rng.normal(size=(1, 60))
    alone = interval(own, confidence=0.95, seed=0)
    paired = interval(own - market, confidence=0.95, seed=0)
    assert alone is not None
    assert paired is not None
    assert alone.low < 0.0 < paired.low


def test_the_same_seed_draws_the_same_and_another_one_about_the_same() -> None:
    daily = remembering(0.3, 60, np.random.default_rng(0), curves=3)
    told, again, other = (interval(daily, confidence=0.95, seed=s) for s in (7, 7, 8))
    assert told is not None
    assert other is not None
    assert told == again != other
    assert told.low == pytest.approx(other.low, abs=0.1 * (told.high - told.low))


def test_too_few_days_have_no_interval() -> None:
    daily = np.random.default_rng(0).normal(size=(1, FEWEST_DAYS))
    assert interval(daily, confidence=0.95, seed=0) is not None
    for days in range(FEWEST_DAYS):
        assert interval(daily[:, :days], confidence=0.95, seed=0) is None
        assert memory(daily[:, :days]).blocks == days


def test_returns_that_do_not_vary_have_an_interval_of_no_width() -> None:
    told = interval(np.full((1, 40), 3e-4), confidence=0.95, seed=0)
    assert told is not None
    assert (told.low, told.mean, told.high) == pytest.approx((0.03, 0.03, 0.03))


def test_returns_that_differ_by_rounding_alone_have_no_memory() -> None:
    rounded = 3e-4 + 1e-18 * np.arange(40)[None]
    assert np.ptp(rounded) > 0.0
    assert (memory(rounded).persistence, memory(rounded).block_days) == (0.0, 1)


@pytest.mark.parametrize("degrees", [7, 19, 33, 200])
@pytest.mark.parametrize("p", [0.9, 0.975, 0.995])
def test_t_quantiles_are_those_of_scipy(p: float, degrees: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert t_quantile(p, degrees) == pytest.approx(stats.t.ppf(p, degrees), rel=3e-3)


def test_few_blocks_leave_out_fewer_draws() -> None:
    stats = pytest.importorskip("scipy.stats")
    for blocks in (20, 60):
        wider = math.sqrt(blocks / (blocks - 1)) * stats.t.ppf(0.975, blocks - 1)
        assert expanded_tail(0.95, blocks) == pytest.approx(stats.norm.cdf(-wider), rel=2e-3)
    assert expanded_tail(0.95, 20) < expanded_tail(0.95, 60) < 0.025
