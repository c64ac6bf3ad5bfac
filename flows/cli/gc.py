"""`carryflow gc`: removing what nobody needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import options as o

if TYPE_CHECKING:
    from schemas.retention import GcReport


def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed, and why the rest stays.")
    ] = False,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, metavar="DAYS", help="One limit for everything the next four do not name."),
    ] = None,
    store_days: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="DAYS", help="Artifacts, since a run made or found them last (default 30)."
        ),
    ] = None,
    work_days: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="DAYS", help="Resume state of unfinished steps, since it was written (default 14)."
        ),
    ] = None,
    reports_days: Annotated[
        float | None,
        typer.Option(min=0, metavar="DAYS", help="Reports, since they were laid out (default 90)."),
    ] = None,
    prefect_days: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="DAYS", help="Flow runs in Prefect's database, since they ended (default 90)."
        ),
    ] = None,
    shared_days: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS",
            help="In the shared store: artifacts, since they were published, and files that no artifact "
            "names; 1 or more (default: it is left alone).",
        ),
    ] = None,
    only_named: Annotated[
        bool,
        typer.Option(
            "--only-named-versions",
            help="Keep the artifacts only of versions that an alias, what awaits approval or the history "
            "names; every version's own folder stays.",
        ),
    ] = False,
    no_prefect: Annotated[bool, typer.Option("--no-prefect", help="Leave Prefect's database alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every single thing as JSON.")] = False,
    artifacts: o.Artifacts = None,
    store: o.SharedStore = None,
    verbose: o.Verbose = False,
) -> None:
    """Remove old artifacts, resume state, reports and flow runs that nobody needs; runs may go on beside it.

    What an alias, a version, an approval or a running process needs stays, with all it comes from. Books
    are never touched. Prefect's database is looked at where PREFECT_API_URL names a server.
    """
    from pydantic import ValidationError

    from flows import settings
    from flows.cli.parameters import refused
    from flows.cli.terminal import Progress, show_logs
    from flows.cli.train import use_artifacts
    from schemas.retention import RetentionPolicy
    from tasks import ui
    from tasks.gc import sweep

    use_artifacts(artifacts, store)
    settings.apply_script(verbose=verbose)
    try:
        policy = RetentionPolicy.of(
            older_than,
            store_days=store_days,
            work_days=work_days,
            reports_days=reports_days,
            prefect_days=prefect_days,
            shared_days=shared_days,
            versions="named" if only_named else None,
        )
    except ValidationError as error:
        raise refused(error) from None
    progress = Progress()
    show_logs(progress)
    ui.set_terminal(progress)
    try:
        report = sweep(policy, dry_run=dry_run, prefect=not no_prefect)
    finally:
        progress.done()
        ui.set_terminal(None)
    if as_json:
        print(report.model_dump_json(indent=1))
    else:
        print_report(report)


def print_report(report: GcReport) -> None:
    """Print what was kept and removed, by kind and reason."""
    from flows.cli.terminal import heading, print_table
    from tasks.gc import HEADER, words

    heading("What was found" if report.dry_run else "What was done")
    print_table(HEADER, words(report)[0])
    print()
    for line in words(report)[1]:
        print(line)
