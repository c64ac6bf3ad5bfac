"""Columns of numpy arrays as Parquet files whose bytes depend on their content alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]


def write_columns(path: Path, columns: dict[str, Any], metadata: dict[str, int] | None = None) -> None:
    """Write a table in one atomic step.

    Args:
        path: The file; its folder exists.
        columns: Equally long columns. Objects are written as text, datetime64 as UTC times (NaT is null),
            rows of a 2-D array as lists of fixed size; NaN stays NaN and is not null. What is an Arrow array
            already is written as it is.
        metadata: Whole numbers to keep beside the table.
    """
    table = pa.table({name: _to_arrow(column) for name, column in columns.items()})
    table = table.replace_schema_metadata({key: str(value) for key, value in (metadata or {}).items()})
    partial = path.with_name(path.name + ".partial")
    pq.write_table(table, partial, compression="zstd", row_group_size=1 << 20)
    os.replace(partial, path)  # noqa: PTH105  (Path.replace is the same call)


def read_columns(path: Path) -> tuple[Columns, dict[str, int]]:
    """Read a table back, bit for bit.

    Raises:
        OSError: The file is not there or not Parquet.
    """
    table = pq.read_table(path, use_threads=False, memory_map=False)
    stored = table.schema.metadata or {}
    columns = {name: _to_numpy(table.column(name)) for name in table.column_names}
    return columns, {
        key.decode(): int(value) for key, value in stored.items() if not key.startswith(b"ARROW")
    }


def repeated_names(names: NDArray[Any], times: int) -> pa.Array:
    """Return names, all of them so many times over, as the text that `write_columns` would make of them."""
    coded = pa.array(names, type=pa.string()).dictionary_encode()
    codes = np.tile(coded.indices.to_numpy(), times)
    return pa.DictionaryArray.from_arrays(pa.array(codes), coded.dictionary)


def _to_arrow(column: NDArray[Any] | pa.Array) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    if column.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(pa.array(column.ravel()), column.shape[1])
    if column.dtype == object:
        return pa.array(column, type=pa.string()).dictionary_encode()
    if column.dtype.kind == "M":
        return pa.array(column).cast(pa.timestamp("us", tz="UTC"))
    return pa.array(column)


def _to_numpy(column: pa.ChunkedArray) -> NDArray[Any]:
    array = column.combine_chunks()
    if pa.types.is_fixed_size_list(array.type):
        return np.asarray(array.flatten().to_numpy(zero_copy_only=False)).reshape(-1, array.type.list_size)
    if pa.types.is_dictionary(array.type):
        words = np.array([*array.dictionary.to_pylist(), None], dtype=object)[:-1]
        return np.asarray(words[array.indices.to_numpy(zero_copy_only=False)])
    if pa.types.is_timestamp(array.type):
        return np.asarray(array.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False))
    return np.asarray(array.to_numpy(zero_copy_only=False))
