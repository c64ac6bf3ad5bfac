"""First pass: text -> types. A value that is not what its column holds is marked, never guessed.

Numbers are read as they come. Where a column holds anything else, and for times and names, each distinct
text is read once: a column of 100,000 rows has few distinct times and venues.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.columns import COLUMNS, Column, Header, TableName
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
class ParsedTable:
    """Rows as types, and what could not be read.

    Attributes:
        frame: Canonical columns in order (null where the file has none), then carried extra columns as text.
        coded: The text columns of `frame` as Arrow arrays: names as dictionaries, extra columns plain.
        unreadable: (column, rule) -> (n,) whether a value is not of its column's kind; `frame` has null.
    """

    frame: pd.DataFrame
    coded: dict[str, Any]
    unreadable: dict[tuple[str, str], Bool]


def parse_table(text: pa.Table, header: Header, table: TableName) -> ParsedTable:
    """Read the columns of text rows as times, names and numbers.

    Args:
        text: Rows as text, a column per header position.
        header: What stands at which position.
        table: The table they are of; extra columns of opportunities are carried as text.
    """
    columns: dict[str, Any] = {}
    coded: dict[str, Any] = {}
    unreadable: dict[tuple[str, str], Bool] = {}
    for column in COLUMNS[table]:
        position = header.found.get(column.name)
        if position is None:
            columns[column.name] = _nothing(column, text.num_rows)
            continue
        values = text.column(position)
        bad = None
        if column.kind == "number":
            columns[column.name], bad = _read_number_column(values)
        elif column.kind == "time":
            columns[column.name], bad = _read_time_column(values)
        else:
            coded[column.name] = _read_name_column(values, lower=column.kind == "venue")
            columns[column.name] = _text(coded[column.name])
        if bad is not None and bad.any():
            unreadable[column.name, "not_a_time" if column.kind == "time" else "not_a_number"] = bad
    if table == "opportunities":
        for name in sorted(header.extra):
            coded[name] = _joined(text.column(header.extra[name]))
            columns[name] = _text(coded[name])
    return ParsedTable(pd.DataFrame(columns), coded, unreadable)


def _nothing(column: Column, rows: int) -> Any:
    if column.kind == "time":
        return _utc(np.full(rows, np.datetime64("NaT", "us")))
    return np.full(rows, np.nan)


def _utc(times: NDArray[np.datetime64]) -> pd.Series:
    return pd.Series(pd.DatetimeIndex(times).tz_localize("UTC").astype(TIME_DTYPE))


def _text(coded: Any) -> pd.Series:
    return pd.Series(pd.array(coded.cast(pa.string()), dtype=TEXT_DTYPE))


def _joined(column: Any) -> Any:
    """Return a column of several chunks, or of none, as one array."""
    joined = column.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):
        return joined.chunk(0) if joined.num_chunks else pa.array([], joined.type)
    return joined


def _distinct(text: Any) -> tuple[NDArray[np.int64], Any]:
    """Return the code of each row, and the distinct texts, trimmed; a text that means no value is null.

    A row without a text has the last code.
    """
    coded = _joined(pc.dictionary_encode(text))
    distinct = pa.concat_arrays([pc.utf8_trim_whitespace(coded.dictionary), pa.nulls(1, pa.string())])
    code = pc.fill_null(coded.indices, len(distinct) - 1).to_numpy(zero_copy_only=False)
    null = pc.is_in(pc.utf8_lower(distinct), value_set=pa.array(NULL_TEXTS))
    return code, pc.if_else(null, pa.scalar(None, pa.string()), distinct)


def _read_number_column(text: Any) -> tuple[NDArray[np.float64], Bool | None]:
    """Return a column's values and which of them could not be read; None if all could."""
    try:
        number = pc.cast(text, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        number = None
    # A text that Arrow takes for NaN may be a word for "no value", or nothing that anybody meant.
    if number is not None and np.isnan(number).sum() == text.null_count:
        return number + 0.0, None  # no negative zeros: equal values have equal bits
    code, distinct = _distinct(text)
    values, bad = read_numbers(distinct)
    return values[code] + 0.0, bad[code]


def _read_time_column(text: Any) -> tuple[pd.Series, Bool]:
    code, distinct = _distinct(text)
    times, bad = read_times(distinct)
    return _utc(times[code]), bad[code]


def _read_name_column(text: Any, *, lower: bool) -> Any:
    """Return names as an Arrow dictionary, each distinct name once."""
    code, distinct = _distinct(text)
    if lower:
        distinct = pc.utf8_lower(distinct)
    again = pc.dictionary_encode(distinct)
    return pa.DictionaryArray.from_arrays(again.indices.take(pa.array(code)), again.dictionary)


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
