"""`carryflow audit`."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import options as o

if TYPE_CHECKING:
    from schemas.audit import AuditReport


def audit(
    data: o.Data,
    model: Annotated[str | None, typer.Argument(
        help="Whose decisions are audited too: an alias (challenger, champion), a version, or a checkpoint "
        "file. Left out, greedy and random actions alone are replayed.")] = None,
    history: o.History = None,
    book: o.Book = "default",
    times: Annotated[int, typer.Option(min=2, help="Times of validation and test that are sampled.")] = 50,
    seed: Annotated[int, typer.Option(
        min=0, help="Seed of the times, the garbage and the random actions.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
    max_bad_fraction: o.MaxBad = None,
    history_bars_open_stamped: o.OpenStamped = False,
    instruments: o.Instruments = None,
    artifacts: o.Artifacts = None,
    store: o.SharedStore = None,
    verbose: o.Verbose = False,
) -> None:  # fmt: skip
    """Prove that nothing known, decided or booked at a time depends on what comes after it.

    For each sampled time every row that arrives later is replaced: by other prices, rates and intervals, by
    missing values, by nothing, and by additional rows. Features, scaler, observations, masks, orders,
    decisions and books up to that time are built anew each time, and have to be the same to the last bit.

    Exit code 0 if they are, 1 if one is not, 2 if the data or the policy cannot be used.
    """
    from flows.cli.parameters import build_advanced
    from flows.cli.terminal import Progress, show_logs
    from flows.cli.train import common_flags, use_artifacts
    from schemas.audit import AUDIT, AuditReport
    from tasks import ui
    from tasks.audit import audit_data
    from tasks.store import book_dir, resolve_root

    use_artifacts(artifacts, store)
    book_dir(resolve_root(), book)  # a mistyped name is refused before minutes of work
    progress = Progress()
    show_logs(progress)
    ui.set_terminal(progress)
    advanced = build_advanced(
        flags=common_flags(max_bad_fraction, history_bars_open_stamped, instruments=instruments)
    )
    try:
        found = audit_data(data, history, model, book=book, times=times, seed=seed, advanced=advanced)
    finally:
        progress.done()
        ui.set_terminal(None)
    report = AuditReport.model_validate_json((found.path / AUDIT).read_text(encoding="utf-8"))
    if as_json:
        print(report.model_dump_json(indent=2))
    else:
        print_audit(report)
    sys.exit(0 if report.holds else 1)


def print_audit(report: AuditReport) -> None:
    """Print what was compared by part and kind of garbage, and the first difference."""
    from flows.cli.terminal import heading, print_table

    whose = f"version {report.version}, " if report.version else "no policy, "
    heading(f"Causality audit ({whose}{'with' if report.with_history else 'without'} a market history)")
    rows: dict[tuple[str, str], list[int]] = {}
    for time in report.times:
        for finding in time.findings:
            row = rows.setdefault((time.part, finding.kind), [0, 0, 0])
            row[0] += 1
            row[1] += finding.compared
            row[2] += bool(finding.differences)
    table = [[*names, *row] for names, row in sorted(rows.items(), key=lambda item: item[0][0], reverse=True)]
    print_table(["part", "garbage after the time", "times", "numbers compared", "leaks"], table)
    print()
    if report.holds:
        print(f"PASSED: nothing known at {len(report.times)} times depends on what comes later.")
        return
    print(f"FAILED at {report.leaking} of {len(report.times)} times. The first difference:")
    print(textwrap.fill(report.first_difference or "", 100, initial_indent="  ", subsequent_indent="  "))
