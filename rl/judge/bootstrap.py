"""Intervals of mean daily returns, over blocks of time and over seeds.

Daily returns of carry remember: what pays today pays tomorrow. They are whitened by an autoregression of
order one, blocks of what is left are drawn, and the memory is put back (post-blackening: Davison & Hinkley,
"Bootstrap methods and their application", 1997, 8.2.3; Srinivas & Srinivasan 1996). A block is a day, and
longer where what is left still remembers: then Politis & White (2004, corrected by Patton, Politis & White
2009) say how long. With blocks alone, memory of a few days on windows of a month would leave a handful of
them.

Shapes: S seeds, D days, R draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from rl.market.arrays import F64, I64
from schemas.evidence import Interval

DRAWS: Final = 2_000
FEWEST_DAYS: Final = (
    8  # the autoregression's correction divides by D - 3; below this nothing is claimed at all
)
_NORMAL: Final = NormalDist()
_ALIKE: Final = 1e-12  # a variance below this times the square of the values is rounding


@dataclass(frozen=True)
class Memory:
    """How daily returns depend on those before.

    Attributes:
        persistence: First autocorrelation, corrected for its bias; at least 0.
        block_days: Length of a block of whitened days.
        days: Days it was estimated on.
        innovations: (S, D) whitened returns about each seed's mean.
    """

    persistence: float
    block_days: int
    days: int
    innovations: F64

    @property
    def blocks(self) -> int:
        """Whole blocks there are."""
        return self.days // self.block_days

    @property
    def inflation(self) -> float:
        """How much more the mean varies than that of independent days: (1 + phi) / (1 - phi)."""
        return (1.0 + self.persistence) / (1.0 - self.persistence)


def interquartile_mean(values: F64) -> F64:
    """Return the mean of the middle half along the first axis.

    A quarter of the weight is cut off at either end; a value at the border counts in part, so that it is
    defined for any number of seeds. After Agarwal et al., "Deep reinforcement learning at the edge of the
    statistical precipice" (2021).
    """
    edges = np.linspace(0.0, 1.0, len(values) + 1)
    inside = np.clip(np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25), 0.0, None)
    middle: F64 = np.tensordot(inside / inside.sum(), np.sort(values, axis=0), axes=1)
    return middle


def memory(daily: F64) -> Memory:
    """Estimate how daily returns depend on those before; all seeds together, since they share the market.

    Args:
        daily: (S, D) returns, fractions.
    """
    n = daily.shape[1]
    apart = daily - daily.mean(axis=1, keepdims=True) if n else daily
    squares = float((apart**2).sum())
    if n < FEWEST_DAYS or squares <= _ALIKE * float((daily**2).sum()):
        return Memory(0.0, 1, n, np.zeros_like(daily))
    raw = float((apart[:, 1:] * apart[:, :-1]).sum()) / squares
    # Kendall (1954): the estimate falls short of phi by (1 + 3 phi) / n. A memory of more than the window
    # cannot be seen in it.
    phi = min(max((n * raw + 1.0) / (n - 3.0), 0.0), 1.0 - 1.0 / n)
    whitened = apart.copy()
    whitened[:, 1:] -= phi * apart[:, :-1]
    whitened[:, 0] *= math.sqrt(1.0 - phi**2)
    whitened -= whitened.mean(axis=1, keepdims=True)
    return Memory(phi, block_length(whitened.mean(axis=0)), n, whitened)


def block_length(series: F64) -> int:
    """Return the length of blocks that a circular block bootstrap of the mean wants, at least 1.

    Politis & White (2004) with the correction of 2009. Where no autocorrelation stands out from chance it
    is 1. Days that make good for those before narrow the interval; nothing is made of that, as of a
    persistence below 0.

    Args:
        series: (D,), at least `FEWEST_DAYS`.
    """
    n = len(series)
    apart = series - series.mean()
    variance = float(np.mean(apart**2))
    if variance <= _ALIKE * float(np.mean(series**2)):
        return 1
    quiet = max(5, math.ceil(math.sqrt(math.log10(n))))  # so many small ones in a row end the memory
    most = min(math.ceil(math.sqrt(n)) + quiet, n - 1)
    covariance = np.array([float(apart[k:] @ apart[: n - k]) / n for k in range(most + 1)])
    loud = covariance[1:] / variance >= 2.0 * math.sqrt(math.log10(n) / n)
    last = next((m for m in range(most) if not loud[m : m + quiet].any()), most)
    if last == 0:
        return 1
    lags = np.arange(1, min(2 * last, most) + 1)
    weight = np.minimum(1.0, 2.0 * (1.0 - lags / min(2 * last, most)))  # the flat-top window
    spectrum = variance + 2.0 * float(weight @ covariance[lags])
    bend = 2.0 * float((weight * lags) @ covariance[lags])
    if spectrum <= 0.0:
        return 1
    wanted = (1.5 * (bend / spectrum) ** 2 * n) ** (1.0 / 3.0)
    return max(1, math.ceil(min(float(wanted), 3.0 * math.sqrt(n), n / 3.0)))


def interval(daily: F64, *, confidence: float, seed: int, draws: int = DRAWS) -> Interval | None:
    """Return the mean daily return with its interval, or None where there are too few days to say anything.

    Blocks of days are drawn with replacement, the same days for every seed, since they share the market; and
    seeds, one fewer than there are, which makes their variance unbiased (Rao & Wu 1988). The statistic is the
    inter-quartile mean over seeds of the mean over days. The bounds are expanded percentiles (Hesterberg,
    "What teachers should know about the bootstrap", 2015), which undo that percentiles are too narrow on few
    blocks.

    Args:
        daily: (S, D) returns or differences of returns, fractions.
        confidence: Two-sided.
        seed: Of the draws.
        draws: R.
    """
    seeds, days = daily.shape
    known = memory(daily)
    if days < FEWEST_DAYS or known.blocks < 2:
        return None
    rng = np.random.default_rng(seed)
    length, drawn = known.block_days, math.ceil(days / known.block_days)
    circle = np.concatenate([known.innovations, known.innovations[:, : length - 1]], axis=1)
    blocks = np.lib.stride_tricks.sliding_window_view(circle, length, axis=1).mean(axis=2)  # (S, D)
    starts = rng.integers(0, days, (draws, drawn))
    moved = blocks[:, starts].mean(axis=2) / (1.0 - known.persistence)  # (S, R)
    means = daily.mean(axis=1)
    scores = means[:, None] + moved
    if seeds > 1:
        chosen: I64 = rng.integers(0, seeds, (seeds - 1, draws))
        scores = np.take_along_axis(scores, chosen, axis=0)
    tail = expanded_tail(confidence, known.blocks)
    low, high = np.quantile(interquartile_mean(scores), [tail, 1.0 - tail])
    return Interval(
        mean=100.0 * float(interquartile_mean(means)), low=100.0 * float(low), high=100.0 * float(high)
    )


def expanded_tail(confidence: float, n: int) -> float:
    """Return the share of draws to leave out at each end so that n blocks give the confidence asked for.

    Percentiles of a bootstrap are those of a normal quantile and a deviation over n; a t quantile and one
    over n - 1 are wanted: Phi(-sqrt(n / (n - 1)) t).
    """
    t = t_quantile(0.5 + confidence / 2.0, n - 1)
    return _NORMAL.cdf(-math.sqrt(n / (n - 1.0)) * t)


def t_quantile(p: float, degrees: int) -> float:
    """Return a quantile of Student's t distribution: Abramowitz & Stegun 26.7.5, for 5 degrees or more."""
    x = _NORMAL.inv_cdf(p)
    v = float(degrees)
    return (
        x
        + (x**3 + x) / (4.0 * v)
        + (5.0 * x**5 + 16.0 * x**3 + 3.0 * x) / (96.0 * v**2)
        + (3.0 * x**7 + 19.0 * x**5 + 17.0 * x**3 - 15.0 * x) / (384.0 * v**3)
        + (79.0 * x**9 + 776.0 * x**7 + 1482.0 * x**5 - 1920.0 * x**3 - 945.0 * x) / (92160.0 * v**4)
    )
