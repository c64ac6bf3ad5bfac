"""`carryflow sample-data` and `carryflow validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli import options as o


def sample_data(
    days: Annotated[int, typer.Option(min=1, help="Days of market.")] = 30,
    rows_per_hour: Annotated[int, typer.Option(min=1, help="Rows the scanner writes an hour.")] = 54,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same seed gives the same bytes.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("data/sample"),
    verbose: o.Verbose = False,
) -> None:
    """Generate a market like real ones: opportunities.csv and market_history.csv."""
    from rl.market.synthetic import write_sample

    made = write_sample(out, days=days, rows_per_hour=rows_per_hour, seed=seed)
    print(f"{made.opportunities}: {made.opportunity_rows:,} rows")
    print(f"{made.history}: {made.history_rows:,} rows")
    print(f"{made.symbols} symbols, {made.first} to {made.end}, seed {made.seed}")


def validate(
    data: o.Data,
    history: o.History = None,
    max_bad_fraction: o.MaxBad = None,
    history_bars_open_stamped: o.OpenStamped = False,
    instruments: o.Instruments = None,
    book: o.Book = "default",
    report: Annotated[
        Path | None,
        typer.Option(help="Where the report goes, one HTML file (default: reports/ in the artifact root)."),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
    set_: o.Set = None,
    artifacts: o.Artifacts = None,
    store: o.SharedStore = None,
    verbose: o.Verbose = False,
) -> None:
    """Check the data as a run would and print what was found; nothing is trained.

    The newest rows are held against what the book's champion was trained on, feature by feature; where none
    reigns, against the train window of this data. Drift is told, and the exit code does not depend on it.

    Exit code 0 if the data keeps the rules (a file too short to train on included), 2 if not.
    """
    from flows.cli.browser import open_report, refuse_without_browser
    from flows.cli.parameters import build_advanced
    from flows.cli.quality import copy_page, print_drift, print_quality, refuse_no_file, whole_report
    from flows.cli.terminal import Progress, show_logs
    from flows.cli.train import common_flags, use_artifacts
    from tasks.data_quality import quality
    from tasks.ingest import ingest
    from tasks.store import book_dir, resolve_root

    use_artifacts(artifacts, store)
    if open_:
        refuse_without_browser()
    if report is not None:
        refuse_no_file(report)
    book_dir(resolve_root(), book)  # a name that is none is refused before minutes are spent on the data
    show_logs(Progress())
    advanced = build_advanced(
        None, set_, common_flags(max_bad_fraction, history_bars_open_stamped, instruments=instruments)
    )
    found = ingest(
        data,
        history,
        **advanced.input_rules(),
    )
    described = quality(
        found.ref, book=book, limits=advanced.gates.drift, episode_hours=advanced.training.episode_hours
    )
    page = copy_page(described, report, book)
    if as_json:
        print(whole_report(found.path, described))
    else:
        print_quality(found.path)
        print_drift(described, page)
    if open_:
        open_report(page)
