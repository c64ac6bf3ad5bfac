"""The quality report becomes tables in which nothing that was found is lost."""

from __future__ import annotations

import json
from pathlib import Path

from tasks.ingest import ingest
from tasks.quality import quality_sections


def test_every_broken_rule_and_every_repair_is_shown(artifacts: Path, sample: Path) -> None:
    report = json.loads((ingest(sample).path / "quality.json").read_text(encoding="utf-8"))
    shown = {section.title: section for section in quality_sections(report)}
    for table in ("opportunities", "history"):
        title = table.capitalize()
        rules = shown[f"{title}: quarantined rows by rule"].rows
        assert {row[0]: row[1] for row in rules} == {
            name: r["rows"] for name, r in report[table]["rules"].items()
        }
        assert all("row" in row[3] for row in rules)
        repaired = shown[f"{title}: repaired or odd"].rows
        assert sum(row[1] for row in repaired) == sum(report[table]["counts"].values())
        overview = {row[0]: row[1] for row in shown[title].rows}
        assert (
            overview["rows in"]
            == overview["clean"] + overview["quarantined"] + overview["exact duplicates dropped"]
        )


def test_empty_tables_and_an_absent_history_are_left_out(artifacts: Path, sample: Path) -> None:
    report = json.loads(
        (ingest(sample / "opportunities.csv").path / "quality.json").read_text(encoding="utf-8")
    )
    titles = [section.title for section in quality_sections(report)]
    assert not any(title.startswith("History") for title in titles)
    assert all(section.rows for section in quality_sections(report))
