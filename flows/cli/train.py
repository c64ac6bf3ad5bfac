"""`carryflow run` and `carryflow train`: the flows, from the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli import options as o


def use_artifacts(root: Path | None, store: str | None = None) -> None:
    """Make every part of the program, flows included, use this artifact root and this shared store.

    Raises:
        ConfigError: The store's URL is none that could be.
    """
    if root is not None:
        os.environ["CARRYFLOW_ARTIFACTS"] = str(root)
    if store is not None:
        from tasks.connection import VARIABLE, check_url

        os.environ[VARIABLE] = check_url(store, where="--store")


def common_flags(
    max_bad: float | None,
    open_stamped: bool,
    device: str | None = None,
    capital: float | None = None,
    boundary: o.Boundary | None = None,
    instruments: Path | None = None,
) -> dict[str, Any]:
    """Return the flags that several commands put into `advanced`, by path."""
    return {
        "max_bad_fraction": max_bad,
        "history_bars_open_stamped": open_stamped or None,
        "instruments": None if instruments is None else str(instruments),
        "device": device,
        "rules.initial_capital": capital,
        "rules.funding_boundary": None if boundary is None else boundary.value,
    }


def hurdle(cash_apr: float | None) -> dict[str, Any]:
    """Return what cash earns as the parameters that need it."""
    return {"ladder.cash_apr": cash_apr, "gates.cash_apr": cash_apr}


def run(
    data: o.Data,
    history: o.History = None,
    book: o.Book = "default",
    preset: Annotated[
        o.Preset, typer.Option(help="Risk profile that validation and the gates look at.")
    ] = o.Preset.moderate,
    seed: o.Seed = 0,
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            help="Trainings, with seeds that count up from --seed; the best on validation is the candidate.",
        ),
    ] = 1,
    num_episodes: o.Episodes = None,
    time_budget: o.TimeBudget = 0.0,
    runner: o.RunnerOption = o.Runner.inline,
    workers: o.Workers = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do all but move an alias.")] = False,
    max_data_age_hours: Annotated[
        float,
        typer.Option(
            min=0,
            help="Hours that the newest opportunity may be old before training is refused; 0 is no limit.",
        ),
    ] = 0.0,
    cash_apr: o.CashApr = None,
    require_approval: Annotated[
        bool,
        typer.Option(
            "--require-approval", help="A version that passes every gate of a champion waits for a person."
        ),
    ] = False,
    device: o.Device = None,
    funding_boundary: o.FundingBoundary = None,
    max_bad_fraction: o.MaxBad = None,
    history_bars_open_stamped: o.OpenStamped = False,
    instruments: o.Instruments = None,
    set_: o.Set = None,
    advanced: o.AdvancedFile = None,
    artifacts: o.Artifacts = None,
    store: o.SharedStore = None,
    verbose: o.Verbose = False,
) -> None:
    """Turn a CSV into a judged policy: validate, build features, train, backtest, audit, stress, promote.

    It ends with two verdicts, each with every gate: challenger, which paper trading follows, and
    champion, which also needs evidence and has to survive stress.

    What has not changed since an earlier run is not computed again.
    """
    from flows.cli.parameters import build_advanced
    from flows.launch import run_data_to_model

    use_artifacts(artifacts, store)
    flags = {
        **common_flags(
            max_bad_fraction,
            history_bars_open_stamped,
            device,
            boundary=funding_boundary,
            instruments=instruments,
        ),
        **hurdle(cash_apr),
        "gates.require_approval": require_approval or None,
    }
    run_data_to_model(
        data=data,
        history=history,
        book=book,
        preset=preset.value,
        seed=seed,
        seeds=seeds,
        num_episodes=num_episodes,
        time_budget=time_budget,
        runner=runner.value,
        workers=workers,
        dry_run=dry_run,
        max_data_age_hours=max_data_age_hours,
        advanced=build_advanced(advanced, set_, flags).one_hurdle(),
        verbose=verbose,
    )


def train(
    data: o.Data,
    history: o.History = None,
    book: o.Book = "default",
    preset: Annotated[o.Preset | None, typer.Option(
        help="Risk profile that validation looks at (default: moderate, or the profile given by the flags); "
        "with one profile trained for, also what the flags do not say of it.")
    ] = None,
    sample_random_config: Annotated[bool | None, typer.Option(
        "--sample-random-config/--fixed-config",
        help="Draw a risk profile per episode: one policy serves all (default unless one is given).")] = None,
    num_episodes: o.Episodes = None,
    time_budget: o.TimeBudget = 0.0,
    eval_every: Annotated[int | None, typer.Option(
        help="Episodes between evaluations on validation (default 200).")] = None,
    save_every: Annotated[int | None, typer.Option(
        help="Episodes between periodic checkpoints (default 500).")] = None,
    batch_size: Annotated[int | None, typer.Option(
        help="Minibatch of an update (default 2048).")] = None,
    learning_rate: Annotated[float | None, typer.Option(
        help="Adam's step, annealed to zero (default 0.001).")] = None,
    n_epochs: Annotated[int | None, typer.Option(
        help="Passes over a rollout (default 4).")] = None,
    entropy_coef: Annotated[float | None, typer.Option(
        help="Weight of the entropy bonus at the start (default 0.01).")] = None,
    value_coef: Annotated[float | None, typer.Option(
        help="Weight of the value loss (default 0.5).")] = None,
    episode_length_days: Annotated[float | None, typer.Option(
        help="Episode length (default 14, or a quarter of the training hours where that is less).")] = None,
    max_leverage: o.Leverage = None,
    target_utilization: o.Utilization = None,
    max_positions: o.Positions = None,
    stop_loss_threshold: o.StopLoss = None,
    liquidation_buffer: o.Buffer = None,
    initial_capital: o.Capital = None,
    funding_boundary: o.FundingBoundary = None,
    device: o.Device = None,
    seed: o.Seed = 0,
    checkpoint_dir: Annotated[Path, typer.Option(
        help="Folder that gets best_model, final_model and checkpoint_ep<N> (.safetensors).")
    ] = Path("checkpoints"),
    resume_from: Annotated[Path | None, typer.Option(
        help="Checkpoint file to go on from.")] = None,
    max_bad_fraction: o.MaxBad = None,
    history_bars_open_stamped: o.OpenStamped = False,
    instruments: o.Instruments = None,
    set_: o.Set = None,
    advanced: o.AdvancedFile = None,
    artifacts: o.Artifacts = None,
    store: o.SharedStore = None,
    verbose: o.Verbose = False,
) -> None:  # fmt: skip
    """Train a policy and leave its checkpoints in a folder; the sealed test window stays closed."""
    from flows.cli.parameters import build_advanced
    from flows.launch import run_train

    use_artifacts(artifacts, store)
    profile = {
        "training.trading.leverage": max_leverage,
        "training.trading.target_utilization": target_utilization,
        "training.trading.max_positions": max_positions,
        "training.trading.stop_loss": stop_loss_threshold,
        "training.trading.liquidation_buffer": liquidation_buffer,
    }
    if sample_random_config is None and any(value is not None for value in profile.values()):
        sample_random_config = False
    flags = {
        **common_flags(
            max_bad_fraction,
            history_bars_open_stamped,
            device,
            initial_capital,
            funding_boundary,
            instruments,
        ),
        **profile,
        "training.sample_random_config": sample_random_config,
        "training.eval_every": eval_every,
        "training.save_every": save_every,
        "training.batch_size": batch_size,
        "training.learning_rate": learning_rate,
        "training.n_epochs": n_epochs,
        "training.entropy_coef": entropy_coef,
        "training.value_coef": value_coef,
        "training.episode_hours": None if episode_length_days is None else round(24 * episode_length_days),
        "resume_from": None if resume_from is None else str(resume_from),
    }
    run_train(
        data=data,
        history=history,
        book=book,
        preset=preset.value if preset is not None else "moderate",
        seed=seed,
        num_episodes=num_episodes,
        time_budget=time_budget,
        advanced=build_advanced(advanced, set_, flags),
        checkpoint_dir=checkpoint_dir,
        verbose=verbose,
    )
