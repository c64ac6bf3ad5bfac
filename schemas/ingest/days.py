"""Clean rows as one Parquet file per UTC day.

The same rows give the same bytes, whatever the other days hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.columns import COLUMNS, TIME_COLUMN, TableName, names
from schemas.ingest.clean import micros
from schemas.tables import TEXT_DTYPE, TIME_DTYPE

_DAY_US: Final = 86_400 * 1_000_000
_ARROW_TYPES: Final = {"time": pa.timestamp("us", tz="UTC"), "number": pa.float64()}


def day_numbers(frame: pd.DataFrame, table: TableName) -> NDArray[np.int64]:
    """Return the UTC day of each row, in days since 1970-01-01."""
    return micros(frame[TIME_COLUMN[table]]) // _DAY_US


def day_rows(frame: pd.DataFrame, table: TableName) -> dict[str, int]:
    """Return how many rows each UTC day has, by `YYYY-MM-DD`; days without rows are left out."""
    days, counts = np.unique(day_numbers(frame, table), return_counts=True)
    written = np.datetime_as_string(days.astype("datetime64[D]"), unit="D")
    return dict(zip(written.tolist(), counts.tolist(), strict=True))


def write_days(frame: pd.DataFrame, table: TableName, folder: Path) -> dict[str, int]:
    """Write one file per UTC day that has rows.

    Rows keep the order of the data set. An extra column is in the files of those days that have a
    value in it, so that a day's bytes do not depend on the columns of other days.

    Args:
        frame: Clean rows.
        table: The table they are of.
        folder: Where `YYYY-MM-DD.parquet` go; created.

    Returns:
        Day -> number of rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    order = np.argsort(day_numbers(frame, table), kind="stable")
    columns = _arrow_table(frame, table).take(pa.array(order)).combine_chunks()
    start = 0
    rows = day_rows(frame, table)
    for day, count in rows.items():
        _write_day(columns.slice(start, count), table, folder / f"{day}.parquet")
        start += count
    return rows


def _arrow_table(frame: pd.DataFrame, table: TableName) -> pa.Table:
    """Return the frame without pandas metadata, which would record the frame's index."""
    kinds = {column.name: column.kind for column in COLUMNS[table]}
    extra = sorted(name for name in frame.columns if name not in kinds)
    ordered = (*names(table), *extra)
    types = [(name, _ARROW_TYPES.get(kinds.get(name, "symbol"), pa.string())) for name in ordered]
    arrays = [pa.array(frame[name].array, type=kind, from_pandas=True) for name, kind in types]
    return pa.Table.from_arrays(arrays, schema=pa.schema(types))


def _write_day(rows: pa.Table, table: TableName, path: Path) -> None:
    canonical = names(table)
    kept = [name for name in rows.column_names if name in canonical or rows[name].null_count < rows.num_rows]
    rows = rows.select(kept)
    pq.write_table(rows, path, compression="zstd", compression_level=3, version="2.6", row_group_size=1 << 20)


def read_day(dataset: Path, table: TableName, day: str) -> pd.DataFrame:
    """Read the clean rows of a day; none, with the right types, where the data set has no such day.

    Args:
        dataset: A folder written by `build_dataset`.
        table: `opportunities` or `history`.
        day: `YYYY-MM-DD`, UTC.
    """
    path = dataset / table / f"{day}.parquet"
    if path.exists():
        return pq.read_table(path, partitioning=None).to_pandas()  # type: ignore[no-any-return]
    dtypes: dict[str, Any] = {"time": TIME_DTYPE, "number": np.dtype("float64")}
    return pd.DataFrame({c.name: pd.Series(dtype=dtypes.get(c.kind, TEXT_DTYPE)) for c in COLUMNS[table]})
