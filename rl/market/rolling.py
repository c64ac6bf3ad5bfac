"""Sums and deviations over trailing windows, with one order of addition.

The order in which floats are added decides their last bits. numpy picks it from the shape of what it
is given, and the shape depends on how many hours are built at once; so windows are added here one lag
after the other, newest first, and a value is the same however the hours were grouped.
"""

from __future__ import annotations

import numpy as np

from rl.market.arrays import F64, I64


def lags(series: F64, row: I64, column: I64, window: int) -> F64:
    """Return the newest `window` values of some columns as seen from some rows.

    Args:
        series: (window - 1 + H, I) hourly values, the window - 1 hours before row 0 included.
        row: (n,) rows in 0..H-1.
        column: (n,) columns.
        window: How many values.

    Returns:
        (window, n), newest first.
    """
    lag = np.arange(window)[:, None]
    return np.asarray(series[row + window - 1 - lag, column])


def trailing_sum(series: F64, window: int) -> F64:
    """Return the sum over the newest `window` rows.

    Args:
        series: (window - 1 + H, I) hourly values, none of them NaN.
        window: How many rows.

    Returns:
        (H, I).
    """
    hours = series.shape[0] - (window - 1)
    total = np.zeros((hours, series.shape[1]))
    for lag in range(window):
        start = window - 1 - lag
        total += series[start : start + hours]
    return total


def deviation(values: F64) -> F64:
    """Return the population standard deviation down each column, of the values that are known.

    Deviations are taken from the newest known value, so that a constant column gives exactly 0.

    Args:
        values: (window, n), newest first; NaN is unknown.

    Returns:
        (n,); NaN where fewer than two values are known.
    """
    origin = np.full(values.shape[1], np.nan)
    for row in values:
        origin = np.where(np.isnan(origin), row, origin)
    count, total = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for row in values:
        known = ~np.isnan(row)
        count += known
        total += np.where(known, row - origin, 0.0)
    enough = count >= 2
    mean = total / np.where(enough, count, 1.0)
    squares = np.zeros(values.shape[1])
    for row in values:
        squares += np.where(np.isnan(row), 0.0, (row - origin - mean) ** 2)
    return np.where(enough, np.sqrt(squares / np.where(enough, count, 1.0)), np.nan)
