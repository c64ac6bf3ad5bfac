"""The pictures of a report: each drawn wide and narrow, held inside the page and laid beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from schemas.backtest import BacktestSummary, PolicyName
from schemas.evidence import Evidence
from schemas.stress import StressReport
from tasks.report import bars, canvas, forest, held, lines, stress
from tasks.report.html import write


@dataclass(frozen=True)
class Picture:
    """A picture inside the page: PNG data URIs, wide and narrow, and what it shows in words."""

    name: str
    wide: str
    narrow: str
    alt: str
    width: int
    height: int


def draw(drawn: Mapping[str, tuple[canvas.Draw, str]], out: Path) -> dict[str, Picture]:
    """Draw pictures, write the wide ones as PNG, and return them for the page.

    Args:
        drawn: By name: what draws it at a size, and what it shows in words.
        out: Where the files go.
    """
    made = {}
    for name, (paint, alt) in drawn.items():
        wide, made[name] = painted(name, paint, alt)
        write(out / f"{name}.png", wide)
    return made


def painted(name: str, paint: canvas.Draw, alt: str) -> tuple[bytes, Picture]:
    """Return a picture as a wide PNG, and as it is held inside a page."""
    wide, narrow = paint(canvas.WIDE), paint(canvas.NARROW)
    width, height = _png_size(wide)
    return wide, Picture(name, _data_uri(wide), _data_uri(narrow), alt, width, height)


def backtest_pictures(
    summary: BacktestSummary,
    equity: pd.DataFrame,
    own: pd.DataFrame,
    preset: str,
    subject: PolicyName,
    evidence: Evidence | None,
    stressed: StressReport | None,
) -> dict[str, tuple[canvas.Draw, str]]:
    """Return what a backtest can show, by name, in the page's order.

    Args:
        summary: The backtest.
        equity: Its curves.
        own: The positions of the policy that is shown, under the judged preset.
        preset: The judged preset.
        subject: The policy that is shown.
        evidence: Its intervals, if there are any.
        stressed: Its stress tests, if there are any.
    """
    drawn: dict[str, tuple[canvas.Draw, str]] = {}
    if evidence is not None and forest.compared(evidence):
        drawn["evidence"] = (
            lambda size: forest.forest_picture(evidence, size),
            "Mean returns over cash, greedy and the champion with their intervals, percent a year.",
        )
    drawn["equity"] = (
        lambda size: lines.equity_picture(summary, equity, preset, size),
        f"Return of every policy over the window under {preset}.",
    )
    drawn["drawdown"] = (
        lambda size: lines.drawdown_picture(equity, preset, size),
        f"Drawdown of the policy and of greedy under {preset}.",
    )
    drawn["profit"] = (
        lambda size: bars.profit_picture(summary, size),
        "Return split into price, funding, fees and slippage for every preset.",
    )
    drawn["exposure"] = (
        lambda size: held.exposure_picture(summary, equity, preset, subject, size),
        f"Gross notional over NLV, and open positions, of {canvas.called(subject)} under {preset}.",
    )
    if len(own):
        drawn["trades"] = (
            lambda size: bars.trades_picture(summary, own, "Positions and their net result", size),
            f"Positions of {canvas.called(subject)} under {preset} from opening to closing.",
        )
    if stressed is not None and stressed.outcomes:
        drawn["stress"] = (
            lambda size: stress.stress_picture(stressed, size),
            "Change of the return under every stress, percent of capital.",
        )
    if len(summary.presets) > 1:
        drawn["presets"] = (
            lambda size: lines.presets_picture(summary, equity, preset, size),
            "Return of every policy under every preset, on one scale.",
        )
    return drawn


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _png_size(png: bytes) -> tuple[int, int]:
    """Return width and height from the header of a PNG, so that the page does not jump while it loads."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
