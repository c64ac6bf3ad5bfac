"""The placebo: the same market in which a rate says nothing about the next one of its coin.

Settled rates are dealt anew each hour among the instruments of the same interval that settle then. What is
paid in an hour and how much of it stays; which coin pays it is chance, hour by hour. Everything a row tells
of rates is made anew of the dealt ones, and the market is built of the rows by the pipeline's own functions:
windows, projections, ranking. A policy that lives on rates of a coin that last has nothing to live on here.

What the rates of an hour have in common survives any dealing: where all coins of one venue pay, whichever is
held pays. So a run's funding is split: what it would have been had every instrument settled the mean of its
interval in that hour, and the rest. The rest is chance for whoever cannot see the next hour, so return less
the common part is at best the prices' noise, less the costs. Whatever earns more there sees the future, or
lives on bounce.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rl.baselines import PERIODS_A_YEAR
from rl.market.arrays import F64, I64
from rl.market.asof import Series
from rl.market.rows import HOUR_US, times_us

# What a row tells of rates, by the hours that it looks back; 0 is now.
PROJECTIONS: Final = (
    ("fund_profit_8h", "fund_apr", 0),
    ("fund_profit_24h_proj", "fund_apr_24h_proj", 24),
    ("fund_profit_3d_proj", "fund_apr_3d_proj", 72),
)
# A scanner's own estimate of profit, by a formula that is not known here; it was made of the true rates.
UNKNOWN: Final = "estimated_profit_percentage"
SIDES: Final = ("long", "short")


@dataclass(frozen=True)
class Dealt:
    """A history whose rates were dealt anew.

    Attributes:
        history: The clean rows with other rates.
        moved: Settled rates that had another one to change places with.
        settled: Settled rates.
    """

    history: pd.DataFrame
    moved: int
    settled: int


def deal_rates(history: pd.DataFrame, rng: np.random.Generator) -> Dealt:
    """Permute settled rates among the rows of the same stamp and interval.

    Args:
        history: Clean history rows, in data-set order.
        rng: Draws the permutations.
    """
    rate = history["funding_rate"].to_numpy(np.float64, na_value=np.nan)
    interval = history["funding_interval_hours"].to_numpy(np.float64, na_value=np.nan)
    settled = np.flatnonzero(np.isfinite(rate) & np.isfinite(interval))
    time = times_us(history["timestamp"])
    group = np.lexsort((interval[settled], time[settled]))
    settled = settled[group]
    new = np.ones(len(settled), np.bool_)
    new[1:] = (np.diff(time[settled]) != 0) | (np.diff(interval[settled]) != 0)
    number = np.cumsum(new) - 1
    dealt = rate.copy()
    dealt[settled] = rate[settled[np.lexsort((rng.random(len(settled)), number))]]
    size = np.bincount(number)[number] if len(settled) else np.zeros(0, np.int64)
    return Dealt(history.assign(funding_rate=dealt), int((size > 1).sum()), int(np.isfinite(rate).sum()))


def retold(opportunities: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """Return the opportunities as a scanner would have written them under the rates of a history.

    A leg's rate is the newest settled one of its instrument, for the interval that the row tells; the
    projections are means of it over the 24 and 72 hours up to the row. An instrument that has not
    settled anything yet has a rate of 0. A row with a leg that the history does not know is left out: what
    that leg settled is not known, so it cannot be dealt.

    Args:
        opportunities: Clean opportunity rows.
        history: Clean history rows.
    """
    rate = history["funding_rate"].to_numpy(np.float64, na_value=np.nan)
    interval = history["funding_interval_hours"].to_numpy(np.float64, na_value=np.nan)
    codes, every = pd.factorize(_names(history, "exchange"))
    legs = {side: pd.Index(every).get_indexer(_names(opportunities, f"{side}_exchange")) for side in SIDES}
    kept = (legs["long"] >= 0) & (legs["short"] >= 0)
    opportunities = opportunities[kept]
    now = times_us(opportunities["entry_time"])
    paid = np.isfinite(rate) & (interval > 0)
    settled = _Settled(
        codes[paid].astype(np.int64),
        times_us(history["timestamp"])[paid],
        rate[paid] * 8.0 / interval[paid],
        len(every),
        int(now.max(initial=0)),
    )
    told: dict[str, F64] = {}
    per_8h: dict[tuple[str, int], F64] = {}
    for side in SIDES:
        code = legs[side][kept].astype(np.int64)
        hours = opportunities[f"{side}_funding_interval_hours"].to_numpy(np.float64)
        per_8h[side, 0] = settled.newest(code, now)
        told[f"{side}_funding_rate"] = per_8h[side, 0] * hours / 8.0
        for _, _, window in PROJECTIONS[1:]:
            per_8h[side, window] = settled.mean(code, now, window)
    for profit, apr, window in PROJECTIONS:
        told[profit] = 100.0 * (per_8h["short", window] - per_8h["long", window])
        told[apr] = told[profit] * PERIODS_A_YEAR
    if UNKNOWN in opportunities.columns:
        told[UNKNOWN] = np.full(len(opportunities), np.nan)
    return opportunities.assign(**told)


def _names(frame: pd.DataFrame, venue: str) -> NDArray[Any]:
    """Return (N,) instruments, as text."""
    names = frame["symbol"].astype(str) + "\0" + frame[venue].astype(str)
    return names.to_numpy(dtype=object)


class _Settled:
    """Settled rates by instrument: the newest one at any time, and means of what it was hour by hour."""

    def __init__(self, code: I64, time: I64, per_8h: F64, n: int, until: int) -> None:
        """Index them.

        Args:
            code: (N,) instruments.
            time: (N,) epoch microseconds.
            per_8h: (N,) settled rates per 8 h.
            n: How many instruments there are.
            until: The last time that will be asked for.
        """
        self.series = Series(code, time, per_8h)
        self.first = int(time.min()) // HOUR_US if len(time) else 0
        hours = max(until // HOUR_US - self.first + 1, 1)
        grid = (self.first + np.arange(hours, dtype=np.int64))[:, None] * HOUR_US
        hourly = self.series.at(np.broadcast_to(np.arange(n), (hours, n)), grid)
        nothing = np.zeros((1, n))
        self.total = np.concatenate([nothing, np.cumsum(np.nan_to_num(hourly, nan=0.0), axis=0)])
        self.known = np.concatenate([nothing, np.cumsum(np.isfinite(hourly), axis=0)])

    def newest(self, code: I64, now: I64) -> F64:
        """Return the newest rate per 8 h at each time; 0 where nothing was settled yet."""
        return np.nan_to_num(self.series.at(code, now), nan=0.0)

    def mean(self, code: I64, now: I64, window: int) -> F64:
        """Return its mean over the last `window` whole hours, or as many as are known; 0 where none are."""
        end = np.maximum(now // HOUR_US - self.first + 1, 0)
        begin = np.maximum(end - window, 0)
        known = self.known[end, code] - self.known[begin, code]
        mean: F64 = (self.total[end, code] - self.total[begin, code]) / np.maximum(known, 1.0)
        return mean


def common_funding(flows: pd.DataFrame, history: pd.DataFrame) -> float:
    """Return what funding would have been at the mean rate of the hour and interval, quote currency.

    Args:
        flows: The cash flows of a replay.
        history: The history rows of its market. A settlement that they lack was estimated and not dealt: it
            counts as common, whatever it was.
    """
    rate = history["funding_rate"].to_numpy(np.float64, na_value=np.nan)
    settled = history[np.isfinite(rate)]
    mean = settled.groupby(["timestamp", "funding_interval_hours"], dropna=False)["funding_rate"].transform(
        "mean"
    )
    key = pd.MultiIndex.from_arrays([_ms(settled["timestamp"]), _names(settled, "exchange")])
    means = pd.Series(mean.to_numpy(np.float64), index=key)
    means = means[~means.index.duplicated(keep="last")]  # of several rates at one time the last one stands

    paid = flows[flows["kind"] == "funding"]
    common = means.reindex(pd.MultiIndex.from_arrays([_ms(paid["time"]), _names(paid, "venue")])).to_numpy()
    side = np.where(paid["side"] == "long", 1.0, -1.0)
    amount, rates = paid["amount"].to_numpy(np.float64), paid["rate"].to_numpy(np.float64)
    per_rate = -side * paid["quantity"].to_numpy(np.float64) * paid["price"].to_numpy(np.float64)
    kept = (amount == 0.0) & (per_rate * rates > 0.0)  # a stale leg never earns
    shared = np.where(kept, np.minimum(per_rate * common, 0.0), per_rate * common)
    return float(np.where(np.isnan(common), amount, shared).sum())


def _ms(times: pd.Series) -> I64:
    """Return epoch milliseconds, upwards, as the market's settlements have them."""
    return np.asarray(-(-times_us(times) // 1000), np.int64)
