"""A day's features as a file of tables that a person can read and a program reads back exactly.

panel        hour x instrument: price, quote age, low, high, rate, interval, next settlement
settlements  one row per funding event
pairs        hour x pair: order book, volume, projection and trailing rate as of that hour
slots        hour x filled opportunity slot: pair, score, unscaled features
closing_*    what the next day needs to know
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rl.market.arrays import F64, HOUR_MS, I64, SLOT_FEATURES
from rl.market.build import DayFeatures
from rl.market.closing import Closing, KnownInstruments, KnownPairs, nothing_known
from rl.market.panel import FundingEvents, Panel
from rl.market.rows import HistoryRows, OpportunityRows
from rl.market.slots import PairPanel, SlotTable
from rl.market.tables import named, read_tables, write_tables
from schemas.errors import ArtifactError
from schemas.trading import N_OPPORTUNITY_SLOTS

_PANEL: Final = {
    "mark": "price",
    "age": "quote_age_hours",
    "low": "low",
    "high": "high",
    "rate": "funding_rate",
    "interval": "funding_interval_hours",
    "from_history": "from_history",
    "settled_8h": "settled_rate_8h",
}
_EVENTS: Final = {
    "rate": "funding_rate",
    "interval": "funding_interval_hours",
    "mark": "price",
    "age": "quote_age_hours",
    "estimated": "estimated",
    "off_boundary": "off_boundary",
}
_PAIRS: Final = {
    "seen": "seen",
    "bid_ask": "bid_ask_spread_percent",
    "volume": "volume_24h",
    "depth": "orderbook_depth_usd",
    "profit_24h": "fund_profit_24h_proj",
}
_CLOSING: Final = ("closing_instruments", "closing_pairs", "closing_rows", "closing_history")


def write_day(features: DayFeatures, path: Path) -> None:
    """Write a day's tables into a file, in one atomic step; equal features give equal bytes.

    Args:
        features: What `build_hours` made.
        path: The file; its folder exists.
    """
    size = {"start_ms": features.start_ms, "n_hours": features.n_hours}
    symbols, venues = _names(features.symbols), _names(features.venues)
    hours, n_hours = _hours(features), features.n_hours
    tables: dict[str, dict[str, Any]] = {}

    hour, instrument = _grid(n_hours, len(symbols))
    panel = {column: getattr(features.panel, name).ravel() for name, column in _PANEL.items()}
    panel["next_settlement"] = _next_settlement(hours[hour], panel["funding_interval_hours"])
    labels: dict[str, Any] = {
        "hour": hours[hour],
        "symbol": named(symbols, instrument),
        "venue": named(venues, instrument),
    }
    tables["panel"] = labels | panel

    events = features.events
    labels = {
        "time": events.time_us.astype("datetime64[us]"),
        "symbol": named(symbols, events.instrument),
        "venue": named(venues, events.instrument),
    }
    tables["settlements"] = labels | {column: getattr(events, name) for name, column in _EVENTS.items()}

    hour, pair = _grid(n_hours, len(features.pair_long))
    labels = {"hour": hours[hour]} | _pair_names(features, pair)
    facts = {column: getattr(features.pairs, name).ravel() for name, column in _PAIRS.items()}
    tables["pairs"] = labels | facts | {"trail24": features.trail24.ravel()}

    hour, slot = np.nonzero(features.slots.pair >= 0)
    labels = {"hour": hours[hour], "slot": slot} | _pair_names(features, features.slots.pair[hour, slot])
    facts = {"score": features.slots.score[hour, slot]}
    facts |= {name: features.slots.raw[hour, slot, i] for i, name in enumerate(SLOT_FEATURES)}
    tables["slots"] = labels | facts

    closing = features.closing
    parts = (closing.instruments, closing.pairs, closing.pending_rows, closing.pending_history)
    for name, part in zip(_CLOSING, parts, strict=True):
        tables[name] = dict(vars(part))
    write_tables(path, tables, {"panel": size, _CLOSING[0]: {"end_us": closing.end_us}})


def read_closing(path: Path) -> Closing:
    """Read the closing state of a day's file alone.

    Raises:
        OSError: The file is not there, or is none of these.
    """
    tables = read_tables(path, _CLOSING)
    columns = [tables[name][0] for name in _CLOSING]
    end_us = tables[_CLOSING[0]][1]["end_us"]
    return Closing(
        end_us,
        KnownInstruments(**columns[0]),
        KnownPairs(**columns[1]),
        OpportunityRows(**columns[2]),
        HistoryRows(**columns[3]),
    )


def read_day(path: Path, *, closing: bool = True) -> DayFeatures:
    """Read a day's features back, bit for bit.

    Args:
        path: What `write_day` wrote.
        closing: Read the closing state too; else it is left without content.

    Raises:
        ArtifactError: It is a folder of Parquet files, as days were once written.
        OSError: The file is not there, or is none of these.
    """
    if path.is_dir():
        raise ArtifactError(
            "holds features as another version of carryflow wrote them: this one keeps a day in one file.",
            str(path),
            "Use that version of carryflow, or run the step that makes them again.",
        )
    tables = read_tables(path, ("panel", "settlements", "pairs", "slots"))
    panel, size = tables["panel"]
    n_hours, start_ms = size["n_hours"], size["start_ms"]
    n = len(panel["symbol"]) // n_hours
    symbols, venues = tuple(panel["symbol"][:n].tolist()), tuple(panel["venue"][:n].tolist())
    instrument = {name: i for i, name in enumerate(zip(symbols, venues, strict=True))}

    pairs, events, slots = (tables[name][0] for name in ("pairs", "settlements", "slots"))
    n_pairs = len(pairs["symbol"]) // n_hours
    legs = [pairs[name][:n_pairs].tolist() for name in ("symbol", "long_venue", "short_venue")]
    pair = {name: i for i, name in enumerate(zip(*legs, strict=True))}

    hour = (slots["hour"].astype("datetime64[ms]").astype(np.int64) - start_ms) // HOUR_MS
    where = (hour, slots["slot"])
    slot_pair = np.full((n_hours, N_OPPORTUNITY_SLOTS), -1, dtype=np.int32)
    score, raw = np.full(slot_pair.shape, np.nan), np.zeros((*slot_pair.shape, len(SLOT_FEATURES)))
    slot_pair[where] = _places(pair, slots["symbol"], slots["long_venue"], slots["short_venue"])
    score[where] = slots["score"]
    raw[where] = np.stack([slots[name] for name in SLOT_FEATURES], axis=1)
    return DayFeatures(
        start_ms=start_ms,
        symbols=symbols,
        venues=venues,
        pair_long=_places(instrument, legs[0], legs[1]).astype(np.int32),
        pair_short=_places(instrument, legs[0], legs[2]).astype(np.int32),
        panel=Panel(**{name: panel[column].reshape(n_hours, n) for name, column in _PANEL.items()}),
        events=FundingEvents(
            time_us=events["time"].astype(np.int64),
            instrument=_places(instrument, events["symbol"], events["venue"]),
            **{name: events[column] for name, column in _EVENTS.items()},
        ),
        pairs=PairPanel(**{name: pairs[column].reshape(n_hours, n_pairs) for name, column in _PAIRS.items()}),
        trail24=pairs["trail24"].reshape(n_hours, n_pairs),
        slots=SlotTable(pair=slot_pair, score=score, raw=raw),
        closing=read_closing(path) if closing else nothing_known((start_ms + (n_hours - 1) * HOUR_MS) * 1000),
    )


def _hours(features: DayFeatures) -> NDArray[Any]:
    return (
        (features.start_ms + HOUR_MS * np.arange(features.n_hours)).astype("datetime64[ms]").astype("M8[us]")
    )


def _next_settlement(hours: NDArray[Any], interval: F64) -> NDArray[Any]:
    """Return the first whole UTC hour after each hour that the interval divides; NaT where unknown."""
    epoch_hour = hours.astype("datetime64[h]").astype(np.int64)
    every = np.where(interval > 0, interval, 1.0)
    # An interval that does not divide the day starts over at midnight.
    hour_of_day = epoch_hour % 24
    following = np.minimum((np.floor(hour_of_day / every) + 1.0) * every, 24.0)
    due = (epoch_hour - hour_of_day + np.ceil(following).astype(np.int64)).astype("datetime64[h]")
    return np.where(interval > 0, due, np.datetime64("NaT")).astype("datetime64[us]")


def _names(values: tuple[str, ...]) -> NDArray[np.object_]:
    return np.array([*values, None], dtype=object)[:-1]


def _grid(n_hours: int, count: int) -> tuple[I64, I64]:
    """Return the hour and the column of each cell of a table of hours by something, row by row."""
    hour, column = np.indices((n_hours, count))
    return hour.ravel(), column.ravel()


def _pair_names(features: DayFeatures, pair: NDArray[Any]) -> dict[str, Any]:
    symbols, venues = _names(features.symbols), _names(features.venues)
    long, short = features.pair_long[pair], features.pair_short[pair]
    return {
        "symbol": named(symbols, long),
        "long_venue": named(venues, long),
        "short_venue": named(venues, short),
    }


def _places(index: dict[Any, int], *columns: Any) -> I64:
    return np.array([index[key] for key in zip(*columns, strict=True)], dtype=np.int64)
