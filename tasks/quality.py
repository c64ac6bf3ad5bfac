"""The data-quality report as titled tables, for the terminal and for the UI alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SHOWN: Final = 12


@dataclass(frozen=True)
class Section:
    """One table of the report."""

    title: str
    header: list[str]
    rows: list[list[Any]]


def quality_sections(report: Mapping[str, Any]) -> list[Section]:
    """Return the content of quality.json as tables, the most important first.

    Args:
        report: `quality.json`; empty tables are left out.
    """
    sections = []
    for table in ("opportunities", "history"):
        if report.get(table):
            sections += _table(table, report[table])
    if report.get("unused_files"):
        sections.append(Section("Files not used", ["file"], [[name] for name in report["unused_files"]]))
    return [section for section in sections if section.rows]


def _table(name: str, facts: Mapping[str, Any]) -> list[Section]:
    title = name.capitalize()
    overview = [
        ["rows in", facts["rows_in"]],
        ["clean", facts["clean"]],
        ["exact duplicates dropped", facts["duplicates"]],
        ["quarantined", facts["quarantined"]],
        ["blank lines", facts["blank_lines"]],
        ["first", facts["first"]],
        ["last", facts["last"]],
        ["hours", facts["hours"]],
        ["hours without a row", facts["hours_without_rows"]],
        ["symbols", len(facts["symbols"])],
        ["venues", _listed(facts["venues"])],
        ["days", f"{len(facts['days'])} ({_range(facts['days'].values())} rows each)"],
    ]
    broken = [
        [rule, kept["rows"], kept["meaning"], _example(kept["examples"])]
        for rule, kept in facts["rules"].items()
    ]
    counted = [[_words(what), n] for what, n in facts["counts"].items() if n]
    gaps = [[gap["first"], gap["last"], gap["hours"]] for gap in facts["gaps"][:SHOWN]]
    nulls = [[column, kept["nulls"]] for column, kept in facts["columns"].items() if kept["nulls"]]
    columns = [
        *[[column, "carried along"] for column in facts["extra_columns"]],
        *[[column, "dropped"] for column in facts["dropped_columns"]],
        *[[column, f"absent; {like!r} looks like it" if like else "absent"]
          for column, like in facts["absent_columns"].items()],
    ]  # fmt: skip
    changes = [[who, path] for who, path in list(facts["interval_changes"].items())[:SHOWN]]
    return [
        Section(title, ["what", "value"], overview),
        Section(f"{title}: quarantined rows by rule", ["rule", "rows", "a value", "first example"], broken),
        Section(f"{title}: repaired or odd", ["what", "rows"], counted),
        Section(f"{title}: longest gaps", ["first hour", "last hour", "hours"], gaps),
        Section(f"{title}: empty values", ["column", "rows"], nulls),
        Section(f"{title}: columns", ["column", "what became of it"], columns),
        Section(f"{title}: funding intervals that change", ["instrument", "hours"], changes),
    ]


def _example(examples: list[Mapping[str, Any]]) -> str:
    if not examples:
        return ""
    first = examples[0]
    return f"{first['file']} row {first['row']}, {first['column']} = {first['value']!r}"


def _listed(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {n:,}" for name, n in list(counts.items())[:SHOWN]]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _range(values: Any) -> str:
    numbers = list(values)
    if not numbers:
        return "0"
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _words(name: str) -> str:
    return name.replace("_", " ")
