"""From paper ledgers to a page a person reads; like the backtest's, it asks nobody for anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from rl.judge.gates import counted
from schemas.paper import LateRows, PaperLine, PaperPortfolio
from tasks.files import write_atomic
from tasks.report.canvas import minus
from tasks.report.html import environment
from tasks.report.paper import paper_picture
from tasks.report.pictures import Picture, painted

PAGE: Final = "paper.html"
LAST_DECISIONS: Final = 50
LAST_LATE: Final = 20


@dataclass(frozen=True)
class Told:
    """A portfolio by its name: where it stands, and its ledger."""

    name: str
    stands: PaperPortfolio
    lines: Sequence[PaperLine]


def write_paper(path: Path, book: str, portfolios: Sequence[Told], now: datetime) -> Path:
    """Render the page of a book's paper portfolios, whole or not at all.

    The page holds its picture and its style, and a policy that forbids it any request. Text from files
    (symbols, venues) is escaped.

    Args:
        path: The HTML file.
        book: Whose.
        portfolios: At least one, in the order they are shown.
        now: The moment it is written at.
    """
    every = [(told.name, line) for told in portfolios for line in told.lines]
    every.sort(key=lambda one: one[1].hour, reverse=True)  # stable: portfolios keep their order
    text = (
        environment()
        .get_template(PAGE)
        .render(
            book=book,
            portfolios=portfolios,
            headline=headline(portfolios),
            since=min(told.stands.since for told in portfolios),
            newest=max(told.stands.hour for told in portfolios),
            now=now,
            pictures=_pictures({told.name: told.lines for told in portfolios}),
            decisions=every[:LAST_DECISIONS],
            moves=[(name, line) for name, line in every if line.begins],
            late=[(name, line) for name, line in every if line.late_rows][:LAST_LATE],
            late_told={told.name: told.stands.late_rows for told in portfolios},
            all_late=sum((told.stands.late_rows for told in portfolios), LateRows()),
        )
    )
    write_atomic(path, text)
    return path


def headline(portfolios: Sequence[Told]) -> str:
    """Say in one sentence what each portfolio has come to."""
    parts = [
        f"{told.name} {minus(f'{told.stands.return_pct:+.2f}')} % in {counted(told.stands.decided, 'hour')}"
        for told in portfolios
    ]
    return f"On paper: {'; '.join(parts)}."


def _pictures(ledgers: Mapping[str, Sequence[PaperLine]]) -> dict[str, Picture]:
    if not any(len(lines) > 1 for lines in ledgers.values()):
        return {}
    alt = "Return of each paper portfolio, hour by hour; a tick marks where its alias was moved."
    return {"paper": painted("paper", lambda size: paper_picture(ledgers, size), alt)[1]}
