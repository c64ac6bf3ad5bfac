"""`carryflow status`: what a desk reads before a long training."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flows.cli import options as o


def status(
    data: o.OptionalData = None,
    history: o.History = None,
    instruments: o.Instruments = None,
    book: o.Book = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    artifacts: o.Artifacts = None,
    store: o.SharedStore = None,
    verbose: o.Verbose = False,
) -> None:
    """Print the readiness report: data, parts, a short training and inference test, times, aliases, runs.

    Everything in it is measured while you wait. Exit code 0 if READY, 1 if NOT READY, 2 if a path is wrong.
    """
    from flows.cli.readiness import print_report
    from flows.cli.terminal import Progress, show_logs
    from flows.cli.train import use_artifacts
    from tasks import ui
    from tasks.readiness import measure

    use_artifacts(artifacts, store)
    progress = Progress()
    show_logs(progress)
    ui.set_terminal(progress)
    try:
        report = measure(data, history, book=book, instruments=instruments)
    finally:
        progress.done()
        ui.set_terminal(None)
    if as_json:
        print(report.model_dump_json(indent=2))
    else:
        print_report(report)
    sys.exit(0 if report.ready else 1)
