"""Which pairs are on offer at an hour, the ten best of them, and what is observed of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl.market.arrays import F64, I32, I64, SLOT_FEATURES, Bool
from rl.market.asof import AsOf, gather
from rl.market.closing import RATE_HOURS, RETURN_HOURS, KnownPairs
from rl.market.rolling import deviation, lags
from rl.market.rows import HOUR_US, NO_TIME, OpportunityRows
from rl.market.universe import Universe
from schemas.trading import N_OPPORTUNITY_SLOTS

LIQUID_VOLUME = 1e6  # quote currency in 24 h
TIGHT_SPREAD = 0.1  # percent
APR_PER_PROFIT = 1095.0  # 8-hour periods in a year


@dataclass(frozen=True)
class PairPanel:
    """The newest row of each pair on the hourly grid; (H, P) each, NaN is null or not seen yet.

    Attributes:
        seen: Whether the pair has had a row.
        bid_ask: Bid-ask spread, percent.
        volume: Volume of 24 h, quote currency.
        depth: Order-book depth, quote currency.
        profit_24h: Projected profit of 24 h, percent of notional per 8 h.
    """

    seen: Bool
    bid_ask: F64
    volume: F64
    depth: F64
    profit_24h: F64


@dataclass(frozen=True)
class SlotTable:
    """The ten best pairs on offer at each hour, best first.

    Attributes:
        pair: (H, 10) pair of the stretch; -1 is empty.
        score: (H, 10) ranking score; NaN is empty.
        raw: (H, 10, 20) unscaled features; NaN is null, an empty slot is all zeros.
            The round-trip cost depends on the fee table and is left null here.
    """

    pair: I32
    score: F64
    raw: F64


class Offers:
    """The newest row of each pair at each hour of a stretch."""

    def __init__(
        self,
        rows: OpportunityRows,
        names: Universe,
        pairs: KnownPairs,
        end_us: int,
        first_us: int,
        n_hours: int,
    ) -> None:
        """Find them.

        Args:
            rows: Rows of the stretch (N,).
            names: Its universe.
            pairs: The newest row of each pair before it (P0,).
            end_us: The hour at which those were known.
            first_us: First hour of the stretch.
            n_hours: Its hours H.
        """
        key = np.concatenate([names.known_pairs, names.row_pair])
        time = np.concatenate([np.full(len(names.known_pairs), end_us), rows.time])
        hours = (first_us + HOUR_US * np.arange(n_hours, dtype=np.int64))[:, None]
        place = AsOf(key, time).find(
            np.broadcast_to(np.arange(names.n_pairs), (n_hours, names.n_pairs)), hours
        )
        self.hours = hours[:, 0]
        self.score = score(rows)
        # (H, P) row of the stretch; -1 where the newest row came before it, or none did.
        self.row = np.maximum(place - len(names.known_pairs), -1)
        fresh = np.zeros(place.shape, dtype=bool)
        if len(rows.time):
            fresh = (
                (self.row >= 0) & (rows.time[self.row] > hours - HOUR_US) & np.isfinite(self.score)[self.row]
            )
        self.fresh = fresh
        self.panel = PairPanel(
            seen=place >= 0,
            bid_ask=gather(np.concatenate([pairs.bid_ask, rows.bid_ask]), place),
            volume=gather(np.concatenate([pairs.volume, rows.volume]), place),
            depth=gather(np.concatenate([pairs.depth, rows.depth]), place),
            profit_24h=gather(np.concatenate([pairs.profit_24h, rows.profit_24h]), place),
        )


def score(rows: OpportunityRows) -> F64:
    """Return the ranking score (N,) of each row: projected APR, halved for thin volume and for a wide spread.

    A null projection is replaced by the current APR, and a null one of these by what the rates make.
    A negative APR is divided, so that a thin pair ranks lower on either side of zero. NaN where a row
    lacks a rate or an interval: it is not on offer.
    """
    profit = (rows.short_rate / rows.short_interval - rows.long_rate / rows.long_interval) * 800.0
    complete = np.isfinite(profit) & (rows.long_interval > 0) & (rows.short_interval > 0)
    apr = np.where(np.isnan(rows.apr), profit * APR_PER_PROFIT, rows.apr)
    apr = np.where(np.isnan(rows.apr_24h), apr, rows.apr_24h)
    quality = np.where(rows.volume >= LIQUID_VOLUME, 1.0, 0.5) * np.where(
        rows.bid_ask < TIGHT_SPREAD, 1.0, 0.5
    )
    return np.where(complete, np.where(apr < 0, apr / quality, apr * quality), np.nan)


def build_slots(
    offers: Offers, rows: OpportunityRows, names: Universe, marks: F64, hourly_8h: F64
) -> SlotTable:
    """Rank the pairs on offer at each hour and describe the ten best.

    Args:
        offers: The newest rows of the stretch.
        rows: Rows of the stretch.
        names: Its universe.
        marks: (24 + H, I) hourly marks, the 24 hours before the stretch included.
        hourly_8h: (71 + H, I) as-of rates per 8 h, the 71 hours before the stretch included.
    """
    n_hours = len(offers.hours)
    pair = np.full((n_hours, N_OPPORTUNITY_SLOTS), -1, dtype=np.int32)
    best = np.full(pair.shape, np.nan)
    for hour in range(n_hours):
        candidates = np.flatnonzero(offers.fresh[hour])  # in the order that breaks ties
        scores = offers.score[offers.row[hour, candidates]]
        ranked = np.argsort(-scores, kind="stable")[:N_OPPORTUNITY_SLOTS]
        pair[hour, : len(ranked)] = candidates[ranked]
        best[hour, : len(ranked)] = scores[ranked]
    raw = np.zeros((*pair.shape, len(SLOT_FEATURES)))
    at, slot = np.nonzero(pair >= 0)
    chosen = pair[at, slot].astype(np.int64)
    row = offers.row[at, chosen]
    raw[at, slot] = _features(rows, row, offers.hours[at])
    long, short = names.pair_long[chosen], names.pair_short[chosen]
    with np.errstate(invalid="ignore"):
        returns = np.log(marks[1:] / marks[:-1])
    volatility = np.fmax(
        deviation(lags(returns, at, long, RETURN_HOURS)),
        deviation(lags(returns, at, short, RETURN_HOURS)),
    )
    raw[at, slot, SLOT_FEATURES.index("return_std_24h")] = volatility
    net = lags(hourly_8h, at, short, RATE_HOURS) - lags(hourly_8h, at, long, RATE_HOURS)
    raw[at, slot, SLOT_FEATURES.index("net_rate_std_72h")] = deviation(net)
    return SlotTable(pair=pair, score=best, raw=raw)


def _features(rows: OpportunityRows, row: I64, now: I64) -> F64:
    """Return what a row says by itself (n, 20); what needs more than the row is NaN."""

    def hours_until(time: I64) -> F64:
        left = np.maximum((time[row] - now) / HOUR_US, 0.0)
        return np.where(time[row] == NO_TIME, np.nan, left)

    said = {
        "long_rate_8h": rows.long_rate[row] * 8.0 / rows.long_interval[row],
        "short_rate_8h": rows.short_rate[row] * 8.0 / rows.short_interval[row],
        "long_interval_8": rows.long_interval[row] / 8.0,
        "short_interval_8": rows.short_interval[row] / 8.0,
        "profit_8h": rows.profit_8h[row],
        "profit_24h_proj": rows.profit_24h[row],
        "profit_3d_proj": rows.profit_3d[row],
        "hours_to_long_settlement_8": hours_until(rows.long_next) / 8.0,
        "hours_to_short_settlement_8": hours_until(rows.short_next) / 8.0,
        "spread_30_sample_avg": rows.spread_30[row],
        "price_spread_24h_avg": rows.spread_24h[row],
        "price_spread_3d_avg": rows.spread_3d[row],
        "spread_volatility_stddev": rows.spread_volatility[row],
        "log10_volume": _log10(rows.volume[row]),
        "bid_ask_spread_percent": rows.bid_ask[row],
        "log10_depth": _log10(rows.depth[row]),
        "estimated_profit_percentage": rows.estimated_profit[row],
    }
    blank = np.full(len(row), np.nan)
    return np.stack([said.get(name, blank) for name in SLOT_FEATURES], axis=1)


def _log10(amount: F64) -> F64:
    """Return log10 of an amount; less than 1 counts as 1, because 0 is a legal volume."""
    return np.log10(np.fmax(amount, 1.0), where=~np.isnan(amount), out=np.full(amount.shape, np.nan))
