"""How many rows a file has, counted by Python's own csv module."""

from __future__ import annotations

import csv
import gzip
import io
import re
from pathlib import Path

import pyarrow as pa


def unpacked(path: Path) -> bytes:
    """Return the text of a file."""
    data = path.read_bytes()
    if path.suffix.lower() == ".gz":
        return gzip.decompress(data)
    if path.suffix.lower() == ".zst":
        return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    return data


def count_rows(data: bytes) -> int:
    """Count the rows of a CSV file: lines below the header that are not blank, cells or no cells.

    A line is a row also where a quoted cell goes on over it. Where none does, the csv module counts the whole
    file at once; the two ways have to agree.
    """
    csv.field_size_limit(1 << 30)
    text = data.decode("utf-8-sig").lstrip(" \t\r\n")
    header, *lines = re.split(r"\r\n|\n|\r", text)
    width = len(next(csv.reader([header]), []))
    by_line = sum(_is_row(next(csv.reader([line]), []), width) for line in lines)
    reader = csv.reader(io.StringIO(text, newline=""))
    records = []
    for record in reader:
        records.append(record)
        if reader.line_num != len(records):
            return by_line
    whole = sum(_is_row(record, width) for record in records[1:])
    if whole != by_line:
        raise AssertionError(f"{whole} rows at once, {by_line} line by line")
    return whole


def _is_row(record: list[str], width: int) -> bool:
    return bool(record) and (len(record) != width or any(record))
