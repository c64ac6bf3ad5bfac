"""Figures about Sharpe ratios agree with published vectors, with scipy and with simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl.judge.sharpe import (
    deflated_sharpe,
    expected_maximum,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_ratio,
    skew_and_kurtosis,
)

# Bailey & Lopez de Prado (2014): annual figures of 250 periods.
PUBLISHED = {"sharpe": 2.5 / math.sqrt(250), "periods": 1250, "skew": -3.0, "kurtosis": 10.0}
TRIED = {"trials": 100, "variance": 0.5 / 250}


@pytest.mark.parametrize(("trials", "expected"), [(1, 0.0), (10, 1.5746), (45, 2.2356), (100, 2.5306)])
def test_the_expected_maximum_has_its_known_values(trials: int, expected: float) -> None:
    assert expected_maximum(trials) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("trials", [5, 20, 100])
def test_the_expected_maximum_is_that_of_simulated_normals(trials: int) -> None:
    drawn = np.random.default_rng(trials).standard_normal((20_000, trials)).max(axis=1).mean()
    assert expected_maximum(trials) == pytest.approx(drawn, rel=0.04)


def test_the_maximum_of_no_trial_is_not_defined() -> None:
    with pytest.raises(ValueError, match="not defined"):
        expected_maximum(0)


def test_the_deflated_sharpe_ratio_is_the_published_one() -> None:
    luck = math.sqrt(TRIED["variance"]) * expected_maximum(100)
    assert luck == pytest.approx(0.11317, abs=5e-6)
    assert deflated_sharpe(**PUBLISHED, **TRIED) == pytest.approx(0.9004, abs=5e-5)  # type: ignore[arg-type]


def test_more_trials_and_trials_further_apart_deflate_more() -> None:
    def told(trials: int, variance: float) -> float:
        return deflated_sharpe(**PUBLISHED, trials=trials, variance=variance)  # type: ignore[arg-type]

    assert told(1, 0.002) > told(2, 0.002) > told(10, 0.002) > told(100, 0.002)
    assert told(10, 0.001) > told(10, 0.002)
    assert told(1, 0.002) == probabilistic_sharpe(**PUBLISHED)  # type: ignore[arg-type]


def test_the_probabilistic_sharpe_ratio_is_the_share_of_worthless_curves_that_show_less() -> None:
    rng = np.random.default_rng(0)
    days, seen = 60, 0.2
    drawn = rng.standard_normal((40_000, days))
    ratios = drawn.mean(axis=1) / drawn.std(axis=1, ddof=1)
    assert probabilistic_sharpe(seen, days, 0.0, 3.0) == pytest.approx((ratios < seen).mean(), abs=0.01)


def test_after_the_minimum_track_record_the_ratio_is_believed_and_not_before() -> None:
    known = {"skew": -1.0, "kurtosis": 6.0}
    periods = minimum_track_record(0.15, **known, benchmark=0.05, confidence=0.95)
    assert periods is not None
    assert probabilistic_sharpe(0.15, periods, benchmark=0.05, **known) == pytest.approx(0.95)
    assert probabilistic_sharpe(0.15, periods - 1, benchmark=0.05, **known) < 0.95
    # 1 + (1 + 0.15 + 1.25 x 0.0225) (1.6449 / 0.1)^2
    assert periods == pytest.approx(1 + (1.15 + 1.25 * 0.0225) * 16.4485**2, rel=1e-4)


@pytest.mark.parametrize("sharpe", [0.05, 0.04])
def test_a_ratio_that_is_not_above_the_benchmark_is_never_believed(sharpe: float) -> None:
    assert minimum_track_record(sharpe, 0.0, 3.0, benchmark=0.05, confidence=0.95) is None


def test_skewness_and_raw_kurtosis_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    returns = np.random.default_rng(1).gamma(2.0, size=200)
    skew, kurtosis = skew_and_kurtosis(returns)
    assert skew == pytest.approx(stats.skew(returns))
    assert kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))


@pytest.mark.parametrize("returns", [[], [0.01], [0.01, 0.01, 0.01]])
def test_returns_that_are_too_few_or_do_not_vary_have_no_ratio(returns: list[float]) -> None:
    assert sharpe_ratio(np.array(returns)) is None


def test_two_returns_that_are_all_there_is_leave_no_doubt_about_the_sign() -> None:
    skew, kurtosis = skew_and_kurtosis(np.array([1.0, 3.0] * 10))
    assert probabilistic_sharpe(2.0, 20, skew, kurtosis) > 0.99
    assert probabilistic_sharpe(0.0, 20, skew, kurtosis) == 0.5
    assert probabilistic_sharpe(1.0, 20, 2.0, 5.0, 0.5) == 1.0  # an error of 0: 1 - 2 + 1
