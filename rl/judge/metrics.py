"""What a curve of NLV is worth, in figures that may be claimed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rl.market.arrays import F64, I64
from schemas.backtest import ProfitSplit
from schemas.evidence import DAYS_PER_YEAR

DAY_MS: Final = 86_400_000
MIN_DAYS: Final = 30  # below this a Sharpe figure says more about chance than about the policy


@dataclass(frozen=True)
class SharpeFigure:
    """A Sharpe ratio, or the reason why none is claimed.

    Attributes:
        days: Whole UTC days in the curve.
        annual: Mean over standard deviation of the daily returns times sqrt(365); None if not claimed.
        note: Why not, in words; empty where a figure is claimed.
    """

    days: int
    annual: float | None
    note: str


def return_pct(nlv: F64, initial: float) -> float:
    """Return the change of NLV in percent of the initial capital; `nlv` is (T,), quote currency."""
    return float(100.0 * (nlv[-1] - initial) / initial)


def drawdown(nlv: F64) -> F64:
    """Return 1 - NLV / running peak at each hour, start included; shape (..., T), time last."""
    return 1.0 - nlv / np.maximum.accumulate(nlv, axis=-1)


def daily_returns(time_ms: I64, nlv: F64) -> F64:
    """Return the NLV's returns over the whole UTC days inside a curve.

    Hourly returns of carry are mostly bounce between venues (the same curve has a Sharpe ratio of 7 by
    days and of 2 by hours), and the parts of days at both ends are not days: neither is used.

    Args:
        time_ms: (T,) UTC epoch milliseconds, rising, hourly.
        nlv: (T,) quote currency.

    Returns:
        (D,) fractions; D = 0 where the curve holds no whole day.
    """
    at_midnight = nlv[time_ms % DAY_MS == 0]
    daily: F64 = at_midnight[1:] / at_midnight[:-1] - 1.0
    return daily


def sharpe(daily: F64) -> SharpeFigure:
    """Return the annual Sharpe ratio of daily returns over a risk-free rate of zero.

    Under 30 days no figure is claimed.
    """
    days = len(daily)
    if days < MIN_DAYS:
        note = f"insufficient evidence: {days} whole {'day' if days == 1 else 'days'}, {MIN_DAYS} are needed"
        return SharpeFigure(days, None, note)
    deviation = float(np.std(daily, ddof=1))
    if deviation <= 1e-12:
        return SharpeFigure(days, None, "not defined: the returns do not vary")
    return SharpeFigure(days, float(np.mean(daily) / deviation * np.sqrt(DAYS_PER_YEAR)), "")


def profit_split(booked: Mapping[str, float], unrealised: float, closing_costs: float) -> ProfitSplit:
    """Return where a change of NLV came from.

    Args:
        booked: Sum of the cash flows by kind (fee, funding, price, slippage, liquidation, penalty), signed,
            quote currency.
        unrealised: Price profit of what is open at the end.
        closing_costs: What closing it would cost, positive.
    """
    return ProfitSplit(
        funding=booked["funding"],
        price=booked["price"],
        fees=booked["fee"],
        slippage=booked["slippage"],
        penalty=booked["penalty"],
        liquidation=booked["liquidation"],
        unrealised=unrealised,
        closing_costs=-closing_costs,
    )


def overlap_hours(times_ms: I64, windows: Sequence[tuple[int, int]]) -> int:
    """Return how many hours of a backtest lie inside any of some half-open windows [start, end), ms."""
    inside = np.zeros(len(times_ms), np.bool_)
    for start, end in windows:
        inside |= (times_ms >= start) & (times_ms < end)
    return int(inside.sum())
