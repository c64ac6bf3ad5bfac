"""Daily returns of curves, and two of them beside each other.

Shapes: T marks, D days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rl.judge.metrics import DAY_MS
from rl.judge.sharpe import sharpe_ratio
from rl.market.arrays import F64, I64


@dataclass(frozen=True)
class Daily:
    """The returns of a curve over the whole UTC days in it.

    Attributes:
        days: (D,) datetime64[D], rising; a day that is not whole is not there.
        returns: (D,) fractions of the NLV at the day's start.
    """

    days: NDArray[np.datetime64]
    returns: F64

    @classmethod
    def of(cls, time_ms: I64, nlv: F64, *, until_ms: int | None = None) -> Self:
        """Return the daily returns of a curve of NLV.

        Args:
            time_ms: (T,) UTC epoch milliseconds, rising.
            nlv: (T,) quote currency.
            until_ms: End of the window, where the curve may have ended earlier: what the drawdown limit ended
                is flat from then on, and a day that it is flat on is a day.
        """
        if until_ms is not None and len(time_ms) and until_ms > time_ms[-1]:
            flat = np.arange(time_ms[-1] // DAY_MS + 1, until_ms // DAY_MS + 1, dtype=np.int64) * DAY_MS
            time_ms = np.concatenate([time_ms, flat])
            nlv = np.concatenate([nlv, np.full(len(flat), nlv[-1])])
        midnight = time_ms % DAY_MS == 0
        at, worth = time_ms[midnight], nlv[midnight]
        whole = np.diff(at) == DAY_MS
        days = (at[:-1][whole] // DAY_MS).astype("datetime64[D]")
        return cls(days, (worth[1:] / worth[:-1] - 1.0)[whole])

    def since(self, first: np.datetime64 | None) -> Daily:
        """Return the days that begin at or after a moment; None is all of them."""
        if first is None:
            return self
        kept = self.days.astype("datetime64[ms]") >= first.astype("datetime64[ms]")
        return Daily(self.days[kept], self.returns[kept])


def daily_of(equity: pd.DataFrame, preset: str, policy: str) -> Daily | None:
    """Return the daily returns of one policy in a backtest, of its first run; None if it was not replayed.

    Days after the drawdown limit ended it are flat, up to the end of the window.

    Args:
        equity: A backtest's table of curves: preset, policy, run, time (UTC), nlv.
        preset: The risk profile.
        policy: Whose.
    """
    mine = equity[(equity["preset"] == preset) & (equity["policy"] == policy) & (equity["run"] == 0)]
    if mine.empty:
        return None
    time_ms = pd.DatetimeIndex(mine["time"]).as_unit("ms").asi8
    until_ms = int(pd.DatetimeIndex(equity["time"]).as_unit("ms").asi8.max())
    return Daily.of(np.asarray(time_ms, np.int64), mine["nlv"].to_numpy(np.float64), until_ms=until_ms)


def daily_sharpes(equity: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return each preset's daily Sharpe ratio of the agent and the days it is of, as the ledger keeps them.

    No figure to be claimed: it says how far trials are apart. A preset without two whole days, or without a
    return that varies, is left out.

    Args:
        equity: A backtest's table of curves: preset, policy, run, time (UTC), nlv.
    """
    told = {}
    for preset in equity["preset"].unique():
        daily = daily_of(equity, str(preset), "agent")
        ratio = None if daily is None else sharpe_ratio(daily.returns)
        if daily is not None and ratio is not None:
            told[str(preset)] = {"sharpe": ratio, "days": float(len(daily.days))}
    return told


def together(curves: Sequence[Daily]) -> tuple[NDArray[np.datetime64], F64]:
    """Return the days that all curves have, (D,), and their returns then, (curves, D)."""
    days = curves[0].days
    for curve in curves[1:]:
        days = np.intersect1d(days, curve.days)
    return days, np.stack([curve.returns[np.isin(curve.days, days)] for curve in curves])
