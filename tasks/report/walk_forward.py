"""From a walk-forward's files to a page a person reads; like the backtest's, it asks nobody for anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from rl.judge.bootstrap import interquartile_mean
from rl.judge.walk_forward import verdict
from schemas.walk_forward import AGENT, WalkForwardSummary
from tasks.report import canvas
from tasks.report.html import environment, write
from tasks.report.pictures import Picture, draw
from tasks.report.walk_pictures import folds_picture, joined_picture

_RANK: Final = {"candidate": 0, AGENT: 1}


def write_walk_forward(
    summary: WalkForwardSummary, curve: pd.DataFrame, out_dir: Path, *, dataset: str, command: str
) -> Path:
    """Render report.html and its pictures.

    Args:
        summary: What the walk-forward found.
        curve: Every joined curve by hour, from `rl.walk_forward.join`.
        out_dir: Where report.html and the PNG files go.
        dataset: Ref of the data set.
        command: The command line that makes it again.

    Returns:
        The path of report.html.
    """
    preset = summary.preset
    spread = [c.return_pct for c in summary.of_seeds(preset)]
    text = (
        environment()
        .get_template("walk_forward.html")
        .render(
            summary=summary,
            preset=preset,
            verdict=verdict(summary),
            candidate=summary.curve(preset, "candidate"),
            greedy=summary.curve(preset, "greedy"),
            rivals=[curve.who for curve in summary.baselines(preset)],
            table=[
                (
                    name,
                    sorted(
                        (c for c in summary.curves if c.preset == name),
                        key=lambda c: (_RANK.get(c.who, 2), c.seed or 0),
                    ),
                )
                for name in summary.presets
            ],
            spread=spread,
            middle=float(interquartile_mean(np.array(spread))),
            pictures=_draw(summary, curve, out_dir),
            dataset=dataset,
            command=command,
        )
    )
    path = out_dir / "report.html"
    write(path, text.encode("utf-8"))
    return path


def _draw(summary: WalkForwardSummary, curve: pd.DataFrame, out: Path) -> dict[str, Picture]:
    drawn: dict[str, tuple[Callable[[canvas.Size], bytes], str]] = {
        "joined": (
            lambda size: joined_picture(summary, curve, size),
            f"Joined return over all held-out parts under {summary.preset}, with the spread over seeds.",
        ),
        "folds": (
            lambda size: folds_picture(summary, size),
            f"Return of every seed and baseline on each held-out part under {summary.preset}.",
        ),
    }
    return draw(drawn, out)
