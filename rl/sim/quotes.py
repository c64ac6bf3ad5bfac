"""The market laid out for the simulator: what one step asks for lies side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rl.market.arrays import F64, HOUR_MS, I64, Bool, MarketArrays, Settlements
from rl.sim.margin import MarginTables
from schemas.trading import MarketRules

# Columns of Quotes.legs.
MARK, AGE, LOW, HIGH, PAY_LONG, EARN_LONG, PAY_SHORT, EARN_SHORT, RATE_8H, DUE_RATE = range(10)
# Columns of Quotes.pairs.
HALF_SPREAD, DEPTH, TRAIL_24H = range(3)
# Columns of Quotes.offers.
(P_LONG, P_SHORT, FRESH, OFFER_HALF, OFFER_DEPTH, FEE_LONG, FEE_SHORT, MIN_LONG, MIN_SHORT) = range(9)


@dataclass(frozen=True)
class Quotes:
    """Blocks that a step gathers from, each indexed by (row of the hourly grid, ...).

    Attributes:
        legs: (T, I, 10) mark, age, low, high, funding per coin paid and earned in the hour that ends at t
            by a long and by a short, rate per 8 h, rate due in the next hour (0 where none is due).
        pairs: (T, P, 3) half spread, depth (inf where unknown: no impact), trailing net rate (0 if unknown).
        offers: (T, 10, 9) quotes, freshness, costs and minima of the opportunity slots.
        offer_legs: (T, 10, 2) instruments of the slots; 0 where empty, and then not fresh.
        offer_pair: (T, 10) pair of each slot; 0 where empty, and then not fresh.
        settlements: the funding events, each in the row of the hour that books it.
        fee: (I,) taker fee.
        margins: maintenance margins by instrument.
        pair_legs: (P, 2) instruments of each pair.
        hour_of_day: (T,) UTC hour.
    """

    legs: F64
    pairs: F64
    offers: F64
    offer_legs: I64
    offer_pair: I64
    settlements: Settlements
    fee: F64
    margins: MarginTables
    pair_legs: I64
    hour_of_day: I64


def booked_settlements(market: MarketArrays, rules: MarketRules) -> Settlements:
    """Return the funding events by the row of the step that books them.

    Under (t_open, t_close] a step books what falls in (t - 1 h, t], under [t_open, t_close) what falls in
    [t - 1 h, t): fills stand on the grid, so only events exactly on an hour differ, by one row. What is
    booked after the last row is not there.
    """
    events = market.settlements
    if rules.funding_boundary == "close":
        return events
    on_hour = (events.time_ms - market.start_ms) % HOUR_MS == 0
    row = events.row + on_hour  # still in order: events on the hour are the last of their row
    kept = np.flatnonzero(row < market.n_hours)
    columns = ("time_ms", "instrument", "rate", "mark", "stale", "estimated", "off_boundary")
    return replace(
        events,
        row=row[kept],
        start=np.searchsorted(row[kept], np.arange(market.n_hours + 1)).astype(np.int64),
        **{name: getattr(events, name)[kept] for name in columns},
    )


def _funding_blocks(events: Settlements, legs: F64) -> None:
    """Sum what one coin pays or earns in each hour; a stale leg pays but never earns."""
    per_coin = events.mark * events.rate  # what a long pays and a short earns
    at = (events.row, events.instrument)
    earning = np.where(events.stale, 0.0, per_coin)
    np.add.at(legs[:, :, PAY_LONG], at, np.maximum(per_coin, 0.0))
    np.add.at(legs[:, :, EARN_LONG], at, np.maximum(-earning, 0.0))
    np.add.at(legs[:, :, PAY_SHORT], at, np.maximum(-per_coin, 0.0))
    np.add.at(legs[:, :, EARN_SHORT], at, np.maximum(earning, 0.0))


def lay_out(market: MarketArrays, rules: MarketRules) -> Quotes:
    """Lay the market out under the given fees, minima and staleness rules."""
    hours, instruments = market.mark.shape
    hour_of_day = (market.start_ms // HOUR_MS + np.arange(hours)) % 24
    legs = np.zeros((hours, instruments, 10), np.float64)
    legs[:, :, MARK], legs[:, :, AGE] = market.mark, market.age
    legs[:, :, LOW], legs[:, :, HIGH] = market.low, market.high
    settlements = booked_settlements(market, rules)
    _funding_blocks(settlements, legs)
    interval = np.where(market.interval > 0, market.interval, 1.0)
    rate = np.nan_to_num(market.rate, nan=0.0)
    legs[:, :, RATE_8H] = rate * 8.0 / interval
    # The next step books what is settled at its end, or under [t_open, t_close) at its start.
    ahead = 1 if rules.funding_boundary == "close" else 0
    due = (hour_of_day[:, None] + ahead) % interval == 0
    legs[:, :, DUE_RATE] = np.where(due, rate, 0.0)

    pairs = np.empty((*market.half_spread.shape, 3), np.float64)
    scale = 1.0 if rules.slippage else 0.0
    pairs[:, :, HALF_SPREAD] = np.nan_to_num(market.half_spread, nan=rules.full_spread_thin / 2) * scale
    pairs[:, :, DEPTH] = np.where(market.depth > 0, market.depth, np.inf)
    pairs[:, :, TRAIL_24H] = np.nan_to_num(market.trail24, nan=0.0)

    fee = np.array([rules.fee(v) for v in market.venues], np.float64)
    minimum = np.array([rules.minimum(v) for v in market.venues], np.float64)
    pair_legs = np.stack([market.pair_long, market.pair_short], axis=1).astype(np.int64)
    filled = market.slot_pair >= 0
    offer_pair = np.where(filled, market.slot_pair, 0).astype(np.int64)
    offer_legs = pair_legs[offer_pair] if len(pair_legs) else np.zeros((hours, 10, 2), np.int64)
    row = np.arange(hours)[:, None]
    offers = np.zeros((hours, 10, 9), np.float64)
    if len(pair_legs):
        offers[:, :, P_LONG] = market.mark[row, offer_legs[:, :, 0]]
        offers[:, :, P_SHORT] = market.mark[row, offer_legs[:, :, 1]]
        age = np.maximum(market.age[row, offer_legs[:, :, 0]], market.age[row, offer_legs[:, :, 1]])
        offers[:, :, FRESH] = filled & is_fresh(age, rules)
        offers[:, :, OFFER_HALF] = pairs[row, offer_pair, HALF_SPREAD]
        offers[:, :, OFFER_DEPTH] = pairs[row, offer_pair, DEPTH]
        offers[:, :, FEE_LONG : FEE_SHORT + 1] = fee[offer_legs]
        offers[:, :, MIN_LONG : MIN_SHORT + 1] = minimum[offer_legs]
    # An empty or unquoted slot keeps harmless prices; FRESH alone says whether it may be entered.
    offers[:, :, : P_SHORT + 1] = np.where(offers[:, :, : P_SHORT + 1] > 0, offers[:, :, : P_SHORT + 1], 1.0)
    return Quotes(
        legs=legs, pairs=pairs, offers=offers, offer_legs=offer_legs, offer_pair=offer_pair,
        settlements=settlements, fee=fee, margins=MarginTables.of(rules, market.venues), pair_legs=pair_legs,
        hour_of_day=hour_of_day.astype(np.int64),
    )  # fmt: skip


def is_fresh(age: F64, rules: MarketRules) -> Bool:
    """Whether quotes of this age, in hours, may be entered at."""
    return age <= rules.entry_quote_age_hours * (1 + 1e-9)


def is_stale(age: F64, rules: MarketRules) -> Bool:
    """Whether a held leg with a quote of this age, in hours, has to be closed."""
    return age > rules.max_quote_age_hours * (1 + 1e-9)
