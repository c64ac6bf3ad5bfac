"""A backtest day by day, from its curves and its cash flows: rows that add up to the return."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import pandas as pd

from schemas.backtest import PolicyName

SHOWN_OPEN: Final = 14  # days; a longer table opens at a click
_COSTS: Final = ("fee", "slippage", "penalty")
_PRICES: Final = ("price", "liquidation")
_DAY: Final = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Day:
    """What one UTC day brought, quote currency; funding, costs and price add up to the change.

    Attributes:
        day: The day; its hours are those that end in (0:00, 24:00].
        hours: How many of them the window has.
        change: Of the NLV.
        funding: Settlements booked.
        costs: Fees, slippage and penalties booked, and the change of what closing would cost.
        price: Price profit booked, lost margins included, and the change of what is not realised yet.
        nlv: At the day's end.
        positions: Open then.
        opened: Positions filled during it.
    """

    day: date
    hours: int
    change: float
    funding: float
    costs: float
    price: float
    nlv: float
    positions: int
    opened: int


def daily_rows(
    equity: pd.DataFrame, flows: pd.DataFrame, trades: pd.DataFrame, preset: str, policy: PolicyName
) -> list[Day]:
    """Return a policy's days under one preset, oldest first; they end where the drawdown limit ended it.

    Args:
        equity: The backtest's curves.
        flows: Its cash flows.
        trades: Its positions.
        preset: The risk profile.
        policy: Whose.
    """

    def own(table: pd.DataFrame) -> pd.DataFrame:
        return table[(table["preset"] == preset) & (table["policy"] == policy)]

    curve = own(equity)
    curve = curve[curve["run"] == 0].sort_values("time")
    if len(curve) < 2:
        return []
    booked, entered = own(flows), own(trades)
    by_kind = booked.groupby([_day_of(booked["time"]), "kind"])["amount"].sum()
    opened = _day_of(entered["opened"]).value_counts()
    begin = curve.iloc[0]
    rows = []
    for when, hours in curve.iloc[1:].groupby(_day_of(curve["time"].iloc[1:])):
        end = hours.iloc[-1]
        paid = by_kind.loc[when] if when in by_kind.index.get_level_values(0) else pd.Series(dtype=float)

        def of(kinds: tuple[str, ...], paid: pd.Series = paid) -> float:
            return float(sum(paid.get(kind, 0.0) for kind in kinds))

        due = float(end["closing_costs"] - begin["closing_costs"])
        marked = float(end["unrealised"] - begin["unrealised"])
        rows.append(
            Day(
                day=pd.Timestamp(when).date(),
                hours=len(hours),
                change=float(end["nlv"] - begin["nlv"]),
                funding=of(("funding",)),
                costs=of(_COSTS) - due,
                price=of(_PRICES) + marked,
                nlv=float(end["nlv"]),
                positions=int(end["positions"]),
                opened=int(opened.get(when, 0)),
            )
        )
        begin = end
    return rows


def total(rows: list[Day]) -> Day | None:
    """Return the sum of the days, with the state at the end of the last; None without days."""
    if not rows:
        return None
    return Day(
        day=rows[-1].day,
        hours=sum(row.hours for row in rows),
        change=sum(row.change for row in rows),
        funding=sum(row.funding for row in rows),
        costs=sum(row.costs for row in rows),
        price=sum(row.price for row in rows),
        nlv=rows[-1].nlv,
        positions=rows[-1].positions,
        opened=sum(row.opened for row in rows),
    )


def _day_of(times: pd.Series) -> pd.Series:
    """Return the UTC day whose (0:00, 24:00] holds each time: an hour belongs to the day it ends in."""
    return pd.to_datetime(times, utc=True).dt.ceil("D") - _DAY
