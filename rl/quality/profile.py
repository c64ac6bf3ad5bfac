"""A table of a data set from its day files: totals, and what is worth seeing day by day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rl.market.arrays import I64
from rl.market.rows import HOUR_US
from rl.quality.day import DayFacts, add_up, describe_day
from schemas.columns import TIME_COLUMN, TableName

MOST_SYMBOLS: Final = 24
FEW_DAYS: Final = 4  # of which symbols are shown by hour
_BATCH_ROWS: Final = 1 << 18


@dataclass(frozen=True)
class DayFile:
    """A day's clean rows of one table.

    Attributes:
        day: YYYY-MM-DD.
        path: Its Parquet file.
    """

    day: str
    path: Path

    @property
    def first_hour(self) -> int:
        """The day's first full hour, in hours since 1970."""
        return int(np.datetime64(self.day, "h").astype(np.int64))


Describe = Callable[[DayFile], DayFacts]


@dataclass(frozen=True)
class Profile:
    """A table of a data set.

    Attributes:
        table: Which.
        days: (D,) days that have rows.
        total: The facts of all of them.
        nulls: Column -> (D,) share of rows without a value.
        venues: Venue -> (D,) rows that show it.
        moments: (M,) what the columns of `symbols` are of: days, or hours where there are few days.
        symbols: The most frequent symbols, most frequent first -> (M,) rows.
    """

    table: TableName
    days: tuple[str, ...]
    total: DayFacts
    nulls: dict[str, list[float]]
    venues: dict[str, list[int]]
    moments: tuple[str, ...]
    symbols: dict[str, list[int]]


def profile(
    files: Sequence[DayFile], table: TableName, symbols: Sequence[str], describe: Describe
) -> Profile:
    """Read a table's days one after the other.

    Args:
        files: At least one, in the order of time.
        table: Which table.
        symbols: The most frequent ones, which are followed from day to day.
        describe: Returns the facts of a whole day.
    """
    total = DayFacts()
    lights: list[DayFacts] = []
    for file in files:
        facts = describe(file)
        total = add_up([total, facts])
        kept = {name: facts.symbols.get(name, 0) for name in symbols}
        lights.append(DayFacts(rows=facts.rows, columns=facts.columns, venues=facts.venues, symbols=kept))
    days = tuple(file.day for file in files)
    by_day = {name: [day.symbols[name] for day in lights] for name in symbols}
    moments = days
    if len(files) <= FEW_DAYS:
        moments, by_day = _by_hour(files, table, symbols)
    return Profile(
        table=table,
        days=days,
        total=total,
        nulls={
            name: [day.columns[name].nulls / day.rows if name in day.columns else 1.0 for day in lights]
            for name in total.columns
        },
        venues={name: [day.venues.get(name, 0) for day in lights] for name in total.venues},
        moments=moments,
        symbols=by_day,
    )


def of_hours(files: Iterable[DayFile], first: int, end: int, describe: Describe) -> DayFacts:
    """Return the facts of the opportunity rows that belong to the full hours [first, end).

    Args:
        files: All days, in any order.
        first: In hours since 1970.
        end: The hour after the last.
        describe: Returns the facts of a whole day; days at the edges are read anew.
    """
    total = DayFacts()
    for file in files:
        if file.first_hour + 24 < first or file.first_hour >= end:
            continue
        # A row after 23:00 belongs to the next day's first hour.
        if first <= file.first_hour and file.first_hour + 24 < end:
            facts = describe(file)
        else:
            facts = describe_day(file.path, "opportunities", (first, end))
        total = add_up([total, facts])
    return total


def _by_hour(
    files: Sequence[DayFile], table: TableName, symbols: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, list[int]]]:
    """Return every hour from the first day's first to the last day's last, and each symbol's rows by hour.

    A row is shown in the hour it was seen in.
    """
    start = files[0].first_hour
    n = files[-1].first_hour + 24 - start
    counts: dict[str, I64] = {name: np.zeros(n, dtype=np.int64) for name in symbols}
    for file in files:
        with pq.ParquetFile(file.path) as parquet:
            for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=["symbol", TIME_COLUMN[table]]):
                hour = batch.column(1).cast("int64").to_numpy() // HOUR_US - start
                for name in symbols:
                    mine = pc.equal(batch.column(0), name).to_numpy(zero_copy_only=False)
                    counts[name] += np.bincount(hour[mine], minlength=n)
    hours = np.arange(n) + np.datetime64(start, "h")
    moments = np.datetime_as_string(hours, unit="h").tolist()
    return tuple(moments), {name: found.tolist() for name, found in counts.items()}
