"""The data-quality report: what came in, what stayed, what was mended, and what the rows look like."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from schemas.columns import TIME_COLUMN
from schemas.ingest.clean import HOUR_US, Cleaned, micros
from schemas.ingest.days import day_rows
from schemas.ingest.quarantine import Origins
from schemas.tables import RULES

EXAMPLES: Final = 3
LONGEST_GAPS: Final = 20
LONGEST_PATH: Final = 12


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
        duplicates: Rows dropped because a later one is equal in every column.
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
        dropped_columns: Nameless row numbers.
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


def table_quality(origins: Origins, cleaned: Cleaned, listed: pd.DataFrame) -> TableQuality:
    """Describe one table.

    Args:
        origins: Where the rows came from.
        cleaned: The clean rows.
        listed: The quarantined rows of this table, as `quarantine_table` lists them.
    """
    table, frame = origins.table, cleaned.frame
    time = micros(frame[TIME_COLUMN[table]])
    hours, missing, gaps = _gaps(time)
    sides = ("long_", "short_") if table == "opportunities" else ("",)
    venues = pd.concat([frame[f"{side}exchange"] for side in sides]).value_counts()
    headers = [raw.header for raw in origins.raws]
    extra = {name for header in headers for name in header.extra}
    nameless = {f"column {position + 1}" for header in headers for position in header.index}
    return TableQuality(
        rows_in=origins.rows_in,
        clean=len(frame),
        duplicates=cleaned.duplicates,
        quarantined=len(listed[["file", "row"]].drop_duplicates()),
        blank_lines=sum(raw.blank for raw in origins.raws),
        rules=_rules(listed),
        counts=cleaned.counts,
        first=_iso(time.min()),
        last=_iso(time.max()),
        hours=hours,
        hours_without_rows=missing,
        gaps=gaps,
        days=day_rows(frame, table),
        venues=_counts(venues.sort_index()),
        symbols=_counts(frame["symbol"].value_counts().sort_index()),
        columns={str(name): _facts(frame[name]) for name in frame.columns},
        extra_columns=tuple(sorted(extra)),
        dropped_columns=tuple(sorted(nameless)),
        absent_columns={n: h.lookalike.get(n) for h in headers for n in h.absent},
        interval_changes=_interval_changes(frame, time, sides),
    )


def _counts(series: pd.Series) -> dict[str, int]:
    return dict(zip(series.index.astype(str), series.astype(int).tolist(), strict=True))


def _iso(us: Any) -> str:
    stamp = pd.Timestamp(int(us), unit="us", tz="UTC")
    return stamp.isoformat().replace("+00:00", "Z")


def _rules(listed: pd.DataFrame) -> dict[str, BrokenRule]:
    rules: dict[str, BrokenRule] = {}
    for rule, group in listed.groupby("rule", sort=True):
        examples = tuple(
            Example.model_validate(one)
            for one in group.head(EXAMPLES)[["file", "row", "column", "value"]].to_dict("records")
        )
        rows = len(group[["file", "row"]].drop_duplicates())
        rules[str(rule)] = BrokenRule(meaning=RULES[str(rule)], rows=rows, examples=examples)
    return rules


def _facts(values: pd.Series) -> ColumnFacts:
    known = values.dropna()
    nulls = int(len(values) - len(known))
    if known.empty:
        return ColumnFacts(nulls=nulls)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        us = micros(known)
        return ColumnFacts(nulls=nulls, min=_iso(us.min()), max=_iso(us.max()))
    if values.dtype == np.dtype("float64"):
        return ColumnFacts(nulls=nulls, min=float(known.min()), max=float(known.max()))
    return ColumnFacts(nulls=nulls, min=str(known.min()), max=str(known.max()))


def _gaps(time: NDArray[np.int64]) -> tuple[int, int, tuple[Gap, ...]]:
    """Return the hours from first to last row, how many have no row, and the longest gaps."""
    hours = np.unique(-(-time // HOUR_US))  # the hour at or after a row is the first that may know it
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


def _interval_changes(frame: pd.DataFrame, time: NDArray[np.int64], sides: tuple[str, ...]) -> dict[str, str]:
    """Return the instruments whose funding interval changes, with their intervals in order."""
    seen = pd.concat(
        [
            pd.DataFrame(
                {
                    "instrument": frame[f"{side}exchange"] + " " + frame["symbol"],
                    "time": time,
                    "hours": frame[f"{side}funding_interval_hours"],
                }
            )
            for side in sides
        ]
    ).dropna()
    seen = seen.sort_values("time", kind="stable")
    changed = seen["hours"] != seen.groupby("instrument")["hours"].shift()
    steps = seen[changed].groupby("instrument", sort=True)["hours"].agg(list)
    return {
        str(name): " -> ".join(f"{h:g}" for h in hours) for name, hours in steps.items() if len(hours) > 1
    }
