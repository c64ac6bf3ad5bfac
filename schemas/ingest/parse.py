"""First pass: text -> types. A value that is not what its column holds is marked, never guessed.

Each distinct text is read once: a column of 100,000 rows has few distinct times and venues.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.columns import COLUMNS, Column, TableName
from schemas.ingest.read import RawTable
from schemas.tables import TEXT_DTYPE, TIME_DTYPE

Bool = NDArray[np.bool_]

# Lower-cased texts that mean "no value".
NULL_TEXTS: Final = ("", "null", "nan", "none", "-", "--", "na", "n/a", "#n/a", "<na>", "nat")

_NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INFINITY: Final = r"^[+-]?(?i:inf|infinity)$"
_WHOLE_NANOSECONDS: Final = r"^[1-8]?\d{18}$"
_ISO_TIME: Final = (
    r"^\d{4}-\d{2}-\d{2}([T ]\d{2}(:\d{2}(:\d{2}(\.\d+)?)?)?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?$"
    r"|^\d{8}T\d{2}(\d{2}(\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}(:?\d{2})?)?$"
)
# Epochs by size: seconds reach 1e11 in the year 5138, milliseconds 1e14, microseconds 1e17.
_EPOCH_LIMITS: Final = ((1e11, 1_000_000.0), (1e14, 1_000.0), (1e17, 1.0))


@dataclass(frozen=True)
class Unreadable:
    """A value that could not be read.

    Attributes:
        row: Position in the file's rows.
        column: Canonical column name.
        rule: `not_a_number` or `not_a_time`.
    """

    row: int
    column: str
    rule: str


@dataclass(frozen=True)
class ParsedTable:
    """The rows of one file as types, and what could not be read.

    Attributes:
        frame: Canonical columns in order (null where the file has none), then carried extra columns as text.
        unreadable: Values that are not of their column's kind; they are null in `frame`.
    """

    frame: pd.DataFrame
    unreadable: tuple[Unreadable, ...]


def parse_table(raw: RawTable, table: TableName) -> ParsedTable:
    """Read the columns of a raw table as times, names and numbers.

    Args:
        raw: The rows of a file, as text.
        table: The table they are of; extra columns are carried as text.
    """
    columns: dict[str, Any] = {}
    unreadable: list[Unreadable] = []
    for column in COLUMNS[table]:
        position = raw.header.found.get(column.name)
        if position is None:
            columns[column.name] = _nothing(column, raw.text.num_rows)
            continue
        values, bad = _read_column(raw.text.column(position), column)
        columns[column.name] = values
        rule = "not_a_time" if column.kind == "time" else "not_a_number"
        unreadable += [Unreadable(int(row), column.name, rule) for row in np.flatnonzero(bad)]
    for name in sorted(raw.header.extra):
        text = raw.text.column(raw.header.extra[name]).combine_chunks()
        empty = pc.equal(text, "")
        columns[name] = _text(pc.if_else(empty, pa.scalar(None, pa.string()), text))
    return ParsedTable(pd.DataFrame(columns), tuple(unreadable))


def _nothing(column: Column, rows: int) -> Any:
    if column.kind == "time":
        return _utc(np.full(rows, np.datetime64("NaT", "us")))
    return np.full(rows, np.nan)


def _utc(times: NDArray[np.datetime64]) -> pd.Series:
    return pd.Series(pd.DatetimeIndex(times).tz_localize("UTC").astype(TIME_DTYPE))


def _text(values: Any) -> pd.Series:
    return pd.Series(pd.array(values, dtype=TEXT_DTYPE))


def _read_column(text: Any, column: Column) -> tuple[Any, Bool]:
    """Return a column's values and which of them could not be read."""
    coded = pc.dictionary_encode(text).combine_chunks()
    if isinstance(coded, pa.ChunkedArray):  # a column without rows has no chunk to combine
        return _nothing(column, 0), np.zeros(0, dtype=bool)
    code = coded.indices.to_numpy(zero_copy_only=False)
    distinct = pc.utf8_trim_whitespace(coded.dictionary)
    null = pc.is_in(pc.utf8_lower(distinct), value_set=pa.array(NULL_TEXTS)).to_numpy(zero_copy_only=False)
    distinct = pc.if_else(pa.array(null), pa.scalar(None, pa.string()), distinct)
    if column.kind == "number":
        number, bad = read_numbers(distinct)
        return number[code], bad[code]
    if column.kind == "time":
        time, bad = read_times(distinct)
        return _utc(time[code]), bad[code]
    if column.kind == "venue":
        distinct = pc.utf8_lower(distinct)
    return _text(distinct.take(coded.indices)), np.zeros(len(code), dtype=bool)


def read_numbers(text: Any) -> tuple[NDArray[np.float64], Bool]:
    """Read trimmed texts as float64.

    Args:
        text: (n,) Arrow strings; null where there is no value.

    Returns:
        (n,) values, NaN where null or unreadable, and (n,) whether unreadable.
    """
    null = pc.is_null(text).to_numpy(zero_copy_only=False)
    try:
        number = pc.cast(text, pa.float64())
    except pa.ArrowInvalid:  # one bad text refuses them all: leave it out
        readable = pc.or_(pc.match_substring_regex(text, _NUMBER), pc.match_substring_regex(text, _INFINITY))
        number = pc.cast(pc.if_else(readable, text, pa.scalar(None, pa.string())), pa.float64())
    values = np.array(number.to_numpy(zero_copy_only=False), dtype=np.float64)
    return values, np.isnan(values) & ~null


def read_times(text: Any) -> tuple[NDArray[np.datetime64], Bool]:
    """Read trimmed texts as UTC times: ISO 8601 with or without a zone, or epochs, in any mixture.

    A time without a zone is UTC. An epoch's unit follows from its size. Digits below a microsecond are cut.

    Args:
        text: (n,) Arrow strings; null where there is no value.

    Returns:
        (n,) datetime64[us], NaT where null or unreadable, and (n,) whether unreadable.
    """
    null = pc.is_null(text).to_numpy(zero_copy_only=False)
    number, not_number = read_numbers(text)
    time = np.full(len(null), np.datetime64("NaT", "us"))
    epoch = ~null & ~not_number & np.isfinite(number)
    if epoch.any():
        time[epoch] = _epoch_times(text.filter(pa.array(epoch)), number[epoch])
    iso = ~null & not_number
    if iso.any():
        time[iso] = _iso_times(text.filter(pa.array(iso)))
    return time, np.isnat(time) & ~null


def _epoch_times(text: Any, number: NDArray[np.float64]) -> NDArray[np.datetime64]:
    size = np.abs(number)
    micros = np.round(number / 1_000.0)  # nanoseconds
    for limit, scale in reversed(_EPOCH_LIMITS):
        micros = np.where(size < limit, np.round(number * scale), micros)
    # float64 cannot hold nanoseconds: whole numbers of them are divided as integers.
    nanos = pc.match_substring_regex(text, _WHOLE_NANOSECONDS)
    exact = (
        pc.cast(pc.if_else(nanos, text, pa.scalar("0")), pa.int64()).to_numpy(zero_copy_only=False) // 1_000
    )
    micros = np.where(nanos.to_numpy(zero_copy_only=False) & (size >= _EPOCH_LIMITS[-1][0]), exact, micros)
    micros = np.where(np.abs(micros) < _EPOCH_LIMITS[-1][0], micros, np.nan)
    time = np.full(len(micros), np.datetime64("NaT", "us"))
    known = np.isfinite(micros)
    time[known] = micros[known].astype(np.int64).view("datetime64[us]")
    return time


def _iso_times(text: Any) -> NDArray[np.datetime64]:
    # Spellings pandas does not know: a lower-case t or z, a comma before the fraction, "UTC".
    text = pc.replace_substring_regex(pc.utf8_upper(text), r" ?(UTC|GMT)$", "Z")
    text = pc.replace_substring_regex(text, r"(\d),(\d+)", r"\1.\2")
    shaped = pc.match_substring_regex(text, _ISO_TIME)
    # The shape is checked first: pandas also reads "now", "2025" and other guesses.
    texts = [value if ok else None for value, ok in zip(text.to_pylist(), shaped.to_pylist(), strict=True)]
    parsed = pd.to_datetime(pd.Series(texts, dtype=object), format="ISO8601", utc=True, errors="coerce")
    return parsed.dt.tz_convert(None).dt.as_unit("us").to_numpy(dtype="datetime64[us]")
