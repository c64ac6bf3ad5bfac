"""`carryflow walk-forward`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from flows.cli import options as o


def walk_forward(
    data: o.Data,
    history: o.History = None,
    book: o.Book = "default",
    preset: Annotated[o.Preset, typer.Option(
        help="Risk profile that validation looks at and that is judged.")] = o.Preset.moderate,
    folds: Annotated[int | None, typer.Option(
        min=2, help="Folds; each holds out a part of its own (default 4).")] = None,
    expanding: Annotated[bool, typer.Option(
        "--expanding/--rolling", help="Train every fold from the first hour on, or on as many hours as the "
        "first fold.")] = True,
    held_out: Annotated[float | None, typer.Option(
        min=0.01, max=0.99, help="Share of the hours that is held out, all folds together: the newest "
        "(default 0.5).")] = None,
    validation: Annotated[float | None, typer.Option(
        min=0.01, max=0.99, help="Share of a fold's hours before its held-out part that validates "
        "(default 0.25).")] = None,
    seeds: Annotated[int | None, typer.Option(
        min=1, help="Trainings of each fold, each with a seed of its own (default 3).")] = None,
    seed: Annotated[int, typer.Option(
        min=0, help="The first seed of weights, episodes and minibatches; the others count up from it.")] = 0,
    num_episodes: Annotated[int | None, typer.Option(
        "--num-episodes", min=1, help="Episodes of each training, all environments together (default 1000).")
    ] = None,
    time_budget: Annotated[float, typer.Option(
        min=0, help="Seconds for all trainings together; 0 is no limit. Repeating the command goes on.")
    ] = 0.0,
    runner: o.RunnerOption = o.Runner.inline,
    workers: o.Workers = 0,
    initial_capital: o.Capital = None,
    funding_boundary: o.FundingBoundary = None,
    device: o.Device = None,
    max_bad_fraction: o.MaxBad = None,
    history_bars_open_stamped: o.OpenStamped = False,
    instruments: o.Instruments = None,
    set_: o.Set = None,
    advanced: o.AdvancedFile = None,
    artifacts: o.Artifacts = None,
    store: o.SharedStore = None,
    verbose: o.Verbose = False,
) -> None:  # fmt: skip
    """Train a fresh model on each of several folds and join the held-out parts to one out-of-sample curve.

    The newest half of the data is held out, cut into as many parts as there are folds. Each part is replayed
    by a model that was trained and chosen on older hours alone. In each fold the seed that is best on
    validation is the candidate, and its joined curve is the evidence; the spread over seeds is told apart.
    No alias moves. Folds times seeds trainings are what it costs: 12 by default;
    --runner process makes several at once.

    What has not changed since an earlier run is not computed again, and a run that was killed goes on.
    """
    from flows.cli.parameters import build_advanced
    from flows.cli.train import common_flags, use_artifacts
    from flows.launch import run_walk_forward

    use_artifacts(artifacts, store)
    flags = common_flags(
        max_bad_fraction, history_bars_open_stamped, device, initial_capital, funding_boundary, instruments
    )
    asked: dict[str, Any] = {
        "preset": preset.value,
        "folds": folds,
        "scheme": "expanding" if expanding else "rolling",
        "held_out": held_out,
        "validation": validation,
        "seeds": seeds,
        "seed": seed,
        "num_episodes": num_episodes,
        "time_budget": time_budget,
        "runner": runner.value,
        "workers": workers,
    }
    run_walk_forward(
        data=data,
        history=history,
        book=book,
        asked=asked,
        advanced=build_advanced(advanced, set_, flags),
        verbose=verbose,
    )


def print_walk_forward(result: Mapping[str, Any], *, book: str, seconds: float) -> None:
    """Print what the `walk-forward` flow returned: the tables, the verdict, the report's path."""
    from flows.cli.summary import shown_path
    from flows.cli.terminal import heading, print_table
    from tasks.progress import duration

    if not result["walk_forward"]:
        done = sum(len(runs) for runs in result["backtests"])
        print(
            f"Cut short by the time budget: {done} of {result['trainings']} trainings are done and replayed. "
            "The same command goes on."
        )
        print(f"Took {duration(seconds)}.")
        return
    from rl.judge.walk_forward import verdict
    from schemas.manifest import Ref
    from tasks.show_walk_forward import CURVE_HEADER, FOLD_HEADER, curve_rows, fold_rows
    from tasks.walk_forward import publish_walk_forward, read_walk_forward

    ref = Ref.parse(result["walk_forward"])
    summary = read_walk_forward(ref)
    said = verdict(summary)
    heading(f"Walk-forward, held out {summary.start:%Y-%m-%d %H:%M} to {summary.end:%Y-%m-%d %H:%M} UTC")
    print_table(FOLD_HEADER, fold_rows(summary))
    heading(f"Joined ({summary.preset})")
    print_table(CURVE_HEADER, curve_rows(summary))
    print()
    for sentence in (said.headline, *said.details):
        print(textwrap.fill(sentence, 100))
    print(f"\nReport: {shown_path(publish_walk_forward(ref, book=book))}")
    print(f"Took {duration(seconds)}.")
