"""The corpus as a page: docs/input.md, of which the tables are made from the cases."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from schemas.tables import RULES
from tests.corpus.case import Case, Kept, Refused
from tests.corpus.cases import GROUPS

PAGE: Final = Path(__file__).parents[2] / "docs" / "input.md"
BEGIN: Final = "<!-- the tables below are written by `python -m tests.corpus` -->"


def written() -> str:
    """Return the page with its tables as the cases have them."""
    text = PAGE.read_text(encoding="utf-8")
    return text[: text.index(BEGIN)] + BEGIN + "\n" + tables()


def tables() -> str:
    """Return a table of each group."""
    lines: list[str] = []
    for title, cases in GROUPS.items():
        lines += ["", f"## {title}", "", "| given | what is done |", "|---|---|"]
        lines += [f"| {_cell(case.name)} | {_cell(done(case))} |" for case in cases]
    return "\n".join(lines) + "\n"


def done(case: Case) -> str:
    """Return in words what must become of a case."""
    if isinstance(case.does, Refused):
        return f"refused: *{case.does.sentence}*"
    kept: Kept = case.does
    parts = [
        f"all {kept.rows:,} rows kept"
        if kept.clean == kept.rows
        else f"{kept.clean:,} of {kept.rows:,} rows kept"
    ]
    if kept.rows == 1:
        parts = ["kept"]
    if kept.quarantined:
        rules = "; ".join(f"`{rule}`: {RULES[rule]}" for rule in kept.rules)
        parts.append(f"{kept.quarantined} quarantined ({rules})")
    if kept.duplicates:
        parts.append(f"{kept.duplicates} dropped as duplicates")
    parts += [f"{name.replace('_', ' ')}: {count}" for name, count in kept.counts.items()]
    if kept.says:
        parts.append(kept.says)
    return "; ".join(parts)


def _cell(text: str) -> str:
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return shown.replace("|", "\\|").replace("<", "&lt;")
