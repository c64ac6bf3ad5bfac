"""What one day's file of clean rows looks like, read in batches, in a form that days add up in.

facts.json         rows, nulls and ends of each column, venues, symbols, rows by hour
sketches.parquet   the sketch of every number column, and of what a policy sees of a row
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rl.market.arrays import F64, I64
from rl.market.rows import HOUR_US
from rl.quality.sketch import Sketch, empty, merge, sketch
from schemas.columns import TIME_COLUMN, TableName

FACTS: Final = "facts.json"
SKETCHES: Final = "sketches.parquet"
_BATCH_ROWS: Final = 1 << 18
_LONGEST_TEXT: Final = 60
_PER_8H: Final = 800.0  # a fraction per hour as percent per 8 h

# What a policy sees of a row and no column says by itself; `@` parts it by venue, both sides together.
LEG_SPREAD: Final = "leg_spread"
RATE_AT: Final = "rate_8h@"
INTERVAL_AT: Final = "interval_hours@"
_MOST_VENUES: Final = 40  # of a day that have a sketch of their own


@dataclass(frozen=True)
class ColumnDay:
    """A column's rows of a day: how many are null, and its ends as a person reads them."""

    nulls: int
    low: str | None
    high: str | None


@dataclass(frozen=True)
class DayFacts:
    """The rows of one table and one UTC day, or a part of it.

    Attributes:
        rows: How many.
        columns: Facts of every column of the file, by name.
        sketches: Of every number column, and of what `_derived` works out.
        venues: Venue -> rows that show it, on either side.
        seen: Venue -> time of its newest row, UTC epoch microseconds.
        symbols: Symbol -> rows.
        hours: Full hour at or after a row, in hours since 1970 -> rows.
    """

    rows: int = 0
    columns: dict[str, ColumnDay] = field(default_factory=dict)
    sketches: dict[str, Sketch] = field(default_factory=dict)
    venues: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    hours: dict[int, int] = field(default_factory=dict)


def describe_day(path: Path, table: TableName, hours: tuple[int, int] | None = None) -> DayFacts:
    """Describe a day's file in memory that does not grow with it.

    Args:
        path: The Parquet file.
        table: What it is of.
        hours: Only rows that belong to these full hours, [first, end) in hours since 1970; None is all.
    """
    parts = []
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            rows = pa.table(batch)
            if hours is not None:
                hour = _hour(rows, table)
                rows = rows.filter(pa.array((hour >= hours[0]) & (hour < hours[1])))
            if rows.num_rows:
                parts.append(_describe(rows, table))
    return add_up(parts)


def add_up(parts: Sequence[DayFacts]) -> DayFacts:
    """Return the facts of all rows together; a column that a part lacks is null there."""
    rows = sum(part.rows for part in parts)
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    columns = {}
    for name in names:
        found = [part.columns[name] for part in parts if name in part.columns]
        lacking = sum(part.rows for part in parts if name not in part.columns)
        lows, highs = [one.low for one in found], [one.high for one in found]
        columns[name] = ColumnDay(
            lacking + sum(one.nulls for one in found),
            min((low for low in lows if low is not None), default=None),
            max((high for high in highs if high is not None), default=None),
        )
    sketched = list(dict.fromkeys(name for part in parts for name in part.sketches))
    return DayFacts(
        rows=rows,
        columns=columns,
        sketches={
            name: merge([part.sketches.get(name, _without(part, name)) for part in parts])
            for name in sketched
        },
        venues=_sums(part.venues for part in parts),
        seen=_newest([part.seen for part in parts]),
        symbols=_sums(part.symbols for part in parts),
        hours=_sums(part.hours for part in parts),
    )


def write_facts(facts: DayFacts, folder: Path) -> None:
    """Write facts into a folder; equal facts give equal bytes."""
    said = {
        "rows": facts.rows,
        "columns": {name: vars(one) for name, one in facts.columns.items()},
        "ends": {name: [one.nulls, one.low, one.high] for name, one in facts.sketches.items()},
        "venues": facts.venues,
        "seen": facts.seen,
        "symbols": facts.symbols,
        "hours": facts.hours,
    }
    (folder / FACTS).write_text(json.dumps(said, allow_nan=False) + "\n", encoding="utf-8")
    sketches = facts.sketches
    table = pa.table(
        {
            "column": pa.array(
                [name for name, one in sketches.items() for _ in one.keys], type=pa.string()
            ).dictionary_encode(),
            "bucket": pa.array(_joined([one.keys for one in sketches.values()])),
            "rows": pa.array(_joined([one.counts for one in sketches.values()])),
            "least": pa.array(np.concatenate([np.zeros(0), *(one.least for one in sketches.values())])),
        }
    )
    pq.write_table(table, folder / SKETCHES, compression="zstd")


def read_facts(folder: Path) -> DayFacts:
    """Read what `write_facts` wrote.

    Raises:
        OSError: A file is missing or not what it was.
    """
    said: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    table = pq.read_table(folder / SKETCHES, partitioning=None)
    owners = table["column"].combine_chunks()
    lengths = np.bincount(owners.indices.to_numpy(zero_copy_only=False), minlength=len(owners.dictionary))
    ends = dict(zip(owners.dictionary.to_pylist(), np.cumsum(lengths).tolist(), strict=True))
    sizes = dict(zip(owners.dictionary.to_pylist(), lengths.tolist(), strict=True))
    bucket, counts, least = (table[name].to_numpy() for name in ("bucket", "rows", "least"))
    sketches = {}
    for name, (nulls, low, high) in said["ends"].items():
        mine = slice(ends.get(name, 0) - sizes.get(name, 0), ends.get(name, 0))
        sketches[name] = Sketch(bucket[mine], counts[mine], least[mine], nulls, low, high)
    return DayFacts(
        rows=said["rows"],
        columns={name: ColumnDay(**one) for name, one in said["columns"].items()},
        sketches=sketches,
        venues=said["venues"],
        seen=said["seen"],
        symbols=said["symbols"],
        hours={int(hour): rows for hour, rows in said["hours"].items()},
    )


def _describe(rows: pa.Table, table: TableName) -> DayFacts:
    columns, numbers = {}, {}
    for name in rows.column_names:
        column = rows[name]
        columns[name] = _column(column)
        if pa.types.is_floating(column.type):
            numbers[name] = np.asarray(column.to_numpy(), dtype=np.float64)
    sketches = {name: sketch(values) for name, values in numbers.items()}
    if table == "opportunities":
        sketches |= _derived(rows, numbers)
    time = _times(rows, table)
    sides = ("long_exchange", "short_exchange") if table == "opportunities" else ("exchange",)
    venues: Counter[str] = Counter()
    seen: list[dict[str, int]] = []
    for side in sides:
        names, place = _coded(rows[side])
        newest = np.full(len(names), time.min())
        np.maximum.at(newest, place, time)
        venues.update(dict(zip(names, np.bincount(place).tolist(), strict=True)))
        seen.append(dict(zip(names, newest.tolist(), strict=True)))
    hours, counts = np.unique(_hour(rows, table), return_counts=True)
    symbols = pc.value_counts(rows["symbol"])
    return DayFacts(
        rows=rows.num_rows,
        columns=columns,
        sketches=sketches,
        venues=dict(sorted(venues.items())),
        seen=_newest(seen),
        symbols=dict(sorted((str(one["values"]), one["counts"]) for one in symbols.to_pylist())),
        hours=dict(zip(hours.tolist(), counts.tolist(), strict=True)),
    )


def _derived(rows: pa.Table, numbers: Mapping[str, F64]) -> dict[str, Sketch]:
    """Return the sketches of what a policy sees of a row and no column says; rates in percent per 8 h."""
    long, short = numbers["entry_long_price"], numbers["entry_short_price"]
    with np.errstate(over="ignore", invalid="ignore"):  # a price may be as large as numbers go
        found = {LEG_SPREAD: sketch(200.0 * (short - long) / (short + long))}
    sides = ("long", "short")
    legs = [chunk.cast(pa.large_string()) for side in sides for chunk in rows[f"{side}_exchange"].chunks]
    names, venue = _coded(pa.chunked_array(legs))
    hours = np.concatenate([numbers[f"{side}_funding_interval_hours"] for side in sides])
    rate = _PER_8H * np.concatenate([numbers[f"{side}_funding_rate"] for side in sides]) / hours
    for code in np.argsort(-np.bincount(venue), kind="stable")[:_MOST_VENUES].tolist():
        name, here = names[code], venue == code
        found[f"{RATE_AT}{name}"] = sketch(rate[here])
        found[f"{INTERVAL_AT}{name}"] = sketch(hours[here])
    return dict(sorted(found.items()))


def _coded(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Return the names in a column and each row's place among them; one of megabytes is held once."""
    coded = column.combine_chunks().dictionary_encode()
    return coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _column(column: pa.ChunkedArray) -> ColumnDay:
    if pa.types.is_floating(column.type):  # the sketch has its ends
        return ColumnDay(column.null_count, None, None)
    if pa.types.is_timestamp(column.type):
        column = pc.strftime(column.cast(pa.timestamp("s", tz="UTC"), safe=False), format="%Y-%m-%d %H:%M:%S")
    ends = pc.min_max(column)
    low, high = (_shortened(ends[end].as_py()) for end in ("min", "max"))
    return ColumnDay(column.null_count, low, high)


def _shortened(text: str | None) -> str | None:
    if text is None or len(text) <= _LONGEST_TEXT:
        return text
    return text[: _LONGEST_TEXT - 1] + "…"


def _times(rows: pa.Table, table: TableName) -> I64:
    return np.asarray(rows[TIME_COLUMN[table]].cast(pa.int64()).to_numpy())


def _hour(rows: pa.Table, table: TableName) -> I64:
    """Return the full hour at or after each row: the first that may know it."""
    return np.asarray(-(-_times(rows, table) // HOUR_US))


def _without(part: DayFacts, name: str) -> Sketch:
    """Return the sketch of a column that a part lacks: null in each row; of a venue it lacks: no row."""
    return empty(0 if "@" in name else part.rows)


def _joined(parts: Sequence[NDArray[np.int64]]) -> I64:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _sums(parts: Any) -> dict[Any, int]:
    total: Counter[Any] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def _newest(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for name, time in part.items():
            found[name] = max(time, found.get(name, time))
    return dict(sorted(found.items()))
