"""Rows that break a rule, with the file and line they stand on and the text that broke it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.columns import COLUMNS, TableName
from schemas.errors import DataError
from schemas.ingest.read import RawTable
from schemas.ingest.sources import SourceFile
from schemas.tables import ROW_RULES, RULES

QUARANTINE_COLUMNS: Final = ("file", "row", "table", "column", "rule", "value")
_LONGEST_VALUE: Final = 200
_SCHEMA: Final = pa.schema(
    [pa.field(name, pa.int64() if name == "row" else pa.string()) for name in QUARANTINE_COLUMNS]
)


@dataclass(frozen=True)
class Origins:
    """Where each row of a table came from; position p counts the rows of all files, in order.

    Attributes:
        table: The table.
        files: Its files, in the order of their rows.
        raws: The files' rows as text.
    """

    table: TableName
    files: tuple[SourceFile, ...]
    raws: tuple[RawTable, ...]

    @property
    def starts(self) -> NDArray[np.int64]:
        """(files + 1,) position of each file's first row; the last is the number of rows."""
        return np.concatenate([[0], np.cumsum([raw.text.num_rows for raw in self.raws])]).astype(np.int64)

    @property
    def rows_in(self) -> int:
        """Rows of the files, those that could not be split into fields included."""
        return int(self.starts[-1]) + sum(len(raw.broken) for raw in self.raws)

    def texts(self, file: int, rows: NDArray[np.int64], column: str) -> list[str]:
        """Return the text of a column at some rows of a file, as it stands there."""
        raw = self.raws[file]
        position = raw.header.found.get(column)
        if position is None:
            return [""] * len(rows)
        return list(raw.text.column(position).take(pa.array(rows)).to_pylist())


def quarantine_table(origins: Origins, broken: pd.DataFrame) -> pd.DataFrame:
    """List every rule that a row breaks.

    Args:
        origins: Where the rows came from.
        broken: Columns position, column, rule; a row may break several.

    Returns:
        One line per row and rule: file, row (line number in the file), table, column, rule, value.
    """
    starts = origins.starts
    file_of = np.searchsorted(starts, broken["position"].to_numpy(dtype=np.int64), side="right") - 1
    parts = [_whole_lines(origins)]
    broken = broken.assign(file=file_of)
    kinds = broken[["file", "column", "rule"]].drop_duplicates()
    for file, column, rule in zip(kinds["file"], kinds["column"], kinds["rule"], strict=True):
        same = (broken["file"] == file) & (broken["column"] == column) & (broken["rule"] == rule)
        group = broken[same]
        rows = group["position"].to_numpy(dtype=np.int64) - starts[file]
        if rule in ROW_RULES:
            shown = ROW_RULES[rule][1]
            texts = zip(*(origins.texts(file, rows, name) for name in shown), strict=True)
            values = [", ".join(f"{n} {v}" for n, v in zip(shown, text, strict=True)) for text in texts]
        else:
            values = origins.texts(file, rows, column)
        lines = origins.raws[file].line[rows]
        parts.append(_lines(file, lines, column, rule.partition(":")[0], values))
    listed = pd.concat(parts, ignore_index=True)
    order = {column.name: place for place, column in enumerate(COLUMNS[origins.table])}
    listed["place"] = listed["column"].map(order).fillna(-1)
    listed = listed.sort_values(["file", "row", "place", "rule"], kind="stable", ignore_index=True)
    listed["file"] = [origins.files[file].name for file in listed["file"]]
    listed["table"] = origins.table
    listed["value"] = [
        v if len(v) <= _LONGEST_VALUE else v[: _LONGEST_VALUE - 1] + "…" for v in listed["value"]
    ]
    return listed[list(QUARANTINE_COLUMNS)]


def _whole_lines(origins: Origins) -> pd.DataFrame:
    found = [(file, line) for file, raw in enumerate(origins.raws) for line in raw.broken]
    return pd.DataFrame(
        {
            "file": np.array([file for file, _ in found], dtype=np.int64),
            "row": np.array([line.line for _, line in found], dtype=np.int64),
            "column": "",
            "rule": [line.rule for _, line in found],
            "value": [line.text for _, line in found],
        }
    )


def _lines(file: int, lines: NDArray[np.int64], column: str, rule: str, values: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"file": file, "row": lines, "column": column, "rule": rule, "value": values})


def require_mostly_good(origins: Origins, listed: pd.DataFrame, max_bad_fraction: float) -> None:
    """Refuse a table of which too many rows are bad.

    Args:
        origins: Where the rows came from.
        listed: The quarantined rows, as `quarantine_table` lists them.
        max_bad_fraction: Largest share of rows that may be quarantined.

    Raises:
        DataError: More rows than that are bad, or all of them.
    """
    bad, rows = len(listed[["file", "row"]].drop_duplicates()), origins.rows_in
    if not bad or (bad < rows and bad <= max_bad_fraction * rows):
        return
    worst = str(listed["rule"].value_counts().sort_index().idxmax())
    of_worst = listed[listed["rule"] == worst]
    first = of_worst.iloc[0]
    path = next(file.path for file in origins.files if file.name == first["file"])
    column = f", column {first['column']!r}" if first["column"] else ""
    value = first["value"] if len(first["value"]) <= 60 else first["value"][:57] + "..."
    allowed = "none is left" if bad == rows else f"more than the {max_bad_fraction:.3g} allowed"
    raise DataError(
        f"{bad} of {rows} rows of {origins.table} break a rule ({bad / rows:.1%}), {allowed}; "
        f"the most frequent rule: {RULES[worst]} ({len(of_worst)} rows, the first here with {value!r}).",
        f"{path}{column}, row {first['row']}",
        "Mend or remove these rows" + (", or raise max_bad_fraction." if bad < rows else "."),
    )


def write_quarantine(path: Path, listed: pd.DataFrame) -> None:
    """Write quarantined rows as Parquet; the file is there also when no row is bad."""
    columns = {name: pa.array(listed[name].tolist(), _SCHEMA.field(name).type) for name in QUARANTINE_COLUMNS}
    pq.write_table(pa.table(columns, schema=_SCHEMA), path, compression="zstd")
