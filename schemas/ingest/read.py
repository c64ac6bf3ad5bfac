"""A CSV file on disk -> its header and its rows as text, with the line each row stands on.

Nothing is interpreted here; whatever keeps a file from being read as a table is a DataError.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from schemas.columns import Header, TableName
from schemas.errors import DataError
from schemas.ingest.headers import match_columns, read_file, require_text, split_header


@dataclass(frozen=True)
class BrokenLine:
    """A line that is no row of the table: it is quarantined as a whole.

    Attributes:
        line: Line number in the file, from 1.
        rule: The rule it breaks.
        text: The line as it stands.
    """

    line: int
    rule: str
    text: str


@dataclass(frozen=True)
class RawTable:
    """The rows of one file, as text.

    Attributes:
        header: The file's header, matched with its table.
        text: One string column per header position, named by that position; (n rows).
        line: (n,) line number in the file, from 1; the header of a tidy file is line 1.
        broken: Lines with too many or too few fields, or a quote that is not closed.
        blank: Lines without any value; they are no rows.
        sha256: Of the file's bytes on disk.
        size: Bytes on disk.
    """

    header: Header
    text: pa.Table
    line: NDArray[np.int64]
    broken: tuple[BrokenLine, ...]
    blank: int
    sha256: str
    size: int


def read_table(path: Path, table: TableName) -> RawTable:
    """Read all rows of a file as text.

    Raises:
        DataError: The file cannot be read, is empty, is not text, has other columns or has no rows.
    """
    on_disk, content = read_file(path)
    require_text(path, content, whole=True)
    header_line, body, first_line = split_header(path, content)
    width, header = match_columns(path, header_line, table)
    if not body.strip():
        raise DataError("has a header and no rows.", str(path), "Give a file with at least one row.")
    kept, numbers, unclosed = _without_open_quotes(body)
    text, line, misfits = _parse_csv(path, kept, width)
    if numbers is not None:  # lines were taken out: number the rest as they stand in the file
        line, misfits = numbers[line - 1], [(int(numbers[n - 1]), t) for n, t in misfits]
    text, line, blank = _without_blanks(text, line)
    broken = [BrokenLine(n + first_line, "wrong_field_count", t) for n, t in misfits]
    broken += [BrokenLine(n + first_line, "quote_not_closed", t) for n, t in unclosed]
    if not text.num_rows and not broken:
        raise DataError("has a header and no rows.", str(path), "Give a file with at least one row.")
    return RawTable(
        header=header,
        text=text,
        line=line + first_line,
        broken=tuple(sorted(broken, key=lambda b: b.line)),
        blank=blank,
        sha256=hashlib.sha256(on_disk).hexdigest(),
        size=len(on_disk),
    )


def _without_open_quotes(body: bytes) -> tuple[bytes, NDArray[np.int64] | None, list[tuple[int, str]]]:
    """Take out lines with an odd number of quotes: one of them would swallow the lines after it."""
    if b'"' not in body:
        return body, None, []
    lines = body.splitlines()
    odd = [i for i, line in enumerate(lines) if line.count(b'"') % 2]
    if not odd:
        return body, None, []
    gone = set(odd)
    kept = [i for i in range(len(lines)) if i not in gone]
    text = b"\n".join(lines[i] for i in kept)
    return text, np.array(kept, dtype=np.int64) + 1, [(i + 1, lines[i].decode()) for i in odd]


def _parse_csv(
    path: Path, body: bytes, width: int
) -> tuple[pa.Table, NDArray[np.int64], list[tuple[int, str]]]:
    """Split lines into fields; returns the table, the line in `body` of each row, and the misfits."""
    misfits: list[tuple[int, str]] = []

    def set_aside(row: Any) -> str:
        misfits.append((int(row.number), str(row.text)))
        return "skip"

    names = [str(position) for position in range(width)]
    if not body.strip():
        empty = pa.table({name: pa.array([], pa.string()) for name in names})
        return empty, np.empty(0, dtype=np.int64), []
    try:
        text = arrow_csv.read_csv(
            pa.BufferReader(body),
            # One thread: only then do misfits know their line.
            read_options=arrow_csv.ReadOptions(use_threads=False, column_names=names),
            # Empty lines are kept for now, so that rows keep their line numbers.
            parse_options=arrow_csv.ParseOptions(invalid_row_handler=set_aside, ignore_empty_lines=False),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"is not a CSV table: {error}.", str(path), "Export it again as CSV.") from error
    line = np.arange(1, text.num_rows + len(misfits) + 1, dtype=np.int64)
    if b'"' in body and len(line) != len(body.splitlines()):  # a row swallowed the lines after it
        raise DataError("has quotes that do not pair up.", str(path), "Export it again as CSV.")
    if misfits:
        line = np.delete(line, np.array([number - 1 for number, _ in misfits]))
    return text, line, misfits


def _without_blanks(text: pa.Table, line: NDArray[np.int64]) -> tuple[pa.Table, NDArray[np.int64], int]:
    """Drop lines whose fields are all empty."""
    empty = np.ones(text.num_rows, dtype=bool)
    for column in text.columns:
        if not empty.any():
            return text, line, 0
        empty &= pc.equal(column, "").to_numpy()
    return text.filter(pa.array(~empty)), line[~empty], int(empty.sum())
