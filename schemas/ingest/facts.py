"""What a day's clean rows look like, in numbers that add up to those of the data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from schemas.columns import COLUMNS, TIME_COLUMN, TableName
from schemas.ingest.clean import HOUR_US, STAMPED

Value = float | int | str | None


class ColumnRange(BaseModel):
    """A column of a day; times are epoch microseconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    known: int
    min: Value = None
    max: Value = None


class DayFacts(BaseModel):
    """One day of a table.

    Attributes:
        rows: Clean rows.
        duplicates: Rows dropped because another one is equal in every column.
        counts: What looks odd -> how often.
        first, last: Times of the first and last row, epoch microseconds.
        hours: Full hours since the epoch that have a row; a row belongs to the full hour at or after it.
        venues: Venue -> rows that show it, on either side.
        symbols: Symbol -> rows.
        columns: Column -> its range.
        intervals: `venue symbol` -> its funding intervals in order, each change once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    duplicates: int
    counts: dict[str, int]
    first: int
    last: int
    hours: tuple[int, ...]
    venues: dict[str, int]
    symbols: dict[str, int]
    columns: dict[str, ColumnRange]
    intervals: dict[str, tuple[float, ...]]


def day_facts(rows: pa.Table, table: TableName, duplicates: int, counts: dict[str, int]) -> DayFacts:
    """Describe a day.

    Args:
        rows: Its clean rows in order, text coded; at least one.
        table: The table they are of.
        duplicates: See `DayFacts`.
        counts: See `DayFacts`.
    """
    time = rows[TIME_COLUMN[table]].cast(pa.int64()).to_numpy()
    sides = ("long_", "short_") if table == "opportunities" else ("",)
    kinds = {column.name: column.kind for column in COLUMNS[table]}
    venues: dict[str, int] = {}
    for side in sides:
        for venue, count in _counted(rows[f"{side}exchange"]).items():
            venues[venue] = venues.get(venue, 0) + count
    return DayFacts(
        rows=rows.num_rows,
        duplicates=duplicates,
        counts=counts,
        first=int(time.min()),
        last=int(time.max()),
        # The hour at or after a row is the first that may know it.
        hours=tuple(np.unique(-(-time // HOUR_US)).tolist()),
        venues=venues,
        symbols=_counted(rows["symbol"]),
        columns={name: _range(rows[name], kinds.get(name)) for name in rows.column_names if name != STAMPED},
        intervals=_intervals(rows, time, sides),
    )


def _counted(column: Any) -> dict[str, int]:
    counted = pc.value_counts(column.cast(pa.string()))
    return dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True))


def _range(column: Any, kind: str | None) -> ColumnRange:
    if kind == "number":
        values = column.to_numpy()
        known = values[~np.isnan(values)]
        if not len(known):
            return ColumnRange(known=0)
        return ColumnRange(known=len(known), min=float(known.min()), max=float(known.max()))
    known_rows = len(column) - column.null_count
    if not known_rows:
        return ColumnRange(known=0)
    if kind == "time":
        column = column.cast(pa.int64())
    else:
        column = pc.unique(column).cast(pa.string()) if len(column) else column
    ends = pc.min_max(column).as_py()
    return ColumnRange(known=known_rows, min=ends["min"], max=ends["max"])


def _intervals(
    rows: pa.Table, time: NDArray[np.int64], sides: tuple[str, ...]
) -> dict[str, tuple[float, ...]]:
    """Return the funding intervals of each instrument in order of time, each change once."""
    venues = pa.chunked_array([_one(rows[f"{side}exchange"].cast(pa.string())) for side in sides])
    venue, symbol = (
        pc.dictionary_encode(_one(venues)),
        pc.dictionary_encode(_one(rows["symbol"].cast(pa.string()))),
    )
    symbols, of_symbol = symbol.dictionary.to_pylist(), symbol.indices.to_numpy()
    who = venue.indices.to_numpy().astype(np.int64) * len(symbols) + np.tile(of_symbol, len(sides))
    called = venue.dictionary.to_pylist()
    every = np.concatenate([rows[f"{side}funding_interval_hours"].to_numpy() for side in sides])
    known = np.flatnonzero(~np.isnan(every))
    who, every, when = who[known], every[known], np.tile(time, len(sides))[known]
    # Nearly all keep one interval for a day; only the others have to be put in order of time.
    n = len(called) * len(symbols)
    least, most = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(least, who, every)
    np.maximum.at(most, who, every)
    steps = {of: [hours] for of, hours in enumerate(least.tolist()) if hours < np.inf}
    moved = np.flatnonzero((least < most)[who])
    moved = moved[np.lexsort((when[moved], who[moved]))]
    for of in np.unique(who[moved]).tolist():
        steps[of] = []
    for of, interval in zip(who[moved].tolist(), every[moved].tolist(), strict=True):
        if steps[of][-1:] != [interval]:
            steps[of].append(interval)
    found = {}
    for of, intervals in steps.items():
        at_venue, symbol_of = divmod(of, len(symbols))
        found[f"{called[at_venue]} {symbols[symbol_of]}"] = tuple(intervals)
    return found


def _one(column: Any) -> Any:
    """Return a column as one array."""
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
