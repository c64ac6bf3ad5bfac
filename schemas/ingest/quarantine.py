"""Rows that break a rule, with the file and line they stand on and the text that broke it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.columns import COLUMNS, Header, TableName
from schemas.ingest.read import TextRows
from schemas.tables import ROW_RULES

QUARANTINE_COLUMNS: Final = ("file", "row", "table", "column", "rule", "value")
_LONGEST_VALUE: Final = 200
_SCHEMA: Final = pa.schema(
    [pa.field(name, pa.int64() if name == "row" else pa.string()) for name in QUARANTINE_COLUMNS]
)
_BROKEN: Final = pa.schema([_SCHEMA.field(name) for name in ("row", "column", "rule", "value")])
_ROW_GROUP: Final = 1 << 16


def list_broken(rows: TextRows, header: Header, table: TableName, broken: pd.DataFrame) -> pa.Table:
    """List every rule that a row breaks.

    Args:
        rows: The rows as text.
        header: What stands at which position of them.
        table: The table they are of.
        broken: Columns position, column, rule; a row may break several.

    Returns:
        One line per row and rule, in order: row (its line, from 0, of the lines read), column, rule, value.
    """
    order = {column.name: place for place, column in enumerate(COLUMNS[table])}
    lines = [line.line for line in rows.broken]
    parts = [_part(lines, "", [b.rule for b in rows.broken], pa.array([b.text for b in rows.broken]))]
    places = [np.full(len(lines), -1)]
    for kind, group in broken.groupby(["column", "rule"], sort=False):
        column, rule = map(str, kind)
        position = group["position"].to_numpy(dtype=np.int64)
        shown = ROW_RULES[rule][1] if rule in ROW_RULES else (column,)
        texts = [_texts(rows, header, name, position) for name in shown]
        if len(texts) > 1:
            named = [
                pc.binary_join_element_wise(name, text, " ") for name, text in zip(shown, texts, strict=True)
            ]
            texts = [pc.binary_join_element_wise(*named, ", ")]
        parts.append(_part(rows.line[position], column, rule.partition(":")[0], texts[0]))
        places.append(np.full(len(position), order[column]))
    listed = pa.concat_tables(parts)
    rule_rank = np.unique(listed["rule"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1]
    by = np.lexsort((rule_rank, np.concatenate(places), listed["row"].to_numpy()))
    return listed.take(pa.array(by)).combine_chunks()


def _texts(rows: TextRows, header: Header, column: str, position: Any) -> Any:
    """Return the text of a column at some rows, as it stands there."""
    at = header.found.get(column)
    if at is None:
        return pa.array([""] * len(position), pa.string())
    return pc.fill_null(rows.text.column(at).take(pa.array(position)).combine_chunks(), "")


def _part(lines: Any, column: str, rule: str | list[str], values: Any) -> pa.Table:
    count = len(lines)
    values = values.cast(pa.string())
    long = pc.greater(pc.utf8_length(values), _LONGEST_VALUE)
    cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(values, 0, _LONGEST_VALUE - 1), "…", "")
    rules = pa.array([rule] * count if isinstance(rule, str) else rule, pa.string())
    return pa.table(
        [
            pa.array(lines, pa.int64()),
            pa.array([column] * count, pa.string()),
            rules,
            pc.if_else(long, cut, values),
        ],
        schema=_BROKEN,
    )


def read_listed(path: Path, file: str, table: TableName, first_line: int) -> Iterator[pa.Table]:
    """Yield the lines that `list_broken` made of a part of a file, as they stand in the quarantine.

    Args:
        path: Where they were written as Parquet.
        file: Name of the file.
        table: The table it is of.
        first_line: Its line number of the part's first line.
    """
    with pq.ParquetFile(path) as listed:
        for batch in listed.iter_batches(_ROW_GROUP):
            count = batch.num_rows
            columns = {
                "file": pa.array([file] * count, pa.string()),
                "row": pc.add(batch["row"], first_line),
                "table": pa.array([table] * count, pa.string()),
                **{name: batch[name] for name in ("column", "rule", "value")},
            }
            yield pa.table(columns, schema=_SCHEMA)


def write_quarantine(path: Path, listed: Iterable[pa.Table]) -> None:
    """Write quarantined rows as Parquet; the file is there also when no row is bad.

    Row groups are of one size, so that the bytes do not depend on the parts that the rows come in.
    """
    with pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer:
        held = _SCHEMA.empty_table()
        for part in listed:
            held = pa.concat_tables([held, part])
            while held.num_rows >= _ROW_GROUP:
                writer.write_table(held.slice(0, _ROW_GROUP).combine_chunks())
                held = held.slice(_ROW_GROUP)
        if held.num_rows or path.stat().st_size == 0:
            writer.write_table(held.combine_chunks())
