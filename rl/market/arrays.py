"""The market as the simulator sees it: dense arrays on an hourly grid.

Every value in row t was known at hour t: it comes from rows at or before that hour.
Shapes: T hours, I instruments (venue, symbol), P pairs (symbol, long venue, short venue).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
Bool = NDArray[np.bool_]

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Settlements:
    """Funding events, sorted by (row, time, instrument).

    Event e belongs to row `row[e]` = the t with time in (t - 1 h, t].

    Attributes:
        row: (E,) index into the hourly grid.
        time_ms: (E,) UTC epoch milliseconds.
        instrument: (E,) instrument index.
        rate: (E,) fraction per settlement, paid by longs when positive.
        mark: (E,) last quote at or before the event.
        stale: (E,) whether that quote was older than max_quote_age_hours then.
        estimated: (E,) whether the history lacks the settled rate.
        off_boundary: (E,) whether a settled rate stands off its interval's boundary.
        start: (T + 1,) events of row t are start[t]:start[t + 1].
    """

    row: I64
    time_ms: I64
    instrument: I32
    rate: F64
    mark: F64
    stale: Bool
    estimated: Bool
    off_boundary: Bool
    start: I64


@dataclass(frozen=True)
class MarketArrays:
    """Quotes, rates, pairs and opportunity slots of a window.

    Attributes:
        start_ms: UTC epoch milliseconds of row 0; row t is start_ms + t * HOUR_MS.
        venues: (I,) venue of each instrument; instruments are sorted by (symbol, venue).
        symbols: (I,) symbol of each instrument.
        mark: (T, I) last quote; NaN where there was none yet.
        age: (T, I) hours since that quote; inf where there was none yet.
        low: (T, I) lowest low of history rows stamped in (t - 1 h, t]; +inf where none.
        high: (T, I) highest high of the same; -inf where none.
        rate: (T, I) newest known funding rate per interval; NaN where none yet.
        interval: (T, I) newest known funding interval, hours; 0 where none yet.
        from_history: (T, I) whether the instrument is priced from the market history.
        pair_long: (P,) instrument index of the long leg; pairs go by (symbol, long venue, short venue).
        pair_short: (P,) instrument index of the short leg.
        half_spread: (T, P) half the newest row's bid-ask spread, a fraction of price; NaN before the first.
        depth: (T, P) order-book depth, quote currency; NaN where unknown.
        trail24: (T, P) net rate per 8 h over the trailing 24 h, a fraction; NaN where unknown.
        slot_pair: (T, 10) pair of each opportunity slot, best first; -1 is empty.
        slot_raw: (T, 10, 20) unscaled slot features; NaN is null; an empty slot is all zeros.
        slot_score: (T, 10) the ranking score; NaN is empty.
        settlements: the funding events.
        gap: (T,) whether every instrument's quote is older than max_quote_age_hours.
    """

    start_ms: int
    venues: tuple[str, ...]
    symbols: tuple[str, ...]
    mark: F64
    age: F64
    low: F64
    high: F64
    rate: F64
    interval: F64
    from_history: Bool
    pair_long: I32
    pair_short: I32
    half_spread: F64
    depth: F64
    trail24: F64
    slot_pair: I32
    slot_raw: F64
    slot_score: F64
    settlements: Settlements
    gap: Bool

    @property
    def n_hours(self) -> int:
        """Hours in the window."""
        return int(self.mark.shape[0])

    @property
    def n_instruments(self) -> int:
        """Instruments seen anywhere in the window."""
        return len(self.venues)

    @cached_property
    def arrived(self) -> Bool:
        """(T,) whether anything came in within (t - 1 h, t]: a row, or a quote of what had been on offer."""
        seen = ~np.isnan(self.half_spread)
        young = self.age < 1.0
        quoted = (seen & (young[:, self.pair_long] | young[:, self.pair_short])).any(axis=1)
        return np.asarray(quoted | (self.slot_pair >= 0).any(axis=1))

    def hour_ms(self, t: int) -> int:
        """Return the UTC epoch milliseconds of row t."""
        return self.start_ms + t * HOUR_MS


# Order of the 20 features of an opportunity slot (SIMULATOR 5), as stored in slot_raw.
SLOT_FEATURES: tuple[str, ...] = (
    "long_rate_8h",  # fraction per 8 h
    "short_rate_8h",
    "long_interval_8",  # interval / 8
    "short_interval_8",
    "profit_8h",  # percent of one leg's notional per 8 h
    "profit_24h_proj",
    "profit_3d_proj",
    "hours_to_long_settlement_8",
    "hours_to_short_settlement_8",
    "return_std_24h",
    "net_rate_std_72h",
    "spread_30_sample_avg",
    "price_spread_24h_avg",
    "price_spread_3d_avg",
    "spread_volatility_stddev",
    "log10_volume",
    "bid_ask_spread_percent",
    "log10_depth",
    "estimated_profit_percentage",
    "round_trip_cost_percent",  # percent of one leg's notional, by our fee table
)
