"""Starting a flow from the command line, and telling in the terminal how it ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
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
    parameters: dict[str, Any] = {
        "data": str(data),
        "history": str(history or ""),
        "book": book,
        "preset": preset,
        "seed": seed,
        "seeds": seeds,
        "num_episodes": num_episodes,
        "time_budget": time_budget,
        "runner": runner,
        "workers": workers,
        "dry_run": dry_run,
        "max_data_age_hours": max_data_age_hours,
        "advanced": advanced,
    }

    def start() -> dict[str, Any]:
        from flows.data_to_model import data_to_model

        result: dict[str, Any] = data_to_model(**_given(parameters))
        return result

    started = time.monotonic()
    result = in_prefect(
        start, data=data, history=history, book=book, verbose=verbose, instruments=advanced.instruments
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

    parameters: dict[str, Any] = {
        "data": str(data),
        "history": str(history or ""),
        "book": book,
        "preset": preset,
        "seed": seed,
        "num_episodes": num_episodes,
        "time_budget": time_budget,
        "advanced": advanced,
    }

    def start() -> dict[str, Any]:
        from flows.train import train

        result: dict[str, Any] = train(**_given(parameters))
        return result

    started = time.monotonic()
    result = in_prefect(
        start,
        data=data,
        history=history,
        book=book,
        verbose=verbose,
        model=advanced.resume_from,
        instruments=advanced.instruments,
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

    parameters: dict[str, Any] = {
        "data": str(data),
        "history": str(history or ""),
        "model": model,
        "book": book,
        "preset": preset,
        "window": window,
        "start": start,
        "end": end,
        "random_runs": random_runs,
        "seed": seed,
        "stress": stress,
        "advanced": advanced,
    }

    def begin() -> dict[str, Any]:
        from flows.backtest import backtest

        result: dict[str, Any] = backtest(**_given(parameters))
        return result

    result = in_prefect(
        begin,
        data=data,
        history=history,
        book=book,
        verbose=verbose,
        model=model,
        instruments=advanced.instruments,
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
    parameters: dict[str, Any] = {
        "data": str(data),
        "history": str(history or ""),
        "book": book,
        "advanced": advanced,
        **asked,
    }

    def start() -> dict[str, Any]:
        from flows.walk_forward import walk_forward

        result: dict[str, Any] = walk_forward(**_given(parameters))
        return result

    started = time.monotonic()
    result = in_prefect(
        start, data=data, history=history, book=book, verbose=verbose, instruments=advanced.instruments
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
    parameters: dict[str, Any] = {
        "data": str(data),
        "history": str(history or ""),
        "book": book,
        "advanced": advanced,
        **asked,
    }

    def start() -> dict[str, Any]:
        from flows.sweep import sweep

        result: dict[str, Any] = sweep(**_given(parameters))
        return result

    started = time.monotonic()
    result = in_prefect(
        start, data=data, history=history, book=book, verbose=verbose, instruments=advanced.instruments
    )
    print_sweep(result, data=data, book=book, seconds=time.monotonic() - started)


def in_prefect(
    start: Callable[[], dict[str, Any]],
    *,
    data: Path,
    history: Path | None,
    book: str,
    verbose: bool,
    model: str = "",
    instruments: str = "",
) -> dict[str, Any]:
    """Call a flow with quiet logs and live progress.

    What can be refused without a server is refused before one is started. Without a
    `PREFECT_API_URL` Prefect starts a server of its own for the run.

    Args:
        start: Imports and calls the flow.
        data: Looked at before, like the next two, the model and the instruments.
        history: See above.
        book: See above.
        model: A file, alias or version that has to be there; empty is none.
        instruments: Table of instruments; empty is the one in the data folder, if any.
        verbose: Leave Prefect's own lines on the console.

    Raises:
        UserError: Whatever a step refused.
    """
    _refuse_early(data, history, book, model, instruments)
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
            return start()
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


def _given(parameters: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was not given, so that the flow's own default holds."""
    return {name: value for name, value in parameters.items() if value is not None}
