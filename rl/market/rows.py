"""Clean table rows as plain arrays, in data-set order.

The rest of the feature code works on these and never on data frames, so that a row that waits
for its hour in a closing state is the very same thing as a row that has just been read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rl.market.arrays import F64, I64

Names = NDArray[np.object_]

HOUR_US: Final = 3_600_000_000
NO_TIME: Final = int(np.iinfo(np.int64).min)  # what pandas writes for a missing time

R = TypeVar("R", "OpportunityRows", "HistoryRows")


@dataclass(frozen=True)
class OpportunityRows:
    """Scanner rows (N,), in data-set order; NaN is null, times are UTC epoch microseconds.

    Prices in quote currency, rates as fractions per interval, intervals in hours, profits in percent
    of notional per 8 h, APRs in percent a year.
    """

    time: I64
    symbol: Names
    long_venue: Names
    short_venue: Names
    long_price: F64
    short_price: F64
    long_rate: F64
    short_rate: F64
    long_interval: F64
    short_interval: F64
    long_next: I64
    short_next: I64
    profit_8h: F64
    profit_24h: F64
    profit_3d: F64
    apr: F64
    apr_24h: F64
    spread_30: F64
    spread_24h: F64
    spread_3d: F64
    spread_volatility: F64
    volume: F64
    bid_ask: F64
    depth: F64
    estimated_profit: F64


@dataclass(frozen=True)
class HistoryRows:
    """Market history rows (M,), in data-set order; NaN is null, times are UTC epoch microseconds.

    `rate` is the rate settled at `time`, a fraction per interval; NaN between settlements.
    """

    time: I64
    venue: Names
    symbol: Names
    price: F64
    rate: F64
    interval: F64
    low: F64
    high: F64


_OPPORTUNITY_COLUMNS: Final = {
    "time": "entry_time",
    "symbol": "symbol",
    "long_venue": "long_exchange",
    "short_venue": "short_exchange",
    "long_price": "entry_long_price",
    "short_price": "entry_short_price",
    "long_rate": "long_funding_rate",
    "short_rate": "short_funding_rate",
    "long_interval": "long_funding_interval_hours",
    "short_interval": "short_funding_interval_hours",
    "long_next": "long_next_funding_time",
    "short_next": "short_next_funding_time",
    "profit_8h": "fund_profit_8h",
    "profit_24h": "fund_profit_24h_proj",
    "profit_3d": "fund_profit_3d_proj",
    "apr": "fund_apr",
    "apr_24h": "fund_apr_24h_proj",
    "spread_30": "spread_30_sample_avg",
    "spread_24h": "price_spread_24h_avg",
    "spread_3d": "price_spread_3d_avg",
    "spread_volatility": "spread_volatility_stddev",
    "volume": "volume_24h",
    "bid_ask": "bid_ask_spread_percent",
    "depth": "orderbook_depth_usd",
    "estimated_profit": "estimated_profit_percentage",
}
_HISTORY_COLUMNS: Final = {
    "time": "timestamp",
    "venue": "exchange",
    "symbol": "symbol",
    "price": "price",
    "rate": "funding_rate",
    "interval": "funding_interval_hours",
    "low": "low",
    "high": "high",
}
_TIMES: Final = frozenset({"time", "long_next", "short_next"})
_NAMES: Final = frozenset({"symbol", "venue", "long_venue", "short_venue"})
_REQUIRED: Final = frozenset(
    {"time", "symbol", "venue", "long_venue", "short_venue", "price", "long_price", "short_price"}
    | {"long_rate", "short_rate", "long_interval", "short_interval"}
)


def opportunity_rows(frame: pd.DataFrame | None) -> OpportunityRows:
    """Read a clean opportunities frame; nullable columns may be absent, None is no rows.

    Raises:
        ValueError: A required column is absent, or a row has no time.
    """
    if frame is None:
        return OpportunityRows(**{name: _empty(name) for name in _OPPORTUNITY_COLUMNS})
    return OpportunityRows(**_columns(frame, _OPPORTUNITY_COLUMNS))


def history_rows(frame: pd.DataFrame | None) -> HistoryRows:
    """Read a clean history frame; None is no history.

    Raises:
        ValueError: A required column is absent, or a row has no time.
    """
    if frame is None:
        return HistoryRows(**{name: _empty(name) for name in _HISTORY_COLUMNS})
    return HistoryRows(**_columns(frame, _HISTORY_COLUMNS))


def read_opportunities(path: Path) -> OpportunityRows:
    """Read a day's clean opportunities as ingest wrote them; what `opportunity_rows` makes of the frame.

    Raises:
        ValueError: A required column is absent, or a row has no time.
        OSError: The file is not there or not Parquet.
    """
    return OpportunityRows(**_stored(path, _OPPORTUNITY_COLUMNS))


def read_history(path: Path) -> HistoryRows:
    """Read a day's clean history as ingest wrote it; what `history_rows` makes of the frame.

    Raises:
        ValueError: A required column is absent, or a row has no time.
        OSError: The file is not there or not Parquet.
    """
    return HistoryRows(**_stored(path, _HISTORY_COLUMNS))


def take(rows: R, index: NDArray[Any]) -> R:
    """Return the rows of an index or boolean mask, in the order asked for."""
    return type(rows)(**{field.name: getattr(rows, field.name)[index] for field in fields(rows)})


def concat(first: R, second: R) -> R:
    """Return `first` followed by `second`."""
    both = {f.name: np.concatenate([getattr(first, f.name), getattr(second, f.name)]) for f in fields(first)}
    return type(first)(**both)


def times_us(column: Any) -> I64:
    """Return times as UTC epoch microseconds; a naive time means UTC, a missing one is NO_TIME."""
    return np.asarray(pd.DatetimeIndex(column).as_unit("us").asi8, dtype=np.int64)


def _empty(name: str) -> NDArray[Any]:
    """Return a column of no rows, of the type that a field of this name has."""
    if name in _TIMES:
        return np.empty(0, dtype=np.int64)
    return np.empty(0, dtype=object if name in _NAMES else np.float64)


def _columns(frame: pd.DataFrame, names: dict[str, str]) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {}
    for field, column in names.items():
        if column not in frame.columns:
            columns[field] = _absent(field, column, len(frame))
        elif field in _TIMES:
            columns[field] = times_us(frame[column])
        elif field in _NAMES:
            columns[field] = frame[column].astype(object).to_numpy(dtype=object)
        else:
            columns[field] = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
    return _timed(columns, names)


def _stored(path: Path, names: dict[str, str]) -> dict[str, NDArray[Any]]:
    """Read columns from a Parquet file without a data frame in between, which takes twice the time."""
    # A memory map would leave numbers in a file that somebody may cut meanwhile.
    with pq.ParquetFile(path, memory_map=False) as file:
        there = [column for column in names.values() if column in file.schema_arrow.names]
        table = file.read(columns=there, use_threads=False)
    columns: dict[str, NDArray[Any]] = {}
    for field, column in names.items():
        if column not in there:
            columns[field] = _absent(field, column, table.num_rows)
            continue
        values = table.column(column)
        if field in _NAMES:
            columns[field] = _words(values)
        elif field in _TIMES:
            micros = values.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
            columns[field] = micros.fill_null(NO_TIME).to_numpy()
        else:
            columns[field] = values.to_numpy()  # null is NaN
    return _timed(columns, names)


def _words(column: Any) -> Names:
    """Return text as objects, each word once; null is NaN, as it is in a frame."""
    coded = column.dictionary_encode().unify_dictionaries().combine_chunks()
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) and coded.num_chunks else coded
    if not len(coded):
        return np.empty(0, dtype=object)
    words = np.array([*coded.dictionary.to_pylist(), np.nan], dtype=object)
    return np.asarray(words[coded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)])


def _absent(field: str, column: str, rows: int) -> NDArray[Any]:
    if field in _REQUIRED:
        raise ValueError(f"a clean table lacks the column {column!r}")
    return np.full(rows, NO_TIME if field in _TIMES else np.nan, dtype=_empty(field).dtype)


def _timed(columns: dict[str, NDArray[Any]], names: dict[str, str]) -> dict[str, NDArray[Any]]:
    if bool((columns["time"] == NO_TIME).any()):
        raise ValueError(f"a clean table has a row without {names['time']!r}")
    return columns
