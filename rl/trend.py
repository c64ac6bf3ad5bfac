"""Whether the mean return of a training moves, or chance does.

A running mean of 100 episodes overlaps itself from one update to the next, so its wiggles are no sample. What
is looked at instead are the means of each update's own episodes, which overlap nothing.

Shapes: U updates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rl.market.arrays import F64
from schemas.health import HealthLimits

MOST_ALIKE = 0.9  # correlation of neighbours beyond which a few updates cannot tell it from a trend


@dataclass(frozen=True)
class Movement:
    """The change of the mean return over a stretch of episodes.

    Attributes:
        change: Of the fitted line over the stretch, percent.
        error: Standard error of it.
        episodes: Length of the stretch.
        first: Row it begins at.
    """

    change: float
    error: float
    episodes: float
    first: int

    def rises(self, m: HealthLimits) -> bool:
        """Whether it goes up by more than chance."""
        return self.change > m.trend_errors * self.error

    def falls(self, m: HealthLimits) -> bool:
        """Whether it goes down by so much that chance does not do it in any of a run's many windows."""
        return -self.change > m.fall_errors * self.error


def movement(finished: F64, mean: F64, m: HealthLimits) -> Movement | None:
    """Fit a line through the returns of the latest episodes; None where there are too few.

    Each update weighs as many episodes as ended in it. Neighbouring updates may share market hours: the error
    is widened by the correlation that they show.

    Args:
        finished: (U,) episodes that ended in each update.
        mean: (U,) their mean return, percent; NaN where none ended.
        m: Length of the stretch.
    """
    ended = np.nonzero(finished > 0)[0]
    weight, y = finished[ended], mean[ended]
    x = finished.cumsum()[ended]
    long_enough = np.nonzero(weight[::-1].cumsum() >= m.trend_episodes)[0]
    if not long_enough.size or ended.size < m.trend_updates:
        return None
    k = max(int(long_enough[0]) + 1, m.trend_updates)
    weight, y, x = weight[-k:], y[-k:], x[-k:]
    apart = x - np.average(x, weights=weight)
    spread = float((weight * apart**2).sum())
    slope = float((weight * apart * y).sum()) / spread
    left = np.sqrt(weight) * (y - np.average(y, weights=weight) - slope * apart)
    squares = float((left**2).sum())
    error = math.sqrt(squares / (k - 2) / spread)
    if squares > 0.0:
        alike = min(max(float((left[1:] * left[:-1]).sum()) / squares, 0.0), MOST_ALIKE)
        error *= math.sqrt((1.0 + alike) / (1.0 - alike))
    length = float(weight.sum())
    return Movement(slope * length, error * length, length, int(ended[-k]))


def rose(finished: F64, mean: F64, first: int, m: HealthLimits) -> bool:
    """Whether the episodes from a row on lie above the run's first ones by more than chance.

    Args:
        finished: (U,) episodes that ended in each update.
        mean: (U,) their mean return, percent; NaN where none ended.
        first: Row from which on.
        m: How many episodes come first, and what is more than chance.
    """
    begun = int(np.searchsorted(finished.cumsum(), m.trend_episodes)) + 1
    if begun > first:
        return False
    before, error = _level(finished[:begun], mean[:begun])
    after, later_error = _level(finished[first:], mean[first:])
    return after - before > m.trend_errors * math.hypot(error, later_error)


def _level(finished: F64, mean: F64) -> tuple[float, float]:
    """Return the mean over episodes, and its error from the scatter between updates."""
    y, weight = mean[finished > 0], finished[finished > 0]
    level = float(np.average(y, weights=weight))
    share = weight / weight.sum()
    return level, math.sqrt(float((share**2 * (y - level) ** 2).sum()) * y.size / max(y.size - 1, 1))
