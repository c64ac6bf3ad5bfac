"""What the data-quality step puts on its run's page."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Any, Final

from rl.judge.drift import drift_words, ranked, verdict_of
from schemas.drift import DriftLimits, DriftReport
from tasks import ui
from tasks.cache import Cached
from tasks.data_quality import newest_row, read_drift
from tasks.quality_page import PAGE, age_words

DRIFT_HEADER: Final = [
    "feature", "verdict", "PSI", "KS", "median trained on", "median now", "empty now %", "note",
]  # fmt: skip


def quality(found: Cached) -> None:
    """Show how old the newest row is by now, how far the newest rows have drifted, and the pictures."""
    ui.markdown(
        "data-report", quality_markdown(found, datetime.now(UTC)), "Drift, coverage, gaps, empty values"
    )


def quality_markdown(found: Cached, now: datetime) -> str:
    """Return the step's result as markdown.

    Args:
        found: What `quality` made.
        now: The moment the age of the newest row is told for.
    """
    limits = DriftLimits.model_validate(found.manifest.params["limits"])
    drift = read_drift(found.path)
    rows = drift_rows(drift, limits)
    pictures = sorted(path for path in found.path.glob("quality_*.png"))
    parts = [
        "# Data-quality report",
        age_words(newest_row(found), now),
        escape(drift_words(drift, limits)),
        ui.table(DRIFT_HEADER, [[_safe(cell) for cell in row] for row in rows]) if rows else "",
        *(ui.picture(path, path.stem.replace("_", " ")) for path in pictures),
        f"The whole report: `{found.path / PAGE}`",
    ]
    return "\n\n".join(part for part in parts if part)


def drift_rows(drift: DriftReport, limits: DriftLimits) -> list[list[Any]]:
    """Return every feature under `DRIFT_HEADER`, the farthest first."""
    return [
        [
            one.feature, verdict_of(one, limits) if one.judged else "not judged", one.psi, one.ks,
            *map(_measured, one.middle), 100.0 * one.missing[1], one.note,
        ]
        for one in ranked(drift, limits)
    ]  # fmt: skip


def _measured(value: float | None) -> str:
    """Write a number of any size with three digits that count."""
    return "" if value is None else f"{value:.3g}"


def _safe(cell: Any) -> Any:
    """Return a cell whose text, which may be a venue's name, is no markup."""
    return escape(cell) if isinstance(cell, str) else cell
