"""The data-quality report in the terminal."""

from __future__ import annotations

import json
from pathlib import Path

from flows.cli.summary import shown_path
from flows.cli.terminal import heading, print_table
from tasks.quality import quality_sections


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
