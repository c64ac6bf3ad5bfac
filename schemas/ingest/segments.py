"""A run of lines -> its clean rows by day, its quarantine and its counts, once and for all.

A segment is named by its lines and its header: where they stand, in which file, changes nothing. So what
has been read of a file that only grew is never read again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from schemas.columns import COLUMNS, TIME_COLUMN, TableName, names
from schemas.ingest.blocks import Head
from schemas.ingest.clean import STAMPED, broken_rules, micros, repair
from schemas.ingest.days import day_names, day_numbers
from schemas.ingest.instruments import Instruments, apply_instruments
from schemas.ingest.parse import ParsedTable, parse_table
from schemas.ingest.quarantine import list_broken
from schemas.ingest.read import TextRows, read_rows
from schemas.ingest.units import other_units
from schemas.tables import RULES

EXAMPLES: Final = 3
_ARROW_TYPES: Final = {"time": pa.timestamp("us", tz="UTC"), "number": pa.float64()}


class BadValue(BaseModel):
    """A value that broke a rule; `line` counts the segment's lines from 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: int
    column: str
    value: str


class RuleCount(BaseModel):
    """How often a rule was broken: in how many rows, by how many values, and the first of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    values: int
    examples: tuple[BadValue, ...]


class Segment(BaseModel):
    """What is known of a run of lines.

    Attributes:
        id: Its name.
        rows: Its rows, bad ones included.
        blank: Lines without any value; they are no rows.
        bad_rows: Rows that break a rule.
        rules: Broken rule -> how often.
        counts: What was mended or looks odd -> how often.
        times: Rows whose time could be read.
        unread_time: The first time that could not.
        earliest, latest: The first and the last time of its clean rows.
        other_units: Column -> clean rows in which it seems to be in another unit than it should be.
        days: UTC day -> clean rows; the fragment holds a record batch for each, in this order.
        fragment: sha256 of the file of clean rows.
        quarantine: sha256 of the file of broken rules; empty where no row is bad.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    rows: int
    blank: int
    bad_rows: int
    rules: dict[str, RuleCount]
    counts: dict[str, int]
    times: int
    unread_time: BadValue | None
    earliest: BadValue | None
    latest: BadValue | None
    other_units: dict[str, int]
    days: dict[str, int]
    fragment: str
    quarantine: str


def segment_id(body: bytes, head: Head, table: TableName) -> str:
    """Return the name of a run of lines below a header."""
    hasher = hashlib.sha256(json.dumps([table, head.text]).encode())
    hasher.update(body)
    return hasher.hexdigest()


def fragment_path(folder: Path, name: str) -> Path:
    """Return where the clean rows of a segment lie."""
    return folder / f"{name}.arrow"


def quarantine_path(folder: Path, name: str) -> Path:
    """Return where the broken rules of a segment lie."""
    return folder / f"{name}.bad.parquet"


def make_segment(
    body: bytes,
    name: str,
    head: Head,
    table: TableName,
    where: str,
    folder: Path,
    instruments: Instruments | None = None,
) -> Segment:
    """Read, judge and mend a run of lines, and write its two files.

    Args:
        body: Whole lines.
        name: Their `segment_id`.
        head: The header of their file.
        table: The table they are of.
        where: What to call the file in an error.
        folder: Gets the files.
        instruments: Which symbols count a coin in thousands.

    Raises:
        DataError: The lines cannot be told apart, or the instruments do not fit them.
    """
    rows = read_rows(body, head.width, where)
    parsed, mapped = _in_coins(parse_table(rows.text, head.header, table), table, instruments)
    broken, good = _judge(parsed, table)
    listed = list_broken(rows, head.header, table, broken)
    earliest, latest = _first_and_last(rows, parsed, head, good, TIME_COLUMN[table])
    kept = parsed.frame if good.all() else parsed.frame[good]
    other = other_units(kept) if table == "opportunities" else {}
    frame, counts = repair(kept, table)
    coded = parsed.coded if good.all() else _filtered(parsed.coded, good)
    with whole_file(fragment_path(folder, name)) as path:
        days = _write_fragment(path, frame, coded, table)
        fragment = file_hash(path)
    bad = ""
    if listed.num_rows:
        with whole_file(quarantine_path(folder, name)) as path:
            pq.write_table(listed, path, compression="zstd")
            bad = file_hash(path)
    time = TIME_COLUMN[table]
    return Segment(
        id=name,
        rows=rows.rows,
        blank=rows.blank,
        bad_rows=len(listed["row"].unique()),
        rules=_rule_counts(listed),
        counts=mapped | counts,
        times=int(parsed.frame[time].notna().sum()),
        unread_time=_unread_time(rows, parsed, head, time),
        earliest=earliest,
        latest=latest,
        other_units=other,
        days=days,
        fragment=fragment,
        quarantine=bad,
    )


def _in_coins(
    parsed: ParsedTable, table: TableName, instruments: Instruments | None
) -> tuple[ParsedTable, dict[str, int]]:
    """Put a parsed table into canonical symbols and prices of one coin, before the legs are held together."""
    if instruments is None:
        return parsed, {}
    mapped = apply_instruments(parsed.frame, table, instruments)
    symbol = pa.array(mapped.frame["symbol"], type=pa.string(), from_pandas=True).dictionary_encode()
    return ParsedTable(mapped.frame, parsed.coded | {"symbol": symbol}, parsed.unreadable), mapped.counts


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a name to write a file under; it gets its own once it is whole."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def file_hash(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _filtered(coded: dict[str, Any], good: Any) -> dict[str, Any]:
    mask = pa.array(good)
    return {column: values.filter(mask) for column, values in coded.items()}


def _judge(parsed: ParsedTable, table: TableName) -> tuple[pd.DataFrame, Any]:
    """Return what is broken where, and which rows are good."""
    frame = parsed.frame
    unreadable = np.zeros(len(frame), dtype=bool)
    parts = []
    for (column, rule), bad in parsed.unreadable.items():
        unreadable |= bad
        parts.append(pd.DataFrame({"position": np.flatnonzero(bad), "column": column, "rule": rule}))
    # A value that could not be read is null by now: what the rules say of its row counts for nothing.
    broken = broken_rules(frame, table)
    parts.append(broken[~unreadable[broken["position"].to_numpy(dtype=np.int64)]])
    broken = pd.concat(parts, ignore_index=True)
    good = np.ones(len(frame), dtype=bool)
    good[broken["position"].to_numpy(dtype=np.int64)] = False
    return broken, good


def _write_fragment(
    path: Path, frame: pd.DataFrame, coded: dict[str, Any], table: TableName
) -> dict[str, int]:
    """Write the rows as Arrow IPC, a record batch for each day; returns the rows of each day."""
    kinds = {column.name: column.kind for column in COLUMNS[table]}
    columns: dict[str, Any] = {}
    for name in (*names(table), *(extra for extra in coded if extra not in kinds)):
        if name in coded:
            columns[name] = coded[name]
        elif kinds[name] == "time":
            columns[name] = pa.array(micros(frame[name])).cast(pa.timestamp("us")).cast(_ARROW_TYPES["time"])
        else:
            columns[name] = pa.array(frame[name].to_numpy())
    if STAMPED in frame.columns:
        columns[STAMPED] = pa.array(frame[STAMPED].to_numpy())
    day = day_numbers(frame, table)
    rows = pa.table(columns)
    if len(day) and (np.diff(day) < 0).any():
        order = np.argsort(day, kind="stable")
        rows, day = rows.take(pa.array(order)), day[order]
    distinct, start, count = np.unique(day, return_index=True, return_counts=True)
    options = pa.ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
    rows = rows.combine_chunks()
    with pa.ipc.new_file(str(path), rows.schema, options=options) as writer:
        for first, n in zip(start.tolist(), count.tolist(), strict=True):
            writer.write_batch(rows.slice(first, n).to_batches()[0])
    return dict(zip(day_names(distinct), count.tolist(), strict=True))


def _rule_counts(listed: pa.Table) -> dict[str, RuleCount]:
    frame = listed.to_pandas()
    found: dict[str, RuleCount] = {}
    for rule, group in frame.groupby("rule", sort=True):
        assert rule in RULES
        first = group.head(EXAMPLES)
        found[str(rule)] = RuleCount(
            rows=int(group["row"].nunique()),
            values=len(group),
            examples=tuple(
                BadValue(line=int(line), column=str(column), value=str(value))
                for line, column, value in zip(first["row"], first["column"], first["value"], strict=True)
            ),
        )
    return found


def _unread_time(rows: TextRows, parsed: ParsedTable, head: Head, time: str) -> BadValue | None:
    bad = parsed.unreadable.get((time, "not_a_time"))
    if bad is None:
        return None
    at = int(np.flatnonzero(bad)[0])
    text = rows.text.column(head.header.found[time])[at].as_py()
    return BadValue(line=int(rows.line[at]), column=time, value=str(text)[:200])


def _first_and_last(
    rows: TextRows, parsed: ParsedTable, head: Head, good: Any, time: str
) -> tuple[BadValue | None, BadValue | None]:
    """Return the earliest and the latest time of the good rows, as they stand."""
    at = np.flatnonzero(good)
    if not len(at):
        return None, None
    stamps = micros(parsed.frame[time])[at]
    found = []
    for place in (at[int(stamps.argmin())], at[int(stamps.argmax())]):
        text = rows.text.column(head.header.found[time])[int(place)].as_py()
        found.append(BadValue(line=int(rows.line[place]), column=time, value=str(text)[:200]))
    return found[0], found[1]
