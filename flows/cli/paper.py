"""`carryflow paper-trade` and `carryflow paper`: trading on paper, and what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import options as o

if TYPE_CHECKING:
    from schemas.paper import PaperCheck, PaperRun
    from schemas.trading import PresetName


def paper_trade(
    data: o.Data,
    history: o.History = None,
    book: o.Book = "default",
    preset: Annotated[list[o.Preset] | None, typer.Option(
        help="Risk profile of the portfolios; may be repeated (default moderate).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    initial_capital: o.Capital = None,
    max_bad_fraction: o.MaxBad = None,
    history_bars_open_stamped: o.OpenStamped = False,
    instruments: o.Instruments = None,
    artifacts: o.Artifacts = None,
    store: o.SharedStore = None,
    verbose: o.Verbose = False,
) -> None:  # fmt: skip
    """Let challenger and champion decide on every new hour of the data, and move their paper portfolios on.

    Run it every hour. Late, twice or after missed hours it leaves the same ledger; without fresh data it
    holds. It begins at the newest hour. docs/paper.md says what is written down.
    """
    from flows.cli.parameters import build_advanced
    from flows.cli.terminal import Progress, show_logs
    from flows.cli.train import common_flags, use_artifacts
    from tasks import ui
    from tasks.ingest import ingest
    from tasks.paper import paper_trade as trade
    from tasks.paper_files import paper_turn
    from tasks.store import resolve_root

    use_artifacts(artifacts, store)
    progress = Progress()
    show_logs(progress)
    advanced = build_advanced(
        flags=common_flags(
            max_bad_fraction, history_bars_open_stamped, capital=initial_capital, instruments=instruments
        )
    )
    presets: list[PresetName] = [one.value for one in preset or [o.Preset.moderate]]
    ui.set_terminal(lambda text, transient: progress(text, True))
    try:
        with paper_turn(resolve_root(), book):
            dataset = ingest(
                data,
                history,
                **advanced.input_rules(),
            )
            done = trade(dataset.ref, book=book, presets=presets, capital=initial_capital)
    finally:
        progress.done()
        ui.set_terminal(None)
    if as_json:
        print(done.model_dump_json(indent=2))
    else:
        _print_run(done)


def paper(
    book: o.Book = "default",
    check: Annotated[bool, typer.Option(
        "--check", help="Hold every segment against a backtest of the same hours over --data.")] = False,
    data: o.OptionalData = None,
    history: o.History = None,
    html: Annotated[Path | None, typer.Option(
        "--html", help="Write it as one HTML page with the curves of equity, to this file.")] = None,
    open_: Annotated[bool, typer.Option(
        "--open", help="Write the page (without --html, beside the book's reports) and open it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    max_bad_fraction: o.MaxBad = None,
    history_bars_open_stamped: o.OpenStamped = False,
    instruments: o.Instruments = None,
    artifacts: o.Artifacts = None,
    store: o.SharedStore = None,
    verbose: o.Verbose = False,
) -> None:  # fmt: skip
    """Show where the paper portfolios of a book stand, and what they did last.

    With --check, say whether a backtest over the same hours gives the same trades, bit for bit; exit code 1
    where it does not although no row came late.
    """
    from flows.cli.browser import open_report, refuse_without_browser
    from flows.cli.quality import refuse_no_file
    from flows.cli.summary import shown_path
    from flows.cli.terminal import Progress, show_logs
    from flows.cli.train import use_artifacts
    from schemas.errors import ConfigError
    from schemas.paper import PaperRun
    from tasks.ingest import ingest
    from tasks.paper import paper_portfolios, portfolio_of
    from tasks.paper_check import paper_check
    from tasks.show_paper import paper_page
    from tasks.store import resolve_root

    use_artifacts(artifacts, store)
    if check != (data is not None):
        raise ConfigError("--check and --data go together.", remedy="Give both, or neither.")
    if check and (html is not None or open_):
        raise ConfigError("--check writes no page.", remedy="Leave out --html and --open.")
    if html is not None:
        refuse_no_file(html, "--html")
    if open_:
        refuse_without_browser()
    if data is None:
        kept = paper_portfolios(resolve_root(), book)
        said = (
            ()
            if kept
            else (f"Nothing was traded on paper in book {book} yet: `carryflow paper-trade` begins.",)
        )
        found = tuple(portfolio_of(lines, state) for state, lines in kept)
        done = PaperRun(book=book, said=said, portfolios=found)
        if as_json:
            print(done.model_dump_json(indent=2))
        else:
            _print_run(done)
        if (html is not None or open_) and (page := paper_page(book, html)) is not None:
            if not as_json:
                print(f"\nReport: {shown_path(page)}")
            if open_:
                open_report(page)
        return
    progress = Progress()
    show_logs(progress)
    from flows.cli.parameters import build_advanced
    from flows.cli.train import common_flags

    advanced = build_advanced(
        flags=common_flags(max_bad_fraction, history_bars_open_stamped, instruments=instruments)
    )
    dataset = ingest(
        data,
        history,
        **advanced.input_rules(),
    )
    checks = paper_check(dataset.ref, book=book)
    progress.done()
    if as_json:
        print(json.dumps([one.model_dump(mode="json") for one in checks], indent=2))
    else:
        _print_checks(checks)
    if any(one.difference and not one.late_rows for one in checks):
        raise typer.Exit(1)


def _print_run(done: PaperRun) -> None:
    from flows.cli.terminal import heading, print_table
    from tasks import show_paper as shown

    for sentence in done.said:
        print(sentence)
    if not done.portfolios:
        return
    heading(f"Paper portfolios of book {done.book}")
    print_table(shown.PORTFOLIO_HEADER, shown.portfolio_rows(done.portfolios))
    rows = shown.open_rows(done.portfolios)
    if rows:
        heading("Open positions")
        print_table(shown.OPEN_HEADER, rows)
    heading("Decided at the newest hour")
    print_table(shown.DECISION_HEADER, shown.decision_rows(done.portfolios))


def _print_checks(checks: tuple[PaperCheck, ...]) -> None:
    from flows.cli.terminal import print_table

    print_table(
        ["portfolio", "segment", "version", "from (UTC)", "to", "hours", "trades", "late rows", "backtest"],
        [
            [
                f"{one.alias}, {one.preset}",
                one.segment,
                one.version or "none",
                f"{one.first:%Y-%m-%d %H:%M}",
                f"{one.last:%Y-%m-%d %H:%M}",
                one.hours,
                one.trades,
                one.late_rows.rows,
                "DIFFERS" if one.difference else "equal",
            ]
            for one in checks
        ],
    )
    for one in checks:
        if one.difference:
            late = f" Since it began there were {one.late_rows}." if one.late_rows else ""
            print(f"{one.alias}, {one.preset}, segment {one.segment}: {one.difference}.{late}")
