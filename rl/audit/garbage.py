"""Garbage in place of every row that arrives after a time.

It enters where the features begin, after validation, so that no rule of the ingest can hide it. Rows up to
the time stay as they are, in their order; that and nothing else is what the features may know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.columns import TIME_COLUMN, TableName

HOUR_US: Final = 3_600_000_000
INTERVALS: Final = (1.0, 2.0, 3.0, 4.0, 8.0, 24.0)  # those that venues use and others
REACH_HOURS: Final = 72  # how far after the time most of the additional rows lie
ABSURD: Final = 1e6  # a projected APR in percent that no ranking overlooks

# What may be negative, and so changes its sign too; the other numbers stay positive, or they would count
# as missing and not as other values.
_SIGNED: Final = ("rate", "profit", "apr", "spread")
_UNSIGNED: Final = ("bid_ask",)


@dataclass(frozen=True)
class Tables:
    """Clean rows in data-set order.

    Attributes:
        opportunities: What a scanner saw; `entry_time` is when.
        history: Prices and settled funding by their label; None is no history.
    """

    opportunities: pd.DataFrame
    history: pd.DataFrame | None


Garbage = Callable[[Tables, int, np.random.Generator], Tables]


def other_values(tables: Tables, after_us: int, rng: np.random.Generator) -> Tables:
    """Give every later row other prices, rates, intervals, projections and settlement times."""

    def change(later: pd.DataFrame, table: TableName) -> pd.DataFrame:
        later = later.copy()
        for column in _numbers(later):
            values = later[column].to_numpy(dtype=np.float64)
            if "interval" in column:
                later[column] = _other_interval(values, rng)
                continue
            drawn = np.exp(rng.normal(0.0, 1.5, len(later)))
            known = np.isfinite(values) & (values != 0.0)
            changed = np.where(known, values, 1.0) * drawn
            if _signed(column):
                changed *= rng.choice([-1.0, 1.0], len(later))
            later[column] = changed
        for column in _later_times(later, table):
            shift = pd.to_timedelta(rng.integers(1, 48, len(later)), unit="h")
            later[column] = (later[column] + shift).astype(later[column].dtype)
        return later

    return _each(tables, after_us, change)


def nulls(tables: Tables, after_us: int, rng: np.random.Generator) -> Tables:
    """Make half of all numbers and times of the later rows missing, those that a rule requires included."""

    def change(later: pd.DataFrame, table: TableName) -> pd.DataFrame:
        later = later.copy()
        for column in (*_numbers(later), *_later_times(later, table)):
            later[column] = later[column].mask(rng.random(len(later)) < 0.5)
        return later

    return _each(tables, after_us, change)


def no_rows(tables: Tables, after_us: int, rng: np.random.Generator) -> Tables:
    """Drop every later row: what remains is what a live run would have at the time."""
    return _each(tables, after_us, lambda later, table: later.iloc[:0])


def extra_rows(tables: Tables, after_us: int, rng: np.random.Generator) -> Tables:
    """Add rows of what was there and of what never was, the first a microsecond after the time.

    They stand before all others in the data set, and a history is invented where there is none.
    """
    opportunities = tables.opportunities
    pairs = opportunities.drop_duplicates(["symbol", "long_exchange", "short_exchange"])
    added = pd.concat([pairs, _strangers(pairs, rng)], ignore_index=True)
    for side in ("long", "short"):
        added[f"entry_{side}_price"] = 10.0 ** rng.uniform(-6, 9, len(added))
        added[f"{side}_funding_rate"] = rng.uniform(-0.05, 0.05, len(added))
        added[f"{side}_funding_interval_hours"] = rng.choice(INTERVALS, len(added))
    for column in ("fund_apr", "fund_apr_24h_proj", "fund_apr_3d_proj"):
        added[column] = ABSURD
    added["volume_24h"], added["bid_ask_spread_percent"] = 1e12, 0.0
    added["entry_time"] = _soon(after_us, len(added), rng, opportunities["entry_time"].dtype)

    legs = pd.concat(
        [
            added[["symbol", f"{side}_exchange"]].set_axis(["symbol", "exchange"], axis=1)
            for side in ("long", "short")
        ]
    ).drop_duplicates(ignore_index=True)
    n = len(legs)
    stamps = legs.assign(
        price=10.0 ** rng.uniform(-6, 9, n),
        funding_rate=rng.uniform(-0.05, 0.05, n),
        funding_interval_hours=rng.choice(INTERVALS, n),
        low=1e-9,
        high=1e12,
        timestamp=_soon(after_us, n, rng, opportunities["entry_time"].dtype),
    )
    history = stamps if tables.history is None else pd.concat([stamps, tables.history], ignore_index=True)
    return Tables(pd.concat([added, opportunities], ignore_index=True), history)


KINDS: Final[dict[str, Garbage]] = {
    "other prices, rates and intervals": other_values,
    "missing values": nulls,
    "no rows": no_rows,
    "additional rows": extra_rows,
}


def arrives_after(frame: pd.DataFrame, table: TableName, after_us: int) -> NDArray[np.bool_]:
    """Return whether each row arrives after a time in UTC epoch microseconds.

    `entry_time` is when a scanner saw a row, and is taken as it stands. A stamp of the history is the
    label of what was known then: the ingest has snapped those up to 120 s past an hour to it.
    """
    times = pd.DatetimeIndex(frame[TIME_COLUMN[table]]).as_unit("us").asi8
    return np.asarray(times > after_us)


def _each(tables: Tables, after_us: int, change: Callable[[pd.DataFrame, TableName], pd.DataFrame]) -> Tables:
    """Replace the later rows of both tables by what a function makes of them; the order stays."""

    def replaced(frame: pd.DataFrame, table: TableName) -> pd.DataFrame:
        later = arrives_after(frame, table, after_us)
        return pd.concat([frame[~later], change(frame[later], table)]).sort_index()

    history = None if tables.history is None else replaced(tables.history, "history")
    return Tables(replaced(tables.opportunities, "opportunities"), history)


def _strangers(pairs: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Copy pairs under symbols and venues that nobody knows, first and last in the order of names."""
    copies = []
    for symbol, venue in (("!FIRST", "!first"), ("~LAST", "~last")):
        few = pairs.sample(n=min(len(pairs), 20), random_state=rng)
        copies += [few.assign(symbol=symbol + few["symbol"]), few.assign(long_exchange=venue)]
    return pd.concat(copies)


def _soon(after_us: int, n: int, rng: np.random.Generator, dtype: object) -> pd.Series:
    """Return times after a time: half of them a microsecond later, the others within three days."""
    wait = np.where(rng.random(n) < 0.5, 1, rng.integers(1, REACH_HOURS * HOUR_US, n))
    return pd.Series(pd.to_datetime(after_us + wait, unit="us", utc=True)).astype(dtype)  # type: ignore[call-overload,no-any-return]


def _numbers(frame: pd.DataFrame) -> list[str]:
    return list(frame.select_dtypes("number").columns)


def _later_times(frame: pd.DataFrame, table: TableName) -> list[str]:
    """Return the columns of times other than that of arrival."""
    return [name for name in frame.select_dtypes("datetimetz").columns if name != TIME_COLUMN[table]]


def _signed(column: str) -> bool:
    return any(word in column for word in _SIGNED) and not any(word in column for word in _UNSIGNED)


def _other_interval(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw intervals, each different from the one that stands there."""
    drawn = rng.choice(INTERVALS, len(values))
    again = np.where(values == INTERVALS[0], INTERVALS[1], INTERVALS[0])
    return np.where(drawn == values, again, drawn)
