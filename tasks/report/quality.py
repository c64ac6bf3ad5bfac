"""From a data set's facts to a page a person reads; like the backtest's, it asks nobody for anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rl.judge.drift import drift_words, ranked, verdict_of
from rl.quality.profile import Profile
from schemas.drift import DriftLimits, DriftReport
from schemas.ingest.quality import QualityReport, TableQuality
from tasks.quality_page import AGE, PAGE
from tasks.report.html import environment, write
from tasks.report.pictures import draw
from tasks.report.quality_pictures import quality_pictures

MOST_COLUMNS: Final = 60
MOST_CHANGES: Final = 40
MOST_VENUES: Final = 40


@dataclass(frozen=True)
class ColumnLine:
    """A column as the page tells it; numbers are written by the page, times and text as they are."""

    name: str
    nulls: int
    share: float
    low: float | str | None
    quantiles: tuple[float | None, ...]
    high: float | str | None


@dataclass(frozen=True)
class VenueLine:
    """A venue: rows that show it, days with it, and hours its newest row is behind the newest of all."""

    name: str
    rows: int
    days: int
    behind_hours: float


@dataclass(frozen=True)
class TableView:
    """One table of the page."""

    name: str
    quality: TableQuality
    columns: list[ColumnLine]
    more_columns: int
    venues: list[VenueLine]
    more_venues: int
    changes: list[tuple[str, str]]
    more_changes: int


def write_quality(
    out: Path,
    told: QualityReport,
    profiles: Mapping[str, Profile],
    drift: DriftReport,
    limits: DriftLimits,
    *,
    dataset: str,
    files: Sequence[tuple[str, str, int]],
) -> Path:
    """Render quality.html and its pictures.

    The page holds its pictures and its style, and a policy that forbids it any request. Text from files
    (symbols, venues, columns, values) is escaped.

    Args:
        out: Where they go.
        told: What ingest found and did.
        profiles: By table: what the clean rows look like.
        drift: The newest rows against the training data.
        limits: What is far.
        dataset: Ref of the data set.
        files: Name, table and rows of every file that was read.

    Returns:
        The path of quality.html.
    """
    views = [_view(told.opportunities, profiles["opportunities"])]
    if told.history is not None:
        views.append(_view(told.history, profiles["history"]))
    text = (
        environment()
        .get_template("quality.html")
        .render(
            views=views,
            told=told,
            drift=drift,
            drift_words=drift_words(drift, limits),
            features=[(one, verdict_of(one, limits)) for one in ranked(drift, limits)],
            limits=limits,
            headline=headline(told),
            pictures=draw(quality_pictures(profiles, drift, limits), out),
            dataset=dataset,
            files=files,
            age=AGE,
        )
    )
    path = out / PAGE
    write(path, text.encode("utf-8"))
    return path


def headline(told: QualityReport) -> str:
    """Say in one sentence what became of the rows."""
    tables = [one for one in (told.opportunities, told.history) if one is not None]
    rows, bad = sum(one.rows_in for one in tables), sum(one.quarantined for one in tables)
    twice = sum(one.duplicates for one in tables)
    left = [
        *([f"{bad:,} broke a rule"] if bad else []),
        *([f"{twice:,} were there twice"] if twice else []),
    ]
    return f"{rows:,} rows came in" + (f": {' and '.join(left)}." if left else ", and every one is used.")


def _view(quality: TableQuality, found: Profile) -> TableView:
    total = found.total
    lines = []
    for name, one in total.columns.items():
        sketch = total.sketches.get(name)
        ends = (one.low, one.high) if sketch is None else (sketch.low, sketch.high)
        between = () if sketch is None else tuple(sketch.quantile(q) for q in (0.01, 0.5, 0.99))
        lines.append(ColumnLine(name, one.nulls, one.nulls / total.rows, ends[0], between, ends[1]))
    newest = max(total.seen.values())
    venues = [
        VenueLine(name, rows, sum(n > 0 for n in found.venues[name]), (newest - total.seen[name]) / 3.6e9)
        for name, rows in sorted(total.venues.items(), key=lambda item: (-item[1], item[0]))
    ]
    changes = list(quality.interval_changes.items())
    return TableView(
        name=found.table,
        quality=quality,
        columns=lines[:MOST_COLUMNS],
        more_columns=max(len(lines) - MOST_COLUMNS, 0),
        venues=venues[:MOST_VENUES],
        more_venues=max(len(venues) - MOST_VENUES, 0),
        changes=changes[:MOST_CHANGES],
        more_changes=max(len(changes) - MOST_CHANGES, 0),
    )
