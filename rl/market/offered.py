"""What the split and the scaler ask of a market, day by day: the slots, and how many of all else there are.

The whole market holds every instrument at every hour. For its slots alone nothing of that is needed, so
the memory and the time it takes do not grow with the number of instruments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rl.market.arrays import F64, HOUR_MS, SLOT_FEATURES, Bool
from rl.market.assemble import half_spread, hours_on_offer, require_kept_events
from rl.market.build import DayFeatures
from rl.market.rows import Names
from schemas.trading import MarketRules


@dataclass(frozen=True)
class DayOffers:
    """The filled slots of a stretch of H hours; n of them, hour by hour.

    Attributes:
        start_ms: UTC epoch milliseconds of row 0.
        pairs: Symbol, long venue and short venue of each pair known by its end.
        filled: (H, 10) which slots are filled.
        raw: (H, 10, 20) unscaled features, without the round-trip cost.
        long_venues, short_venues: (n,) where each one's legs are.
        bid_ask: (n,) bid-ask spread of its pair, percent; NaN is null.
        volume: (n,) volume of 24 h, quote currency; NaN is null.
    """

    start_ms: int
    pairs: tuple[tuple[str, str, str], ...]
    filled: Bool
    raw: F64
    long_venues: Names
    short_venues: Names
    bid_ask: F64
    volume: F64


@dataclass(frozen=True)
class Offered:
    """The slots of a market, as `assemble` would make them.

    Attributes:
        start_ms: UTC epoch milliseconds of row 0.
        n_hours: Its hours T.
        n_instruments: Legs of its pairs.
        n_pairs: Its pairs.
        slot_raw: (T, 10, 20) unscaled features.
    """

    start_ms: int
    n_hours: int
    n_instruments: int
    n_pairs: int
    slot_raw: F64


def day_offers(day: DayFeatures) -> DayOffers:
    """Take what `offered` needs of a day."""
    symbols, venues = np.array(day.symbols, dtype=object), np.array(day.venues, dtype=object)
    named = (symbols[day.pair_long], venues[day.pair_long], venues[day.pair_short])
    hour, slot = np.nonzero(day.slots.pair >= 0)
    pair = day.slots.pair[hour, slot]
    return DayOffers(
        start_ms=day.start_ms,
        pairs=tuple(zip(*(names.tolist() for names in named), strict=True)),
        filled=day.slots.pair >= 0,
        raw=day.slots.raw,
        long_venues=named[1][pair],
        short_venues=named[2][pair],
        bid_ask=day.pairs.bid_ask[hour, pair],
        volume=day.pairs.volume[hour, pair],
    )


def offered(days: Sequence[DayOffers], rules: MarketRules) -> Offered:
    """Join the slots of consecutive days; bit for bit those of the market that `assemble` makes.

    Args:
        days: Each starting at the hour after the one before.
        rules: What venues charge.

    Raises:
        DataError: No hour has an opportunity on offer.
        ConfigError: `max_quote_age_hours` is too long for the funding events that the days hold.
        ValueError: The days are not consecutive.
    """
    require_kept_events(rules)
    rows = hours_on_offer([(day.start_ms, day.filled) for day in days])
    raw = []
    for day in days:
        fees = {venue: rules.fee(venue) for venue in {*day.long_venues.tolist(), *day.short_venues.tolist()}}
        long, short = (
            np.array([fees[venue] for venue in names.tolist()], dtype=np.float64)
            for names in (day.long_venues, day.short_venues)
        )
        half = half_spread(day.bid_ask, day.volume, np.ones(len(day.volume), dtype=bool), rules)
        costed = day.raw.copy()
        hour, slot = np.nonzero(day.filled)
        costed[hour, slot, SLOT_FEATURES.index("round_trip_cost_percent")] = 200.0 * (
            long + short + 2.0 * half
        )
        raw.append(costed)
    pairs = {pair for day in days for pair in day.pairs}
    legs = {
        (symbol, venue) for symbol, long_venue, short_venue in pairs for venue in (long_venue, short_venue)
    }
    return Offered(
        start_ms=days[0].start_ms + rows.start * HOUR_MS,
        n_hours=rows.stop - rows.start,
        n_instruments=len(legs),
        n_pairs=len(pairs),
        slot_raw=np.concatenate(raw)[rows],
    )
