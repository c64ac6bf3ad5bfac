"""`carryflow sweep`."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import options as o

if TYPE_CHECKING:
    from schemas.sweep import SweepConfig


def sweep(
    data: o.Data,
    history: o.History = None,
    book: o.Book = "default",
    preset: Annotated[o.Preset, typer.Option(
        help="Risk profile that validation looks at.")] = o.Preset.moderate,
    trials: Annotated[int | None, typer.Option(
        min=1, help="Recipes to try; the first is the recipe as it stands (default 20).")] = None,
    seed: Annotated[int, typer.Option(
        min=0, help="Seed of the proposals, and the first of the trainings; the others count up from it.")
    ] = 0,
    seeds: Annotated[int | None, typer.Option(
        min=1, help="Trainings of each trial, each with a seed of its own; their mean counts (default 1).")
    ] = None,
    num_episodes: Annotated[int | None, typer.Option(
        "--num-episodes", min=1, help="Episodes of each training, all environments together (default 1000).")
    ] = None,
    space: Annotated[Path | None, typer.Option(
        help='JSON file of what is searched: {"learning_rate": {"low": 1e-4, "high": 3e-3, "log": true}, '
        '"batch_size": {"choices": [1024, 2048]}, ...}; the default searches ten parameters.')] = None,
    search: Annotated[list[str] | None, typer.Option(
        metavar="NAME=VALUES", help="Search this field of the recipe over LOW:HIGH, LOW:HIGH:log or "
        "VALUE,VALUE,...; may be repeated. Goes over --space; without a file only these are searched.")
    ] = None,
    batch: Annotated[int | None, typer.Option(
        min=1, help="Trials proposed together, which a runner can train side by side; part of what is asked, "
        "so that every runner finds the same (default 1).")] = None,
    random_trials: Annotated[int | None, typer.Option(
        min=1, help="Trials drawn at random before results are looked at (default 8).")] = None,
    rung: Annotated[list[float] | None, typer.Option(
        min=0, max=1, help="Share of the episodes at which a trial may be pruned; may be repeated "
        "(default 0.25 and 0.5).")] = None,
    prune: Annotated[bool, typer.Option(
        "--prune/--no-prune", help="End trials early that fall behind the median at a rung.")] = True,
    bar_after: Annotated[int | None, typer.Option(
        min=1, help="Complete trials before anything is pruned (default 4).")] = None,
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
    """Search for a better recipe: learning rate, entropy bonus, discount, the carry potential and so on.

    Each trial trains with other values, compared on validation. Trials that fall behind the median of earlier
    ones end early. The sealed test window stays closed, no alias moves, and every trial goes into the book's
    ledger: a candidate chosen among many has to show more to become champion.

    What was trained is not trained again, and a sweep that was killed goes on to the same result.
    """
    from flows.cli.parameters import build_advanced
    from flows.cli.train import common_flags, use_artifacts
    from flows.launch import run_sweep

    use_artifacts(artifacts, store)
    flags = common_flags(
        max_bad_fraction, history_bars_open_stamped, device, initial_capital, funding_boundary, instruments
    )
    given = {
        "batch": batch,
        "random_trials": random_trials,
        "rungs": (rung or None) if prune else (),
        "bar_after": bar_after,
    }
    asked: dict[str, Any] = {
        "preset": preset.value,
        "trials": trials,
        "seed": seed,
        "seeds": seeds,
        "num_episodes": num_episodes,
        "time_budget": time_budget,
        "runner": runner.value,
        "workers": workers,
        "search": build_search(space, search, given),
    }
    run_sweep(
        data=data,
        history=history,
        book=book,
        asked=asked,
        advanced=build_advanced(advanced, set_, flags),
        verbose=verbose,
    )


def build_search(file: Path | None, ranges: list[str] | None, given: Mapping[str, Any]) -> SweepConfig:
    """Return what is searched, from a file, `--search` and flags; what was not given is the default.

    Raises:
        ConfigError: A name is no field that can be searched, or a range is none.
    """
    from pydantic import ValidationError

    from flows.cli.parameters import read_json
    from schemas.errors import ConfigError
    from schemas.sweep import SweepConfig, parse_range

    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if file is not None or ranges:
        values["space"] = {} if file is None else read_json(file)
        values["space"] |= dict(parse_range(text) for text in ranges or ())
    try:
        return SweepConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        what = "there is no such part of a range." if first["type"] == "extra_forbidden" else f"{said}."
        raise ConfigError(what, name, "See `carryflow sweep --help`.") from None


def print_sweep(result: Mapping[str, Any], *, data: Path, book: str, seconds: float) -> None:
    """Print what the `sweep` flow returned: the trials, the verdict, what to do next, the report's path."""
    from flows.cli.summary import shown_path
    from flows.cli.terminal import heading, print_table
    from tasks.progress import duration

    if not result["sweep"]:
        print(
            f"Cut short by the time budget: {len(result['trials'])} of {result['asked']} trials have ended. "
            "The same command goes on."
        )
        print(f"Took {duration(seconds)}.")
        return
    from rl.sweep.findings import findings
    from schemas.manifest import Ref
    from schemas.sweep import RECIPE
    from tasks.show_sweep import IMPORTANCE_HEADER, importance_rows, trial_header, trial_rows
    from tasks.store import Store, resolve_root
    from tasks.sweep import publish_sweep, read_sweep

    ref = Ref.parse(result["sweep"])
    summary = read_sweep(ref)
    said = findings(summary)
    start, end = summary.validation
    heading(f"Trials, validated {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC ({summary.preset})")
    print_table(trial_header(summary), trial_rows(summary))
    heading("Parameters")
    print_table(IMPORTANCE_HEADER, importance_rows(summary))
    print()
    for sentence in (said.headline, *said.details):
        print(textwrap.fill(sentence, 100))
    report = publish_sweep(ref, book=book)
    if command := Store(resolve_root()).manifest(ref).summary["next"]:
        there = command.replace(" DATA ", f" {shlex.quote(str(data))} ", 1)
        print(f"\nNext, judge it on the sealed window:\n  {there}")
        print(f"Recipe: {shown_path(report.parent / RECIPE)} (for --advanced)")
    print(f"Report: {shown_path(report)}")
    print(f"Took {duration(seconds)}.")
