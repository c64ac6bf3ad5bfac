"""Clean rows as one Parquet file per UTC day.

The same rows give the same bytes, whatever the other days hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
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


def day_names(days: NDArray[np.int64]) -> list[str]:
    """Return days since 1970-01-01 as `YYYY-MM-DD`."""
    return [str(day) for day in np.datetime_as_string(days.astype("datetime64[D]"), unit="D")]


def day_path(folder: Path, table: TableName, day: str) -> Path:
    """Return where a data set keeps a day's rows of a table."""
    return folder / table / f"{day}.parquet"


def write_day(rows: pa.Table, table: TableName, path: Path) -> None:
    """Write a day's clean rows in the order they have.

    An extra column is in the files of those days that have a value in it, so that a day's bytes do not
    depend on the columns of other days.

    Args:
        rows: The table's columns and extra ones; text may be coded, NaN is null.
        table: The table they are of.
        path: The file; its folder exists.
    """
    kinds = {column.name: column.kind for column in COLUMNS[table]}
    canonical = names(table)
    extra = sorted(
        name for name in rows.column_names if name not in kinds and rows[name].null_count < len(rows)
    )
    columns, types = [], []
    for name in (*canonical, *extra):
        kind = _ARROW_TYPES.get(kinds.get(name, "symbol"), pa.string())
        column = rows[name]
        if kinds.get(name) == "number":
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        columns.append(column.cast(kind))
        types.append(pa.field(name, kind))
    pq.write_table(
        pa.Table.from_arrays(columns, schema=pa.schema(types)),
        path, compression="zstd", compression_level=1, version="2.6", row_group_size=1 << 20,
        # Few prices are equal: a dictionary of them takes longer and more room.
        use_dictionary=[f.name for f in types if f.type != pa.float64() or f.name.endswith("interval_hours")],
    )  # fmt: skip


def read_day(dataset: Path, table: TableName, day: str) -> pd.DataFrame:
    """Read the clean rows of a day; none, with the right types, where the data set has no such day.

    Args:
        dataset: A folder written by `build_dataset`.
        table: `opportunities` or `history`.
        day: `YYYY-MM-DD`, UTC.
    """
    path = day_path(dataset, table, day)
    if path.exists():
        return pq.read_table(path, partitioning=None).to_pandas()  # type: ignore[no-any-return]
    dtypes: dict[str, Any] = {"time": TIME_DTYPE, "number": np.dtype("float64")}
    return pd.DataFrame({c.name: pd.Series(dtype=dtypes.get(c.kind, TEXT_DTYPE)) for c in COLUMNS[table]})
