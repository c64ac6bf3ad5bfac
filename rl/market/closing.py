"""What a day hands to the next one: everything later hours may still ask about earlier rows.

A closing state holds values and never running sums, so that a day built on it is bit-identical to
the same hours built in one go with all that came before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import numpy as np

from rl.market.arrays import F64, I64
from rl.market.rows import HistoryRows, Names, OpportunityRows, history_rows, opportunity_rows

RETURN_HOURS = 24  # returns in return_std_24h: the marks of 24 hours before t
RATE_HOURS = 72  # hourly net rates in net_rate_std_72h, t included
TRAIL_HOURS = 24  # hours of settlements in trail24, t included


@dataclass(frozen=True)
class KnownInstruments:
    """The last known state of each instrument, sorted by (symbol, venue); NaN is unknown.

    Hourly columns end at the closing hour.

    Attributes:
        symbols: (I,) symbol.
        venues: (I,) venue.
        history_time: (I,) epoch microseconds of the newest history quote; 0 where none.
        history_price: (I,) its price.
        row_time: (I,) the same of opportunity rows; 0 where none or no longer asked for.
        row_price: (I,) its price.
        rate: (I,) newest known funding rate, a fraction per interval.
        interval: (I,) newest known interval, hours.
        settled_8h: (I,) newest rate the history settled, per 8 h.
        marks: (I, 24) hourly marks.
        hourly_8h: (I, 71) hourly as-of rates per 8 h.
        settled_rate: (I, 23) sum of the rates settled within each hour.
        settled_hours: (I, 23) sum of their intervals, hours.
    """

    symbols: Names
    venues: Names
    history_time: I64
    history_price: F64
    row_time: I64
    row_price: F64
    rate: F64
    interval: F64
    settled_8h: F64
    marks: F64
    hourly_8h: F64
    settled_rate: F64
    settled_hours: F64


@dataclass(frozen=True)
class KnownPairs:
    """The newest row of each pair, sorted by (symbol, long venue, short venue); NaN is null.

    Attributes:
        symbols: (P,) symbol.
        long_venues: (P,) venue of the long leg.
        short_venues: (P,) venue of the short leg.
        bid_ask: (P,) bid-ask spread, percent.
        volume: (P,) volume of 24 h, quote currency.
        depth: (P,) order-book depth, quote currency.
        profit_24h: (P,) projected profit of 24 h, percent of notional per 8 h.
    """

    symbols: Names
    long_venues: Names
    short_venues: Names
    bid_ask: F64
    volume: F64
    depth: F64
    profit_24h: F64


@dataclass(frozen=True)
class Closing:
    """The state after the hour at `end_us`, and the rows that came after it.

    Attributes:
        end_us: Epoch microseconds of the last hour built.
        instruments: What is known of each instrument.
        pairs: The newest row of each pair.
        pending_rows: Opportunity rows later than that hour, in data-set order.
        pending_history: History rows later than that hour, in data-set order.
    """

    end_us: int
    instruments: KnownInstruments
    pairs: KnownPairs
    pending_rows: OpportunityRows
    pending_history: HistoryRows

    def digest(self) -> str:
        """Return a sha256 of the content: equal states have equal digests."""
        hasher = hashlib.sha256(str(self.end_us).encode())
        for part in (self.instruments, self.pairs, self.pending_rows, self.pending_history):
            for field in fields(part):
                column: np.ndarray = getattr(part, field.name)
                hasher.update(f"\n{field.name} {column.shape}\n".encode())
                if column.dtype == object:
                    hasher.update("\0".join(map(str, column)).encode())
                else:
                    hasher.update(np.ascontiguousarray(column).tobytes())
        return hasher.hexdigest()


def nothing_known(end_us: int) -> Closing:
    """Return the state before the first hour of the data."""
    none, text, time = np.empty(0), np.empty(0, dtype=object), np.empty(0, dtype=np.int64)
    instruments = KnownInstruments(
        text, text, time, none, time, none, none, none, none,
        marks=np.empty((0, RETURN_HOURS)),
        hourly_8h=np.empty((0, RATE_HOURS - 1)),
        settled_rate=np.empty((0, TRAIL_HOURS - 1)),
        settled_hours=np.empty((0, TRAIL_HOURS - 1)),
    )  # fmt: skip
    pairs = KnownPairs(text, text, text, none, none, none, none)
    return Closing(end_us, instruments, pairs, opportunity_rows(None), history_rows(None))
