"""A file as the segments that were read of it, and what is said of a file or a table as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from schemas.columns import TIME_COLUMN, TableName
from schemas.errors import DataError
from schemas.ingest.blocks import Head
from schemas.ingest.segments import Segment
from schemas.ingest.sources import Fingerprint, SourceFile
from schemas.ingest.units import require_units
from schemas.tables import RULES

LONGEST_GAP_DAYS: Final = 366
"""Between rows of one market. Scanners pause for weeks; a year is another market."""


@dataclass(frozen=True)
class Part:
    """A segment in its file.

    Attributes:
        segment: What was read.
        line: Line number in the file of its first line, from 1.
        closed: Its last line has a line break.
    """

    segment: Segment
    line: int
    closed: bool


@dataclass(frozen=True)
class FileParts:
    """One input file, read.

    Attributes:
        file: Which one.
        known: The bytes that were read.
        head: Its header.
        parts: Its segments, in order.
    """

    file: SourceFile
    known: Fingerprint
    head: Head
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """Its name in reports."""
        return self.file.name

    @property
    def rows(self) -> int:
        """Its rows, bad ones included."""
        return sum(part.segment.rows for part in self.parts)

    @property
    def bad_rows(self) -> int:
        """Its rows that break a rule."""
        return sum(part.segment.bad_rows for part in self.parts)


def require_rows(file: FileParts) -> None:
    """Refuse a file that has none, or not one time that can be read: then its format is wrong, not its rows.

    Raises:
        DataError: It is such a file.
    """
    where = file.file.path
    if not file.rows:
        raise DataError("has a header and no rows.", str(where), "Give a file with at least one row.")
    unread = [(part.line + bad.line, bad) for part in file.parts if (bad := part.segment.unread_time)]
    if unread and not any(part.segment.times for part in file.parts):
        line, bad = unread[0]
        raise DataError(
            f"has no readable time: the first is {bad.value!r}.",
            f"{where}, column {TIME_COLUMN[file.file.table]!r}, row {line}",
            "Write times as 2025-10-03T16:00:00Z (without a zone: UTC) or as an epoch in s, ms, us or ns.",
        )


def require_likely_units(file: FileParts) -> None:
    """Refuse a file of which a column is in another unit than it should be.

    Raises:
        DataError: Most of its good rows say so.
    """
    other: dict[str, int] = {}
    for part in file.parts:
        for column, count in part.segment.other_units.items():
            other[column] = other.get(column, 0) + count
    require_units(other, file.rows - file.bad_rows, str(file.file.path))


def require_one_period(files: Sequence[FileParts]) -> None:
    """Refuse a table whose rows lie years apart: a broken clock would make a market of empty decades.

    What most rows say is believed.

    Args:
        files: All that was read of a table.

    Raises:
        DataError: Days with rows are more than `LONGEST_GAP_DAYS` apart.
    """
    rows: dict[int, int] = {}
    for file in files:
        for part in file.parts:
            for name, count in part.segment.days.items():
                number = date.fromisoformat(name).toordinal()
                rows[number] = rows.get(number, 0) + count
    periods: list[list[int]] = []
    for day in sorted(rows):
        if periods and day - periods[-1][-1] <= LONGEST_GAP_DAYS:
            periods[-1].append(day)
        else:
            periods.append([day])
    if len(periods) < 2:
        return
    main = max(periods, key=lambda days: sum(rows[day] for day in days))
    before = main is not periods[0]
    stray = date.fromordinal(periods[0][0] if before else periods[-1][-1]).isoformat()
    file, part = next((f, p) for f in files for p in f.parts if stray in p.segment.days)
    end = part.segment.earliest if before else part.segment.latest
    assert end is not None  # the segment has rows of that day
    raise DataError(
        f"is of {stray}, years {'before' if before else 'after'} the other rows "
        f"({date.fromordinal(main[0])} to {date.fromordinal(main[-1])}).",
        f"{file.file.path}, column {end.column!r}, row {part.line + end.line}",
        "Mend or remove it.",
    )


def require_mostly_good(table: TableName, files: Sequence[FileParts], max_bad_fraction: float) -> None:
    """Refuse a table of which too many rows are bad.

    Args:
        table: The table.
        files: All that was read of it.
        max_bad_fraction: Largest share of rows that may be quarantined.

    Raises:
        DataError: More rows than that are bad, or all of them.
    """
    bad, rows = sum(file.bad_rows for file in files), sum(file.rows for file in files)
    if not bad or (bad < rows and bad <= max_bad_fraction * rows):
        return
    values: dict[str, int] = {}
    for file in files:
        for part in file.parts:
            for rule, found in part.segment.rules.items():
                values[rule] = values.get(rule, 0) + found.values
    worst = max(sorted(values), key=lambda rule: values[rule])
    path, line, first = next(
        (file.file.path, part.line + part.segment.rules[worst].examples[0].line, part.segment.rules[worst])
        for file in files
        for part in file.parts
        if worst in part.segment.rules
    )
    example = first.examples[0]
    column = f", column {example.column!r}" if example.column else ""
    value = example.value if len(example.value) <= 60 else example.value[:57] + "..."
    allowed = "none is left" if bad == rows else f"more than the {max_bad_fraction:.3g} allowed"
    raise DataError(
        f"{bad} of {rows} rows of {table} break a rule ({bad / rows:.1%}), {allowed}; "
        f"the most frequent rule: {RULES[worst]} ({values[worst]} rows, the first here with {value!r}).",
        f"{path}{column}, row {line}",
        "Mend or remove these rows" + (", or raise max_bad_fraction." if bad < rows else "."),
    )
