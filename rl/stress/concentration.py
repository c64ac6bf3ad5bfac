"""Whether the profit is one lucky coin, one pair of venues or one week."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from rl.replay import Replay
from schemas.stress import Concentration, Share


def concentration(told: Replay, capital: float) -> Concentration:
    """Split the profit of a replay of one run.

    Args:
        told: The replay.
        capital: Its initial capital, quote currency.
    """
    trades = told.trades
    venues = trades.assign(venues="long " + trades["long_venue"] + ", short " + trades["short_venue"])
    return Concentration(
        symbols=_shares(_sums(trades, "symbol")),
        venues=_shares(_sums(venues, "venues")),
        weeks=_shares(_by_week(told, capital)),
    )


def _sums(trades: pd.DataFrame, by: str) -> dict[str, float]:
    return {str(name): float(value) for name, value in trades.groupby(by)["net_pnl"].sum().items()}


def _by_week(told: Replay, capital: float) -> dict[str, float]:
    """Return the change of NLV in each ISO week; an hour belongs to the week in which it ends."""
    nlv = np.concatenate([[capital], told.curves.nlv[:, 0]])
    calendar = pd.DatetimeIndex(pd.to_datetime(told.curves.time_ms, unit="ms", utc=True)).isocalendar()
    weeks = calendar["year"].astype(str) + "-W" + calendar["week"].astype(str).str.zfill(2)
    change = pd.Series(np.diff(nlv)).groupby(weeks.to_numpy()).sum()
    return {str(week): float(value) for week, value in change.items()}


def _shares(profits: Mapping[str, float]) -> tuple[Share, ...]:
    """Return parts and their shares of the sum, the largest first; there is no share of a loss."""
    total = sum(profits.values())
    return tuple(
        Share(name=name, profit=profit, share=profit / total if total > 0 else None)
        for name, profit in sorted(profits.items(), key=lambda part: (-part[1], part[0]))
    )
