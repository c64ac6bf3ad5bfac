"""The data-quality report in the terminal."""

from __future__ import annotations

import json
import textwrap
from datetime import UTC, datetime
from pathlib import Path

from flows.cli.summary import shown_path
from flows.cli.terminal import heading, print_table
from rl.judge.drift import drift_words
from schemas.drift import DriftLimits
from schemas.errors import ConfigError
from tasks.cache import Cached
from tasks.data_quality import newest_row, read_drift
from tasks.files import write_atomic
from tasks.quality import quality_sections
from tasks.quality_page import PAGE, age_words, told_at
from tasks.show_quality import DRIFT_HEADER, drift_rows
from tasks.store import resolve_root


def print_quality(dataset: Path) -> None:
    """Print what was found in a data set, and where every quarantined row is listed."""
    report = json.loads((dataset / "quality.json").read_text(encoding="utf-8"))
    for section in quality_sections(report):
        heading(section.title)
        print_table(section.header, section.rows)
    tables = [report[table] for table in ("opportunities", "history") if report.get(table)]
    bad = sum(table["quarantined"] for table in tables)
    print()
    if bad:
        print(f"Every quarantined row: {shown_path(dataset / 'quarantine.parquet')}")
    print("VALID: every row that is left keeps the rules. A run also needs enough hours to split.")


def refuse_no_file(path: Path, flag: str = "--report") -> None:
    """Refuse a place where no report can be written, before anything is computed.

    Raises:
        ConfigError: It is a folder, or lies in none.
    """
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "is a folder." if path.is_dir() else "lies in a folder that does not exist."
        raise ConfigError(f"{path} {what}", flag, "Give the path of the HTML file to write.")


def copy_page(described: Cached, to: Path | None, book: str) -> Path:
    """Lay the report where a person finds it, with the age of the newest row by now, and return its path.

    Args:
        described: What `quality` made.
        to: Where; None is beside the book's other reports, under the name of the data set.
        book: Whose champion the data was held against.
    """
    if to is None:
        name = f"data-{described.manifest.inputs['dataset'][:12]}.html"
        to = resolve_root() / "reports" / book / name
    page = (described.path / PAGE).read_text(encoding="utf-8")
    write_atomic(to, told_at(page, newest_row(described), datetime.now(UTC)))
    return to


def print_drift(described: Cached, page: Path) -> None:
    """Print how far the newest rows have drifted, how old they are by now, and where the report is."""
    limits = DriftLimits.model_validate(described.manifest.params["limits"])
    drift = read_drift(described.path)
    heading("Drift")
    if drift.features:
        print_table(DRIFT_HEADER, drift_rows(drift, limits))
        print()
    for sentence in (drift_words(drift, limits), age_words(newest_row(described), datetime.now(UTC))):
        print(textwrap.fill(sentence, 100, break_on_hyphens=False))
    print(f"Report: {shown_path(page)}")


def whole_report(dataset: Path, described: Cached) -> str:
    """Return quality.json with what drift was found, as JSON."""
    report = json.loads((dataset / "quality.json").read_text(encoding="utf-8"))
    drift = read_drift(described.path)
    return json.dumps({**report, "drift": drift.model_dump(mode="json", exclude={"against"})}, indent=2)
