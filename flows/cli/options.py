"""The flags several commands share, each explained once.

Only typer is imported here: `--help` must answer at once.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Preset(StrEnum):
    """The three risk profiles."""

    conservative = "conservative"
    moderate = "moderate"
    aggressive = "aggressive"


class PresetOrAll(StrEnum):
    """One risk profile, or each of them."""

    all = "all"
    conservative = "conservative"
    moderate = "moderate"
    aggressive = "aggressive"


class Boundary(StrEnum):
    """Which end of the holding time a settlement exactly on a fill belongs to."""

    close = "close"
    open = "open"


class Runner(StrEnum):
    """Where trainings and replays run that do not depend on each other."""

    inline = "inline"
    process = "process"
    ray = "ray"


class Window(StrEnum):
    """Which part of the data."""

    test = "test"
    validation = "validation"
    train = "train"
    all = "all"


Data = Annotated[
    Path,
    typer.Option(
        "--data",
        "--data-path",
        help="Opportunities: a .csv, .csv.gz or .csv.zst file, or a folder of them (a market history beside "
        "them is found by its columns).",
    ),
]
OptionalData = Annotated[
    Path | None,
    typer.Option(
        "--data", "--data-path", help="Opportunities: a .csv, .csv.gz or .csv.zst file, or a folder of them."
    ),
]
History = Annotated[
    Path | None,
    typer.Option(
        "--history",
        "--history-path",
        help="Market history: prices and settled funding by venue and hour; a file or a folder.",
    ),
]
MaxBad = Annotated[
    float | None,
    typer.Option(
        "--max-bad-fraction",
        help="Share of rows that may be quarantined before the data is refused (default 0.05).",
    ),
]
OpenStamped = Annotated[
    bool,
    typer.Option(
        "--history-bars-open-stamped",
        help="High and low of a history row are of the hour that begins, not ends, at its stamp.",
    ),
]
Instruments = Annotated[
    Path | None,
    typer.Option(
        "--instruments",
        help="Table of symbols that count a coin in thousands, such as 1000PEPE: exchange, symbol, "
        "canonical_symbol, multiplier (default: instruments.csv in the data folder, if there is one).",
    ),
]
Book = Annotated[
    str,
    typer.Option(
        help="The book: its registry, ledger and aliases. Keep generated and real data in different ones."
    ),
]
Artifacts = Annotated[
    Path | None,
    typer.Option(help="Root of the artifact store (default: $CARRYFLOW_ARTIFACTS, else ./artifacts)."),
]
SharedStore = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Store shared by several machines, s3://bucket/prefix or file:///folder: what lies there is not "
        "computed again, and what is made goes there (default: $CARRYFLOW_STORE, else none). Registry, "
        "ledger, locks and resume state stay below --artifacts.",
    ),
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="Show tracebacks and Prefect's own log lines."),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of weights, episodes and minibatches.")]
Episodes = Annotated[
    int | None,
    typer.Option(
        "--num-episodes", min=1, help="Episodes to train for, all environments together (default 5000)."
    ),
]
TimeBudget = Annotated[
    float,
    typer.Option(
        "--time-budget",
        min=0,
        help="Seconds of training after which it stops and publishes what it has; 0 is no limit. "
        "Repeating the command goes on with the training.",
    ),
]
RunnerOption = Annotated[
    Runner,
    typer.Option(
        "--runner",
        help="Where trainings run: inline in this process, one after the other; process in a pool of "
        "processes; ray on the cluster that RAY_ADDRESS names, else on this machine. Results are the same.",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers", min=0, help="Trainings at once; 0 is as many as there are cores for their threads."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="Torch device of the training: cpu, cuda, mps, or auto for the best there is (default cpu)."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Set any parameter of the flows' `advanced` form by its path, for example "
        "training.learning_rate=1e-4 or gates.min_trades=5; may be repeated.",
    ),
]
AdvancedFile = Annotated[
    Path | None,
    typer.Option(
        "--advanced", help="A JSON file with the same parameters, nested; flags and --set go over it."
    ),
]
Leverage = Annotated[
    float | None,
    typer.Option("--max-leverage", help="Leverage, 1 to 10 (default 3)."),
]
Utilization = Annotated[
    float | None,
    typer.Option(
        "--target-utilization", help="Share of equity locked as margin when full, 0 to 1 (default 0.6)."
    ),
]
Positions = Annotated[
    int | None,
    typer.Option("--max-positions", help="Positions held at once, 1 to 5 (default 3)."),
]
StopLoss = Annotated[
    float | None,
    typer.Option(
        "--stop-loss-threshold",
        help="Loss of a position over its notional that closes it, -0.10 to 0; 0 is off (default -0.02).",
    ),
]
Buffer = Annotated[
    float | None,
    typer.Option(
        "--liquidation-buffer",
        help="Liquidation distance below which a position is closed, 0.05 to 0.50 (default 0.15).",
    ),
]
Capital = Annotated[
    float | None,
    typer.Option("--initial-capital", help="Equity at the start, quote currency (default 10000)."),
]
FundingBoundary = Annotated[
    Boundary | None,
    typer.Option(
        "--funding-boundary",
        help="Who is charged a settlement exactly on a fill: close, the position that closes, "
        "(t_open, t_close]; open, the one that opens, [t_open, t_close) (default close).",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "--version",
        "--checkpoint",
        help="Which policy: an alias (challenger, champion), a version, or a checkpoint file.",
    ),
]
CashApr = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=100,
        help="What cash earns, percent a year: the lowest rung of the ladder, and what every return is held "
        "against (default 0).",
    ),
]
