"""Days of features as the one market that the simulator steps through."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rl.market.arrays import F64, HOUR_MS, I64, SLOT_FEATURES, Bool, MarketArrays, Settlements
from rl.market.build import DayFeatures
from rl.market.days import read_day
from rl.market.panel import MAX_ESTIMATE_AGE_HOURS
from schemas.errors import ConfigError, DataError
from schemas.trading import MarketRules

LIQUID_VOLUME: Final = 1e7  # quote currency in 24 h
MEDIUM_VOLUME: Final = 1e6
TOLERANCE: Final = 1e-9  # relative; a comparison within it is "allowed, not triggered"


def assemble(days: Sequence[DayFeatures | Path], rules: MarketRules) -> MarketArrays:
    """Join consecutive days into one market.

    The market goes from the first hour with an opportunity on offer to the last one. Its instruments are
    the legs of the pairs seen in these days; others cannot be traded. What depends on the rules (half
    spreads, the round-trip cost, which quotes are stale) is worked out here, so that a day's tables serve
    any rules.

    Args:
        days: Features, or files written by `write_day`, each starting at the hour after the one before.
        rules: What venues charge, and when a quote is stale.

    Raises:
        DataError: No hour has an opportunity on offer.
        ConfigError: `max_quote_age_hours` is too long for the funding events that the days hold.
        ValueError: The days are not consecutive.
    """
    require_kept_events(rules)
    parts = [read_day(day, closing=False) if isinstance(day, Path) else day for day in days]
    rows = hours_on_offer([(part.start_ms, part.slots.pair >= 0) for part in parts])

    join = _Join(parts, rows)
    spread = half_spread(
        join.pair_panel("bid_ask", np.nan),
        join.pair_panel("volume", np.nan),
        join.pair_panel("seen", False),
        rules,
    )
    slot_pair, slot_raw = join.slots(), join.slot_features()
    fees = np.array([rules.fee(venue) for venue in join.venues])
    hour, slot = np.nonzero(slot_pair >= 0)
    pair = slot_pair[hour, slot]
    cost = fees[join.pair_long[pair]] + fees[join.pair_short[pair]] + 2.0 * spread[hour, pair]
    slot_raw[hour, slot, SLOT_FEATURES.index("round_trip_cost_percent")] = 200.0 * cost

    age = join.panel("age", np.inf)
    return MarketArrays(
        start_ms=join.start_ms,
        venues=join.venues,
        symbols=join.symbols,
        mark=join.panel("mark", np.nan),
        age=age,
        low=join.panel("low", np.inf),
        high=join.panel("high", -np.inf),
        rate=join.panel("rate", np.nan),
        interval=join.panel("interval", 0.0),
        from_history=join.panel("from_history", False),
        pair_long=join.pair_long.astype(np.int32),
        pair_short=join.pair_short.astype(np.int32),
        half_spread=spread,
        depth=join.pair_panel("depth", np.nan),
        trail24=join.by_pair([part.trail24 for part in parts], np.nan),
        slot_pair=slot_pair.astype(np.int32),
        slot_raw=slot_raw,
        slot_score=np.concatenate([part.slots.score for part in parts])[rows],
        settlements=join.settlements(rules),
        gap=_gap(join, _too_old(age, rules)),
    )


class _Join:
    """Places the columns of each day among those of all days."""

    def __init__(self, parts: Sequence[DayFeatures], rows: slice) -> None:
        self.parts, self.rows = parts, rows
        self.start_ms = parts[0].start_ms + rows.start * HOUR_MS
        self.n_hours = rows.stop - rows.start
        names = [list(zip(part.symbols, part.venues, strict=True)) for part in parts]
        pairs = [
            [(*name[a], name[b][1]) for a, b in zip(part.pair_long, part.pair_short, strict=True)]
            for name, part in zip(names, parts, strict=True)
        ]
        every_pair = sorted({pair for day in pairs for pair in day})
        legs = sorted({(s, venue) for s, long, short in every_pair for venue in (long, short)})
        place = {leg: i for i, leg in enumerate(legs)}
        pair_place = {pair: i for i, pair in enumerate(every_pair)}
        self.symbols, self.venues = tuple(leg[0] for leg in legs), tuple(leg[1] for leg in legs)
        self.pair_long = np.array([place[s, long] for s, long, _ in every_pair], dtype=np.int64)
        self.pair_short = np.array([place[s, short] for s, _, short in every_pair], dtype=np.int64)
        # Instruments that are no leg have no place: -1.
        self._columns = [np.array([place.get(name, -1) for name in day], dtype=np.int64) for day in names]
        self._pairs = [np.array([pair_place[pair] for pair in day], dtype=np.int64) for day in pairs]

    def panel(self, field: str, fill: Any) -> Any:
        """Return (T, I) of a field of the days' panels."""
        tables = [getattr(part.panel, field) for part in self.parts]
        return self._spread(tables, self._columns, len(self.symbols), fill)

    def pair_panel(self, field: str, fill: Any) -> Any:
        """Return (T, P) of a field of the days' pair panels."""
        return self.by_pair([getattr(part.pairs, field) for part in self.parts], fill)

    def by_pair(self, tables: Sequence[NDArray[Any]], fill: Any) -> Any:
        """Return (T, P) of one table (H, P) per day."""
        return self._spread(tables, self._pairs, len(self.pair_long), fill)

    def _spread(
        self, tables: Sequence[NDArray[Any]], places: Sequence[I64], width: int, fill: Any
    ) -> NDArray[Any]:
        joined = np.full((sum(len(table) for table in tables), width), fill, dtype=tables[0].dtype)
        start = 0
        for table, place in zip(tables, places, strict=True):
            joined[start : start + len(table), place[place >= 0]] = table[:, place >= 0]
            start += len(table)
        return joined[self.rows].copy() if len(joined) != self.n_hours else joined

    def slots(self) -> I64:
        """Return (T, 10) pairs of the slots."""
        lookups = [np.append(place, -1) for place in self._pairs]  # an empty slot is -1 and stays it
        pairs = [lookup[part.slots.pair] for lookup, part in zip(lookups, self.parts, strict=True)]
        return np.concatenate(pairs)[self.rows]

    def slot_features(self) -> F64:
        """Return (T, 10, 20) unscaled features of the slots."""
        return np.concatenate([part.slots.raw for part in self.parts])[self.rows]

    def settlements(self, rules: MarketRules) -> Settlements:
        """Return the funding events of the market's instruments and hours, by (row, time, instrument)."""
        events = [part.events for part in self.parts]

        def joined(name: str) -> Any:
            return np.concatenate([getattr(event, name) for event in events])

        instrument = np.concatenate(
            [place[event.instrument] for place, event in zip(self._columns, events, strict=True)]
        )
        # Upwards, so that what comes after an hour by less than a millisecond stays after it.
        time_ms = -(-joined("time_us") // 1000)
        row = -((self.start_ms - time_ms) // HOUR_MS)
        mine = np.flatnonzero((instrument >= 0) & (row >= 0) & (row < self.n_hours))
        order = mine[np.lexsort((instrument[mine], time_ms[mine]))]
        return Settlements(
            row=row[order],
            time_ms=time_ms[order],
            instrument=instrument[order].astype(np.int32),
            rate=joined("rate")[order],
            mark=joined("mark")[order],
            stale=_too_old(joined("age")[order], rules),
            estimated=joined("estimated")[order],
            off_boundary=joined("off_boundary")[order],
            start=np.searchsorted(row[order], np.arange(self.n_hours + 1)),
        )


def half_spread(bid_ask: F64, volume: F64, seen: Bool, rules: MarketRules) -> F64:
    """Return half the bid-ask spread of pairs as a fraction of price, of any shape.

    Args:
        bid_ask: What their newest rows say, percent; NaN is null.
        volume: Volume of 24 h, quote currency, from which a spread is assumed where none is said.
        seen: Whether the pair has had a row; else the result is NaN.
        rules: What is assumed.
    """
    assumed = np.where(
        volume >= LIQUID_VOLUME,
        rules.full_spread_liquid,
        np.where(volume >= MEDIUM_VOLUME, rules.full_spread_medium, rules.full_spread_thin),
    )
    full = np.where(np.isnan(bid_ask), assumed, bid_ask / 100.0)
    return np.where(seen, full / 2.0, np.nan)


def require_kept_events(rules: MarketRules) -> None:
    """Refuse rules under which a quote may be older than the funding events that days hold go.

    Raises:
        ConfigError: They are such rules.
    """
    if rules.max_quote_age_hours + 1.0 > MAX_ESTIMATE_AGE_HOURS:
        raise ConfigError(
            f"a quote may be held until it is {MAX_ESTIMATE_AGE_HOURS - 1.0:g} hours old at most, "
            f"not {rules.max_quote_age_hours:g}.",
            where="max_quote_age_hours",
        )


def hours_on_offer(days: Sequence[tuple[int, Bool]]) -> slice:
    """Return the hours from the first to the last one with an opportunity on offer, counted over all days.

    Args:
        days: Of each its first hour, epoch milliseconds, and (H, 10) which slots are filled.

    Raises:
        DataError: No hour has one.
        ValueError: The days are not consecutive.
    """
    for (start_ms, slots), (after_ms, _) in pairwise(days):
        if start_ms + len(slots) * HOUR_MS != after_ms:
            raise ValueError("the days are not consecutive")
    filled = np.concatenate([slots[:, 0] for _, slots in days] or [np.zeros(0, dtype=bool)])
    if not filled.any():
        raise DataError("no hour has an opportunity on offer.")
    return slice(int(filled.argmax()), len(filled) - int(filled[::-1].argmax()))


def _too_old(age: F64, rules: MarketRules) -> Bool:
    return age > rules.max_quote_age_hours * (1.0 + TOLERANCE)


def _gap(join: _Join, too_old: Bool) -> Bool:
    """Return (T,) whether no instrument that has been on offer by then has a quote that is still good."""
    seen = join.pair_panel("seen", False)
    offered = np.zeros(too_old.shape, dtype=bool)
    for pair in range(seen.shape[1]):
        offered[:, join.pair_long[pair]] |= seen[:, pair]
        offered[:, join.pair_short[pair]] |= seen[:, pair]
    return np.asarray((too_old | ~offered).all(axis=1))
