"""Starting a flow from the command line, and telling in the terminal how it ended."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import settings
from flows.cli.terminal import Progress, show_logs

if TYPE_CHECKING:
    from schemas.params import Advanced, RunnerName


def run_data_to_model(
    *,
    data: Path,
    history: Path | None,
    book: str,
    preset: str,
    seed: int,
    seeds: int,
    num_episodes: int | None,
    time_budget: float,
    runner: RunnerName,
    workers: int,
    dry_run: bool,
    max_data_age_hours: float,
    advanced: Advanced,
    verbose: bool = False,
) -> None:
    """Run `data_to_model` here and print its summary; the parameters are the flow's."""
    from flows.cli.summary import print_run
    from tasks.extras import refuse_runner

    refuse_runner(runner)
    started = time.monotonic()
    result = _run(
        "data_to_model",
        data=data,
        history=history,
        book=book,
        advanced=advanced,
        verbose=verbose,
        asked={
            "preset": preset,
            "seed": seed,
            "seeds": seeds,
            "num_episodes": num_episodes,
            "time_budget": time_budget,
            "runner": runner,
            "workers": workers,
            "dry_run": dry_run,
            "max_data_age_hours": max_data_age_hours,
        },
    )
    if "skipped" in result:
        return  # it was said while it ran
    print_run(result, book=book, preset=preset, seconds=time.monotonic() - started)


def run_train(
    *,
    data: Path,
    history: Path | None,
    book: str,
    preset: str,
    seed: int,
    num_episodes: int | None,
    time_budget: float,
    advanced: Advanced,
    checkpoint_dir: Path,
    verbose: bool = False,
) -> None:
    """Run `train` here, leave its checkpoints in a folder and print its summary."""
    from flows.cli.summary import print_training
    from tasks.checkpoints import copy_checkpoints

    started = time.monotonic()
    result = _run(
        "train",
        data=data,
        history=history,
        book=book,
        advanced=advanced,
        verbose=verbose,
        model=advanced.resume_from,
        asked={
            "preset": preset,
            "seed": seed,
            "num_episodes": num_episodes,
            "time_budget": time_budget,
        },
    )
    copied = copy_checkpoints(result["model"], checkpoint_dir)
    print_training(result, copied, seconds=time.monotonic() - started)


def run_backtest(
    *,
    model: str,
    data: Path,
    history: Path | None,
    book: str,
    preset: str,
    window: str,
    start: str,
    end: str,
    random_runs: int,
    seed: int,
    stress: bool,
    advanced: Advanced,
    verbose: bool = False,
) -> Path:
    """Run `backtest` here, print its summary and return its report; the parameters are the flow's."""
    from flows.cli.summary import print_backtest

    result = _run(
        "backtest",
        data=data,
        history=history,
        book=book,
        advanced=advanced,
        verbose=verbose,
        model=model,
        asked={
            "model": model,
            "preset": preset,
            "window": window,
            "start": start,
            "end": end,
            "random_runs": random_runs,
            "seed": seed,
            "stress": stress,
        },
    )
    return print_backtest(result, book=book)


def run_walk_forward(
    *,
    data: Path,
    history: Path | None,
    book: str,
    asked: Mapping[str, Any],
    advanced: Advanced,
    verbose: bool = False,
) -> None:
    """Run `walk_forward` here and print its summary; `asked` are the flow's other parameters."""
    from flows.cli.walk_forward import print_walk_forward
    from tasks.extras import refuse_runner
    from tasks.walk_forward import refuse_start

    refuse_start(advanced)
    refuse_runner(asked["runner"])
    started = time.monotonic()
    result = _run(
        "walk_forward", data=data, history=history, book=book, advanced=advanced, verbose=verbose, asked=asked
    )
    print_walk_forward(result, book=book, seconds=time.monotonic() - started)


def run_sweep(
    *,
    data: Path,
    history: Path | None,
    book: str,
    asked: Mapping[str, Any],
    advanced: Advanced,
    verbose: bool = False,
) -> None:
    """Run `sweep` here and print its summary; `asked` are the flow's other parameters."""
    from flows.cli.sweep import print_sweep
    from rl.sweep.propose import require_optuna
    from tasks.extras import refuse_runner
    from tasks.sweep import refuse_start

    refuse_start(advanced)
    refuse_runner(asked["runner"])
    require_optuna()
    started = time.monotonic()
    result = _run(
        "sweep", data=data, history=history, book=book, advanced=advanced, verbose=verbose, asked=asked
    )
    print_sweep(result, data=data, book=book, seconds=time.monotonic() - started)


def _run(
    flow: str,
    *,
    data: Path,
    history: Path | None,
    book: str,
    advanced: Advanced,
    asked: Mapping[str, Any],
    verbose: bool,
    model: str = "",
) -> dict[str, Any]:
    """Call a flow here with what was given, and return what it returned.

    What can be refused without a server is refused before one is started.

    Args:
        flow: Its name, which is that of its module too.
        data: One of the parameters that every flow has, like the three that follow. Looked at before.
        history: See above.
        book: See above.
        advanced: See above; of it, the table of instruments is looked at.
        asked: The others by name; None is what was not given, so that the flow's own default holds.
        verbose: See `in_prefect`.
        model: A file, alias or version that has to be there; empty is none.

    Raises:
        UserError: Whatever a step refused.
    """
    _refuse_early(data, history, book, model, advanced.instruments)
    with in_prefect(verbose=verbose):
        call = getattr(import_module(f"flows.{flow}"), flow)  # imported now that Prefect's settings stand
        result: dict[str, Any] = call(
            data=str(data),
            history=str(history or ""),
            book=book,
            advanced=advanced,
            **{name: value for name, value in asked.items() if value is not None},
        )
    return result


@contextmanager
def in_prefect(*, verbose: bool) -> Iterator[None]:
    """Let a flow run here, with quiet logs and live progress.

    Without a `PREFECT_API_URL` Prefect starts a server of its own for the run.

    Args:
        verbose: Leave Prefect's own lines on the console.
    """
    settings.apply_script(verbose=verbose)
    # A run alone with its own server needs no heartbeat: nobody would hear it, and its thread costs a second.
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from tasks import ui

    progress = Progress()
    ui.set_terminal(progress)
    alone = not os.environ.get("PREFECT_API_URL")
    if alone:
        progress("Starting a Prefect server for this run (the first time takes half a minute)", True)
    overrides: dict[Any, Any] = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None} if alone else {}
    show_logs(progress)
    try:
        with temporary_settings(overrides):
            yield
    finally:
        progress.done()
        ui.set_terminal(None)


def _refuse_early(data: Path, history: Path | None, book: str, model: str, instruments: str) -> None:
    """Look at what needs no server: half a minute is long to wait for a mistyped path or a foreign file."""
    from schemas.ingest import discover, load_instruments
    from schemas.ingest.headers import match_columns, read_header
    from tasks.models import find_model
    from tasks.store import Store, book_dir, resolve_root

    root = resolve_root()
    book_dir(root, book)
    if model:
        find_model(Store(root), model, book)
    load_instruments(data, Path(instruments) if instruments else None)
    for file in discover(data, history).files:
        match_columns(file.path, ",".join(read_header(file.path)), file.table)
