"""`carryflow backtest` and `carryflow predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from flows.cli import options as o

if TYPE_CHECKING:
    from schemas.trading import PresetName


def backtest(
    data: o.Data,
    history: o.History = None,
    model: o.Model = "challenger",
    book: o.Book = "default",
    preset: Annotated[
        o.PresetOrAll, typer.Option(help="Risk profile to replay, or each.")
    ] = o.PresetOrAll.all,
    window: Annotated[
        o.Window, typer.Option(help="Which part of the data; --start and --end go over it.")
    ] = (o.Window.test),
    start: Annotated[str, typer.Option(help="First hour, UTC, ISO 8601.")] = "",
    end: Annotated[str, typer.Option(help="First hour no longer in it, UTC.")] = "",
    max_leverage: o.Leverage = None,
    target_utilization: o.Utilization = None,
    max_positions: o.Positions = None,
    stop_loss_threshold: o.StopLoss = None,
    liquidation_buffer: o.Buffer = None,
    initial_capital: o.Capital = None,
    funding_boundary: o.FundingBoundary = None,
    random_runs: Annotated[int, typer.Option(min=0, help="Runs of the random baseline.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random baseline.")] = 0,
    cash_apr: o.CashApr = None,
    stress: Annotated[
        bool, typer.Option("--stress", help="Replay it also with one thing made worse at a time.")
    ] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
    max_bad_fraction: o.MaxBad = None,
    history_bars_open_stamped: o.OpenStamped = False,
    instruments: o.Instruments = None,
    set_: o.Set = None,
    advanced: o.AdvancedFile = None,
    artifacts: o.Artifacts = None,
    store: o.SharedStore = None,
    verbose: o.Verbose = False,
) -> None:
    """Replay a policy on any data and window, beside cash, random, greedy and the book's own versions.

    A window that overlaps what the policy was trained or chosen on is stamped IN-SAMPLE. Any flag of
    the risk profile replays that profile, called "custom", instead of the presets; what no flag says is
    the preset's that --preset names, or the default. No alias is moved.
    """
    from flows.cli.browser import open_report, refuse_without_browser
    from flows.cli.parameters import build_advanced
    from flows.cli.train import common_flags, hurdle, use_artifacts
    from flows.launch import run_backtest

    use_artifacts(artifacts, store)
    if open_:
        refuse_without_browser()
    profile = {
        "training.trading.leverage": max_leverage,
        "training.trading.target_utilization": target_utilization,
        "training.trading.max_positions": max_positions,
        "training.trading.stop_loss": stop_loss_threshold,
        "training.trading.liquidation_buffer": liquidation_buffer,
    }
    custom = any(value is not None for value in profile.values()) or any(
        text.strip().startswith("training.trading") for text in set_ or []
    )
    flags = {
        **common_flags(
            max_bad_fraction,
            history_bars_open_stamped,
            capital=initial_capital,
            boundary=funding_boundary,
            instruments=instruments,
        ),
        **profile,
        **hurdle(cash_apr),
    }
    parameters = build_advanced(advanced, set_, flags).one_hurdle()
    if custom and preset is not o.PresetOrAll.all:
        parameters = parameters.with_profile(cast("PresetName", preset.value))
    report = run_backtest(
        model=model,
        data=data,
        history=history,
        book=book,
        preset="custom" if custom else preset.value,
        window=window.value,
        start=start,
        end=end,
        random_runs=random_runs,
        seed=seed,
        stress=stress,
        advanced=parameters,
        verbose=verbose,
    )
    if open_:
        open_report(report)


def predict(
    data: o.Data,
    history: o.History = None,
    model: o.Model = "challenger",
    book: o.Book = "default",
    preset: Annotated[o.PresetOrAll, typer.Option(
        help="Risk profile to decide for, or each.")] = o.PresetOrAll.all,
    portfolio: Annotated[Path | None, typer.Option(
        help="JSON file with what is held (docs/portfolio.md has its fields and an example); without it, "
        "nothing is assumed to be held.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    initial_capital: o.Capital = None,
    funding_boundary: o.FundingBoundary = None,
    max_bad_fraction: o.MaxBad = None,
    history_bars_open_stamped: o.OpenStamped = False,
    instruments: o.Instruments = None,
    artifacts: o.Artifacts = None,
    store: o.SharedStore = None,
    verbose: o.Verbose = False,
) -> None:  # fmt: skip
    """Decide for the newest hour of the data: action, pair, size, value, probability of each valid action.

    An alias that is set to none holds.
    """
    from flows.cli.parameters import build_advanced
    from flows.cli.prediction import print_prediction
    from flows.cli.terminal import Progress, print_note, show_logs
    from flows.cli.train import common_flags, use_artifacts
    from tasks.predict import predict as compute

    use_artifacts(artifacts, store)
    progress = Progress()
    show_logs(progress)
    advanced = build_advanced(
        flags=common_flags(
            max_bad_fraction,
            history_bars_open_stamped,
            capital=initial_capital,
            boundary=funding_boundary,
            instruments=instruments,
        )
    )
    prediction = compute(
        model, data, history, book=book, preset=preset.value, portfolio=portfolio, advanced=advanced
    )
    progress.done()
    for sentence in prediction.odd:
        print_note(sentence)
    if as_json:
        print(prediction.model_dump_json(indent=2))
    else:
        print_prediction(prediction)
