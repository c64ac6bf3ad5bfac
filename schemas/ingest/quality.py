"""The data-quality report: what came in, what stayed, what was mended, and what the rows look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, model_validator

from schemas.columns import COLUMNS, TableName
from schemas.ingest.clean import HOUR_US
from schemas.ingest.facts import ColumnRange, DayFacts
from schemas.ingest.parts import FileParts
from schemas.ingest.segments import EXAMPLES
from schemas.tables import RULES

LONGEST_GAPS: Final = 20


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Example(_Model):
    """One value that broke a rule; `row` is the line in the file."""

    file: str
    row: int
    column: str
    value: str


class BrokenRule(_Model):
    """A rule and how many rows broke it; a row may break several."""

    meaning: str
    rows: int
    examples: tuple[Example, ...]


class ColumnFacts(_Model):
    """A column of the clean rows; times are ISO 8601 UTC."""

    nulls: int
    min: float | str | None = None
    max: float | str | None = None


class Gap(_Model):
    """Consecutive hours without a row: the first and the last of them, and their number."""

    first: str
    last: str
    hours: int


class TableQuality(_Model):
    """One table; `rows_in` = `clean` + `quarantined` + `duplicates`.

    Attributes:
        rows_in: Rows of all files; lines without any value are `blank_lines` and not rows.
        clean: Rows written.
        duplicates: Rows dropped because another one is equal in every column.
        quarantined: Rows that break at least one rule.
        rules: Broken rule -> rows and examples.
        counts: What was repaired, filled in or looks odd -> how often.
        first, last: Times of the first and last clean row.
        hours: Hours on the grid from first to last; a row belongs to the full hour at or after it.
        hours_without_rows: Of these.
        gaps: The longest runs of them.
        days: Day -> clean rows.
        venues: Venue -> clean rows that show it, on either side.
        symbols: Symbol -> clean rows.
        columns: Facts of each column.
        extra_columns: Unknown columns that are carried along as text.
        dropped_columns: Nameless row numbers, and unknown columns of a history.
        absent_columns: Optional columns that a file lacks -> an unknown column that resembles it, or null.
        interval_changes: `venue symbol` -> its funding intervals in order, as `8 -> 4 -> 8`.
    """

    rows_in: int
    clean: int
    duplicates: int
    quarantined: int
    blank_lines: int
    rules: dict[str, BrokenRule]
    counts: dict[str, int]
    first: str
    last: str
    hours: int
    hours_without_rows: int
    gaps: tuple[Gap, ...]
    days: dict[str, int]
    venues: dict[str, int]
    symbols: dict[str, int]
    columns: dict[str, ColumnFacts]
    extra_columns: tuple[str, ...]
    dropped_columns: tuple[str, ...]
    absent_columns: dict[str, str | None]
    interval_changes: dict[str, str]

    @model_validator(mode="after")
    def _no_row_is_lost(self) -> TableQuality:
        if self.rows_in != self.clean + self.quarantined + self.duplicates:
            raise ValueError(
                f"{self.rows_in} rows came in, but {self.clean} clean, {self.quarantined} quarantined and "
                f"{self.duplicates} duplicate rows are accounted for"
            )
        return self


class QualityReport(_Model):
    """The quality of a data set, by table; `history` is empty where there is none."""

    opportunities: TableQuality
    history: TableQuality | None
    unused_files: tuple[str, ...]


def table_quality(table: TableName, files: Sequence[FileParts], days: Mapping[str, DayFacts]) -> TableQuality:
    """Describe one table.

    Args:
        table: The table.
        files: What was read, in the order of the report.
        days: Day -> what its clean rows look like, in order of time; at least one.
    """
    facts = list(days.values())
    hours, missing, gaps = _gaps(facts)
    headers = [file.head.header for file in files]
    extra = {name for header in headers for name in header.extra}
    nameless = {f"column {position + 1}" for header in headers for position in header.index}
    carried = tuple(sorted(extra)) if table == "opportunities" else ()
    counted = [part.segment.counts for file in files for part in file.parts]
    open_ends = sum(not file.parts[-1].closed for file in files if file.parts)
    return TableQuality(
        rows_in=sum(file.rows for file in files),
        clean=sum(day.rows for day in facts),
        duplicates=sum(day.duplicates for day in facts),
        quarantined=sum(file.bad_rows for file in files),
        blank_lines=sum(part.segment.blank for file in files for part in file.parts),
        rules=_rules(files),
        counts=_sums([*counted, *(day.counts for day in facts), {"last_line_without_an_end": open_ends}]),
        first=_iso(min(day.first for day in facts)),
        last=_iso(max(day.last for day in facts)),
        hours=hours,
        hours_without_rows=missing,
        gaps=gaps,
        days={name: day.rows for name, day in days.items()},
        venues=dict(sorted(_sums([day.venues for day in facts]).items())),
        symbols=dict(sorted(_sums([day.symbols for day in facts]).items())),
        columns={
            name: _facts([day.columns.get(name) for day in facts], sum(day.rows for day in facts), kind)
            for name, kind in [*((c.name, c.kind) for c in COLUMNS[table]), *((n, "text") for n in carried)]
        },
        extra_columns=carried,
        dropped_columns=tuple(sorted(nameless | (extra if table == "history" else set()))),
        absent_columns={n: h.lookalike.get(n) for h in headers for n in h.absent},
        interval_changes=_interval_changes(facts),
    )


def _sums(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return total


def _iso(us: Any) -> str:
    stamp = pd.Timestamp(int(us), unit="us", tz="UTC")
    return stamp.isoformat().replace("+00:00", "Z")


def _rules(files: Sequence[FileParts]) -> dict[str, BrokenRule]:
    rows: dict[str, int] = {}
    examples: dict[str, list[Example]] = {}
    for file in files:
        for part in file.parts:
            for rule, found in part.segment.rules.items():
                rows[rule] = rows.get(rule, 0) + found.rows
                shown = examples.setdefault(rule, [])
                shown += [
                    Example(file=file.name, row=part.line + bad.line, column=bad.column, value=bad.value)
                    for bad in found.examples[: EXAMPLES - len(shown)]
                ]
    return {
        rule: BrokenRule(meaning=RULES[rule], rows=rows[rule], examples=tuple(examples[rule]))
        for rule in sorted(rows)
    }


def _facts(days: Sequence[ColumnRange | None], rows: int, kind: str) -> ColumnFacts:
    known = [day for day in days if day is not None and day.known]
    nulls = rows - sum(day.known for day in known)
    if not known:
        return ColumnFacts(nulls=nulls)
    low: Any = min(day.min for day in known)  # type: ignore[type-var]
    high: Any = max(day.max for day in known)  # type: ignore[type-var]
    if kind == "time":
        return ColumnFacts(nulls=nulls, min=_iso(low), max=_iso(high))
    return ColumnFacts(nulls=nulls, min=low, max=high)


def _gaps(days: Sequence[DayFacts]) -> tuple[int, int, tuple[Gap, ...]]:
    """Return the hours from first to last row, how many have no row, and the longest gaps."""
    hours = np.unique(np.concatenate([np.array(day.hours, dtype=np.int64) for day in days]))
    total = int(hours[-1] - hours[0]) + 1
    missing = np.diff(hours) - 1
    longest = sorted(np.flatnonzero(missing), key=lambda i: (-missing[i], i))[:LONGEST_GAPS]
    gaps = tuple(
        Gap(
            first=_iso((hours[i] + 1) * HOUR_US),
            last=_iso((hours[i + 1] - 1) * HOUR_US),
            hours=int(missing[i]),
        )
        for i in longest
    )
    return total, int(missing.sum()), gaps


def _interval_changes(days: Sequence[DayFacts]) -> dict[str, str]:
    """Return the instruments whose funding interval changes, with their intervals in order."""
    steps: dict[str, list[float]] = {}
    for day in days:
        for name, intervals in day.intervals.items():
            known = steps.setdefault(name, [])
            known += intervals if not known or known[-1] != intervals[0] else intervals[1:]
    return {
        name: " -> ".join(f"{hours:g}" for hours in steps[name])
        for name in sorted(steps)
        if len(steps[name]) > 1
    }
