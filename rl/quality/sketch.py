"""A mergeable sketch of a column: how many values fall into buckets whose width is 1 % of the value.

DDSketch (Masson, Rim, Lee 2019, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
guarantees") with fixed ends: sketches of days add up to that of their rows, in any order, bit for bit, and a
quantile is within `ACCURACY` of a value of that rank. Positive and negative values have buckets of their own;
the number of buckets is bounded whatever the rows are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rl.market.arrays import F64, I64

ACCURACY: Final = 0.005  # relative
_GAMMA: Final = (1.0 + ACCURACY) / (1.0 - ACCURACY)
_SMALLEST: Final = 1e-9  # what is nearer to zero counts as zero
_LARGEST: Final = 1e15  # what is larger falls into the last bucket
_FIRST: Final = int(np.ceil(np.log(_SMALLEST) / np.log(_GAMMA)))
_LAST: Final = int(np.ceil(np.log(_LARGEST) / np.log(_GAMMA)))


@dataclass(frozen=True)
class Sketch:
    """Counts of a column's values.

    Attributes:
        keys: (n,) buckets that hold something, in the order of their values: negative numbers below zero, 0
            for zero, positive ones above it.
        counts: (n,) values in each.
        least: (n,) the smallest value in each, so that a quantile is a value that occurs.
        nulls: Rows without a value.
        low: Smallest value; None where there is none.
        high: Largest value; None where there is none.
    """

    keys: I64
    counts: I64
    least: F64
    nulls: int = 0
    low: float | None = None
    high: float | None = None

    @property
    def known(self) -> int:
        """Values that are not null."""
        return int(self.counts.sum())

    @property
    def rows(self) -> int:
        """Rows, nulls included."""
        return self.known + self.nulls

    def quantile(self, q: float) -> float | None:
        """Return a value at most twice `ACCURACY` from the one whose rank is q; None where there is none."""
        if not self.known:
            return None
        rank = max(int(np.ceil(q * self.known)), 1)
        return float(self.least[np.searchsorted(np.cumsum(self.counts), rank)])


def sketch(values: F64) -> Sketch:
    """Count the values (N,) of a column; NaN is null, and infinite values fall into the last buckets."""
    present = np.sort(values[~np.isnan(values)])
    if not len(present):
        return empty(len(values))
    keys, first, counts = np.unique(_buckets(present), return_index=True, return_counts=True)
    nulls = len(values) - len(present)
    return Sketch(keys, counts.astype(np.int64), present[first], nulls, float(present[0]), float(present[-1]))


def empty(nulls: int = 0) -> Sketch:
    """Return the sketch of rows without a value."""
    nothing = np.zeros(0, dtype=np.int64)
    return Sketch(nothing, nothing, np.zeros(0), nulls)


def merge(sketches: Sequence[Sketch]) -> Sketch:
    """Return the sketch of all rows together; of none, an empty one."""
    parts = [empty(), *sketches]
    keys, place = np.unique(np.concatenate([one.keys for one in parts]), return_inverse=True)
    counts, least = np.zeros(len(keys), dtype=np.int64), np.full(len(keys), np.inf)
    np.add.at(counts, place, np.concatenate([one.counts for one in parts]))
    np.minimum.at(least, place, np.concatenate([one.least for one in parts]))
    lows = [one.low for one in sketches if one.low is not None]
    highs = [one.high for one in sketches if one.high is not None]
    nulls = sum(one.nulls for one in sketches)
    return Sketch(keys, counts, least, nulls, min(lows, default=None), max(highs, default=None))


def values_of(keys: I64) -> F64:
    """Return a value inside each bucket (n,), within `ACCURACY` of every other value in it."""
    size = 2.0 * _GAMMA ** (np.abs(keys) + _FIRST - 1.0) / (_GAMMA + 1.0)
    return np.asarray(np.sign(keys) * size)


def tops_of(keys: I64) -> F64:
    """Return the upper end of each bucket (n,)."""
    size = _GAMMA ** (np.abs(keys) + _FIRST - 1.0)
    return np.asarray(np.where(keys >= 0, size, -size / _GAMMA))


def _buckets(values: F64) -> I64:
    """Return the bucket of each value (N,)."""
    size = np.abs(values)
    zero = size < _SMALLEST
    with np.errstate(divide="ignore"):
        power = np.ceil(np.log(np.where(zero, _SMALLEST, size)) / np.log(_GAMMA))
    key = np.clip(power, _FIRST, _LAST).astype(np.int64) - _FIRST + 1
    return np.asarray(np.where(zero, 0, np.where(values < 0, -key, key)), dtype=np.int64)
