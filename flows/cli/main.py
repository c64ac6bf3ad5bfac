"""`carryflow`: the command line, and what it answers to mistakes and signals.

Exit codes: 0 done (a policy that is not promoted is a result, not an error), 1 a defect of the
program (a leak that `audit` finds is one, a bar that `certify` misses another), or NOT READY of `status`,
2 a mistake a person can mend, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import errno
import sys

import typer

from flows.cli import audit, certify, data, evaluate, gc, paper, registry, status, sweep, train, walk_forward
from flows.cli.signals import Terminated, watch_signals
from flows.cli.terminal import print_error

app = typer.Typer(
    name="carryflow",
    help="From a CSV of funding-rate arbitrage opportunities to a trading policy that may be trusted.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich would cost a third of a second
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(train.run)
app.command("train")(train.train)
app.command("walk-forward")(walk_forward.walk_forward)
app.command("sweep")(sweep.sweep)
app.command("backtest")(evaluate.backtest)
app.command("predict")(evaluate.predict)
app.command("paper-trade")(paper.paper_trade)
app.command("paper")(paper.paper)
app.command("audit")(audit.audit)
app.command("certify")(certify.certify)
app.command("sample-data")(data.sample_data)
app.command("validate")(data.validate)
app.add_typer(registry.app, name="registry")
app.command("status")(status.status)
app.command("gc")(gc.gc)


def main() -> None:
    """Run the command line and exit with its code."""
    verbose = "--verbose" in sys.argv[1:]
    watch_signals()
    try:
        app()
    except Terminated:
        sys.exit(143)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stdout = None  # whoever read it has gone; so do we, quietly
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  the one place where every error becomes a line and a code
        if verbose:
            import traceback

            traceback.print_exc()
        sys.exit(_report(error))
    except BaseException as signal:
        # Prefect turns SIGTERM into an exception of its own while a flow runs.
        if type(signal).__name__ == "TerminationSignal":
            sys.exit(143)
        raise


def _report(error: Exception) -> int:
    from schemas.errors import UserError

    if isinstance(error, UserError):
        print_error(str(error))
        return 2
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f"{error.filename}: " if error.filename else ""
        remedy = "Make room (`carryflow status` says what takes it) and repeat it: it goes on."
        print_error(f"{where}the disk is full, and nothing half written is used. {remedy}")
        return 2
    if isinstance(error, OSError) and error.filename is not None:
        print_error(f"{error.filename}: {error.strerror}.")
        theirs = isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError)
        return 2 if theirs or error.errno == errno.EROFS else 1
    print_error(f"unexpected {type(error).__name__}: {error}. Repeat with --verbose to see where.")
    return 1


if __name__ == "__main__":
    main()
