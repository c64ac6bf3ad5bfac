"""How much a Sharpe ratio is worth: its error, how long it has to be watched, and what the best of many is.

Every ratio here is per period and not annual; kurtosis is raw, 3 for a normal distribution.

Sources: Bailey & Lopez de Prado, "The Sharpe ratio efficient frontier" (2012) for the probabilistic Sharpe
ratio and the minimum track record length; the same, "The deflated Sharpe ratio" (2014) for the rest; Lo, "The
statistics of Sharpe ratios" (2002) for returns that remember.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

import numpy as np

from rl.market.arrays import F64

EULER_GAMMA: Final = 0.5772156649015329
_NORMAL: Final = NormalDist()
_SMALL: Final = 1e-12  # returns that vary by less do not vary


def sharpe_ratio(returns: F64) -> float | None:
    """Return mean over standard deviation, per period; None where there are too few or they do not vary.

    Args:
        returns: (T,) excess returns, fractions.
    """
    if len(returns) < 2:
        return None
    deviation = float(np.std(returns, ddof=1))
    return float(np.mean(returns)) / deviation if deviation > _SMALL else None


def skew_and_kurtosis(returns: F64) -> tuple[float, float]:
    """Return the skewness and the raw kurtosis of returns that vary; (T,)."""
    apart = returns - returns.mean()
    variance = float(np.mean(apart**2))
    return float(np.mean(apart**3)) / variance**1.5, float(np.mean(apart**4)) / variance**2


def expected_maximum(trials: int) -> float:
    """Return what the greatest of so many independent standard normal numbers is expected to be.

    (1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e)) with Euler's constant g, after Bailey & Lopez de Prado (2014); of a
    single number it is 0, its mean.

    Raises:
        ValueError: There is not one.
    """
    if trials < 1:
        raise ValueError(f"the greatest of {trials} numbers is not defined")
    if trials == 1:
        return 0.0
    z = _NORMAL.inv_cdf
    return (1.0 - EULER_GAMMA) * z(1.0 - 1.0 / trials) + EULER_GAMMA * z(1.0 - 1.0 / (trials * math.e))


def spread_of_error(sharpe: float, skew: float, kurtosis: float) -> float:
    """Return the error of a Sharpe ratio times sqrt(T - 1): sqrt(1 - skew SR + (kurt - 1)/4 SR^2)."""
    return math.sqrt(max(1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2, 0.0))


def probabilistic_sharpe(
    sharpe: float, periods: float, skew: float, kurtosis: float, benchmark: float = 0.0
) -> float:
    """Return the probability that the true Sharpe ratio is above a benchmark.

    Args:
        sharpe: Observed, per period.
        periods: How many were observed; of returns that remember, how many independent ones tell as much.
        skew: Of the returns.
        kurtosis: Of the returns, raw.
        benchmark: Per period.
    """
    error = spread_of_error(sharpe, skew, kurtosis)
    gap = (sharpe - benchmark) * math.sqrt(max(periods - 1.0, 0.0))
    if error == 0.0:
        return 0.5 if gap == 0.0 else float(gap > 0.0)
    return _NORMAL.cdf(gap / error)


def deflated_sharpe(
    sharpe: float, periods: float, skew: float, kurtosis: float, *, trials: int, variance: float
) -> float:
    """Return the probability that a Sharpe ratio is above what the best of many trials shows by luck.

    Args:
        sharpe: Observed, per period.
        periods: See `probabilistic_sharpe`.
        skew: Of the returns.
        kurtosis: Of the returns, raw.
        trials: How many were tried.
        variance: Of the trials' Sharpe ratios, per period squared.
    """
    luck = math.sqrt(variance) * expected_maximum(trials)
    return probabilistic_sharpe(sharpe, periods, skew, kurtosis, luck)


def minimum_track_record(
    sharpe: float, skew: float, kurtosis: float, *, benchmark: float, confidence: float
) -> float | None:
    """Return how many periods it takes until the probabilistic Sharpe ratio reaches a confidence.

    1 + (1 - skew SR + (kurt - 1)/4 SR^2) (Z(confidence) / (SR - benchmark))^2; None where the ratio is not
    above the benchmark: no number of periods is enough.
    """
    if sharpe <= benchmark:
        return None
    error = spread_of_error(sharpe, skew, kurtosis)
    return 1.0 + (error * _NORMAL.inv_cdf(confidence) / (sharpe - benchmark)) ** 2
