"""Carrying the state of one stretch of hours over to the next."""

from __future__ import annotations

import numpy as np

from rl.market.arrays import F64, I64
from rl.market.closing import RATE_HOURS, RETURN_HOURS, TRAIL_HOURS, KnownInstruments, KnownPairs
from rl.market.panel import FundingEvents, Knowledge, hour_row
from rl.market.slots import PairPanel
from rl.market.universe import Universe


def continued(before: F64, now: F64, known: I64, fill: float) -> F64:
    """Put the hourly values retained from before on top of a stretch's own.

    Args:
        before: (I0, W) values of the instruments known before.
        now: (H, I) values of the stretch.
        known: (I0,) where those instruments are among the I.
        fill: What stands for an instrument not known before.

    Returns:
        (W + H, I).
    """
    window = before.shape[1]
    series = np.full((window + now.shape[0], now.shape[1]), fill)
    series[:window, known] = before.T
    series[window:] = now
    return series


def settled_by_hour(events: FundingEvents, first_us: int, shape: tuple[int, ...]) -> tuple[F64, F64]:
    """Return (H, I) sums of the rates settled within each hour, and of their intervals in hours."""
    rates, hours = np.zeros(shape), np.zeros(shape)
    settled = ~events.estimated & np.isfinite(events.interval)
    where = (hour_row(events.time_us[settled], first_us), events.instrument[settled])
    np.add.at(rates, where, events.rate[settled])  # in the order of time
    np.add.at(hours, where, events.interval[settled])
    return rates, hours


def known_instruments(
    knowledge: Knowledge,
    names: Universe,
    last_us: int,
    *,
    marks: F64,
    hourly_8h: F64,
    settled_rate: F64,
    settled_hours: F64,
) -> KnownInstruments:
    """Return what is known of each instrument at the last hour; the hourly series end there."""
    every = np.arange(names.n_instruments)
    price, quoted, from_history = knowledge.quote(every, last_us)
    return KnownInstruments(
        symbols=names.symbols,
        venues=names.venues,
        history_time=np.where(from_history, quoted, 0),
        history_price=np.where(from_history, price, np.nan),
        row_time=np.where(from_history, 0, quoted),
        row_price=np.where(from_history, np.nan, price),
        rate=knowledge.rates.at(every, last_us),
        interval=knowledge.intervals.at(every, last_us),
        settled_8h=knowledge.settled.at(every, last_us),
        marks=_newest(marks, RETURN_HOURS),
        hourly_8h=_newest(hourly_8h, RATE_HOURS - 1),
        settled_rate=_newest(settled_rate, TRAIL_HOURS - 1),
        settled_hours=_newest(settled_hours, TRAIL_HOURS - 1),
    )


def known_pairs(pairs: PairPanel, names: Universe) -> KnownPairs:
    """Return the newest row of each pair at the last hour."""
    return KnownPairs(
        symbols=names.symbols[names.pair_long],
        long_venues=names.venues[names.pair_long],
        short_venues=names.venues[names.pair_short],
        bid_ask=pairs.bid_ask[-1].copy(),
        volume=pairs.volume[-1].copy(),
        depth=pairs.depth[-1].copy(),
        profit_24h=pairs.profit_24h[-1].copy(),
    )


def _newest(series: F64, window: int) -> F64:
    return np.ascontiguousarray(series[series.shape[0] - window :].T)
