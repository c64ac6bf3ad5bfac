"""What a run of paper trading puts on its page: equity, what is open, what was decided, late rows."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, ParamSpec

from schemas.paper import PaperLine, PaperPortfolio, PaperRun
from tasks import ui
from tasks.paper import paper_portfolios, portfolio_of
from tasks.store import resolve_root

P = ParamSpec("P")

PORTFOLIO_HEADER: Final = (
    "portfolio", "version", "hour (UTC)", "hours", "equity", "return %", "drawdown %", "funding", "costs",
    "trades", "open", "late rows",
)  # fmt: skip
OPEN_HEADER: Final = (
    "portfolio", "pair", "since (UTC)", "quantity", "entry long", "entry short", "mark long", "mark short",
    "funding",
)  # fmt: skip
DECISION_HEADER: Final = ("portfolio", "decision", "probability", "why")
STATUS_HEADER: Final = (
    "portfolio",
    "equity",
    "return %",
    "open positions",
    "last hour decided (UTC)",
    "late rows",
)
SHOWN_LINES: Final = 12


def told(shell: Callable[P, PaperRun]) -> Callable[P, PaperRun]:
    """Return the shell with what it did shown on the run's page."""

    @functools.wraps(shell)
    def run(*args: P.args, **kwargs: P.kwargs) -> PaperRun:
        done = shell(*args, **kwargs)
        if ui.in_run():
            paper(done)
        return done

    return run


def paper(done: PaperRun) -> None:
    """Show where the portfolios of a book stand."""
    from tasks.report.paper import paper_picture

    ledgers = {name_of(state): lines for state, lines in paper_portfolios(resolve_root(), done.book)}
    mine = {name_of(p): ledgers[name_of(p)] for p in done.portfolios}
    page = paper_page(done.book)
    picture = ""
    if any(len(lines) > 1 for lines in mine.values()):
        png = base64.b64encode(paper_picture(mine)).decode("ascii")
        picture = f"![Return on paper](data:image/png;base64,{png})"
    text = paper_markdown(done, mine, picture) + ("" if page is None else f"\n\nThe whole page: `{page}`")
    ui.markdown("paper", text, "What the aliases would have earned")


def paper_page(book: str, to: Path | None = None) -> Path | None:
    """Write the page of a book's paper portfolios, and return its path; None where there are none.

    Args:
        book: Whose.
        to: Where; None is beside the book's other reports.

    Raises:
        ArtifactError: A portfolio was altered.
        ConfigError: The book's name is not a valid one.
    """
    from tasks.report.paper_page import PAGE, Told, write_paper

    root = resolve_root()
    told = [
        Told(name_of(state), portfolio_of(lines, state), lines)
        for state, lines in paper_portfolios(root, book)
    ]
    if not told:
        return None
    path = to or root / "reports" / book / PAGE
    return write_paper(path, book, told, datetime.now(UTC))


def paper_markdown(done: PaperRun, ledgers: dict[str, list[PaperLine]], picture: str = "") -> str:
    """Return a run of paper trading as markdown; sentences are lines of text, which the page wraps."""
    parts = [f"# Paper trading\n\nBook `{done.book}`.", "\n".join(f"- {sentence}" for sentence in done.said)]
    if done.portfolios:
        parts += [ui.table(list(PORTFOLIO_HEADER), portfolio_rows(done.portfolios)), picture]
        opened = open_rows(done.portfolios)
        parts += ["## Open positions", ui.table(list(OPEN_HEADER), opened) if opened else "Nothing is open."]
        parts += [
            "## Decided at the newest hour",
            ui.table(list(DECISION_HEADER), decision_rows(done.portfolios)),
        ]
        parts += ["## The last fills", *fills_told(ledgers)]
    return "\n\n".join(filter(None, parts))


def portfolio_rows(portfolios: Sequence[PaperPortfolio]) -> list[list[Any]]:
    """Return a row per portfolio, under PORTFOLIO_HEADER."""
    return [
        [
            name_of(p),
            p.version or "none",
            f"{p.hour:%Y-%m-%d %H:%M}",
            p.decided,
            p.nlv,
            p.return_pct,
            100.0 * p.drawdown,
            p.funding,
            p.costs,
            p.trades,
            len(p.open),
            p.late_rows.rows,
        ]
        for p in portfolios
    ]


def status_row(p: PaperPortfolio) -> list[Any]:
    """Return a portfolio in short, under STATUS_HEADER."""
    return [name_of(p), p.nlv, p.return_pct, len(p.open), f"{p.hour:%Y-%m-%d %H:%M}", p.late_rows.rows]


def open_rows(portfolios: Sequence[PaperPortfolio]) -> list[list[Any]]:
    """Return a row per open position, under OPEN_HEADER."""
    return [
        [
            name_of(p),
            f"{held.symbol} {held.long_exchange} / {held.short_exchange}",
            f"{held.opened:%Y-%m-%d %H:%M}",
            held.quantity,
            *held.entry,
            *held.mark,
            held.flows,
        ]
        for p in portfolios
        for held in p.open
    ]


def decision_rows(portfolios: Sequence[PaperPortfolio]) -> list[list[Any]]:
    """Return a row per portfolio, under DECISION_HEADER."""
    return [
        [name_of(p), p.decision.name, None if p.held else p.decision.probability, p.held] for p in portfolios
    ]


def fills_told(ledgers: dict[str, list[PaperLine]]) -> list[str]:
    """Return the newest fills of each portfolio as a table, or a sentence."""
    rows: list[list[Any]] = [
        [f"{line.hour:%Y-%m-%d %H:%M}", name, fill.kind, fill.symbol,
         f"{fill.long_venue} / {fill.short_venue}", fill.quantity, *fill.price, fill.reason]
        for name, lines in ledgers.items()
        for line in lines
        for fill in line.fills
    ]  # fmt: skip
    if not rows:
        return ["Nothing has filled yet."]
    header = [
        "hour (UTC)",
        "portfolio",
        "what",
        "symbol",
        "venues",
        "quantity",
        "long at",
        "short at",
        "reason",
    ]
    newest = sorted(rows, key=lambda row: str(row[0]), reverse=True)[:SHOWN_LINES]
    return [ui.table(header, newest)]


def name_of(portfolio: Any) -> str:
    """Return what a portfolio (or its state) is called."""
    return f"{portfolio.alias}, {portfolio.preset}"
