"""The rows that segments hold of a day -> the day."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.columns import TableName
from schemas.ingest.bars import move_bars, nothing_waits, read_state, state_bytes
from schemas.ingest.clean import STAMPED
from schemas.ingest.days import write_day
from schemas.ingest.facts import day_facts
from schemas.ingest.memo import Damaged, DayRecord, Memo
from schemas.ingest.segments import Segment, whole_file


@dataclass(frozen=True)
class Day:
    """A day to make.

    Attributes:
        table: Of which table.
        name: `YYYY-MM-DD`.
        segments: Those that hold rows of it; one that two files have in common is there twice.
    """

    table: TableName
    name: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class MadeDay:
    """A day that lies in the memo.

    Attributes:
        key: Its name there.
        record: What is known of it.
    """

    key: str
    record: DayRecord


def days_of(table: TableName, segments: Sequence[Segment]) -> list[Day]:
    """Return the days that segments have rows of, in order."""
    holders: dict[str, list[Segment]] = {}
    for segment in sorted(segments, key=lambda one: one.id):
        for day in segment.days:
            holders.setdefault(day, []).append(segment)
    return [Day(table, day, tuple(holders[day])) for day in sorted(holders)]


def make_day(memo: Memo, day: Day, before: MadeDay | None, *, bars_open_stamped: bool) -> MadeDay:
    """Make a day, or find it made.

    Args:
        memo: Where the segments are and the day goes.
        day: Which one.
        before: The day before in the table, where bars are handed on.
        bars_open_stamped: High and low of a history row are of the hour that begins at its stamp.

    Raises:
        Damaged: The memo's files are not what was written.
    """
    moves = bars_open_stamped and day.table == "history"
    state = before.record.state if moves and before is not None else ""
    question = [day.table, day.name, [segment.id for segment in day.segments], moves, state]
    key = hashlib.sha256(json.dumps(question).encode()).hexdigest()
    found = memo.day(key)
    if found is not None:
        return MadeDay(key, found)
    from schemas.ingest.order import put_in_order

    ordered = put_in_order(_gather(memo, day), day.table)
    rows, counts, waiting = ordered.rows, dict(ordered.counts), b""
    if STAMPED in rows.column_names:
        rows = rows.drop_columns([STAMPED])
    if moves:
        content = _state(memo, before) if before is not None else None
        moved = move_bars(rows, read_state(content) if content else nothing_waits())
        rows, counts, waiting = moved.rows, counts | moved.counts, state_bytes(moved.waiting)
    with whole_file(memo.day_file(key)) as path:
        write_day(rows, day.table, path)
    return MadeDay(key, memo.add_day(key, day_facts(rows, day.table, ordered.duplicates, counts), waiting))


def _state(memo: Memo, day: MadeDay) -> bytes:
    path: Path = memo.day_state(day.key)
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != day.record.state:
        raise Damaged(path)
    return content


def _gather(memo: Memo, day: Day) -> pa.Table:
    """Return all rows of a day, text coded in one dictionary a column."""
    parts: list[Any] = []
    for segment in day.segments:
        with pa.OSFile(str(memo.fragment(segment))) as file:
            batch = pa.ipc.open_file(file).get_batch(list(segment.days).index(day.name))
            parts.append(pa.Table.from_batches([batch]))
    rows = pa.concat_tables(parts, promote_options="default")
    return rows.unify_dictionaries().combine_chunks()
