"""Pictures over time: returns against the baselines, and drawdown."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from rl.judge.gates import percent
from rl.judge.metrics import drawdown
from schemas.backtest import BacktestSummary, PolicyName
from tasks.report.canvas import (
    INK,
    MUTED,
    SMALL,
    Size,
    aligned_axes,
    called,
    clean,
    date_axis,
    minus,
    new_figure,
    percent_axis,
    plain,
    set_title,
    to_png,
)

COLOURS: Final[dict[str, str]] = {
    "agent": "#0f6b6b",
    "greedy": "#c77700",
    "random": "#8a94a0",
    "cash": "#4a5563",
}


def _curves(equity: pd.DataFrame, preset: str, policy: PolicyName) -> pd.DataFrame:
    """Return NLV with a column per run and a row per hour; a run that ended early keeps its last value."""
    mine = equity[(equity["preset"] == preset) & (equity["policy"] == policy)]
    wide = mine.pivot(index="time", columns="run", values="nlv").sort_index().ffill()
    wide.index = pd.DatetimeIndex(wide.index).tz_convert("UTC").tz_localize(None)
    return wide


def spread_out(values: list[float], low: float, high: float, gap: float) -> list[float]:
    """Move label heights apart so that none touch, keeping their order."""
    order = np.argsort(values)
    placed = np.array(values, np.float64)[order]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    if len(placed) and placed[-1] > high:
        placed[-1] = high
        for i in range(len(placed) - 2, -1, -1):
            placed[i] = min(placed[i], placed[i + 1] - gap)
    out = np.empty(len(placed))
    out[order] = np.maximum(placed, low)
    return [float(v) for v in out]


def _draw_returns(
    ax: Axes, equity: pd.DataFrame, initial: float, preset: str, size: Size, limits: tuple[float, float]
) -> None:
    ends: list[tuple[str, float]] = []
    hidden = ""
    last = None
    for policy in ("random", "cash", "greedy", "agent"):
        nlv = _curves(equity, preset, policy)
        if nlv.empty:
            continue
        gain = 100.0 * (nlv / initial - 1.0)
        last = gain.index[-1]
        if policy == "random":
            mean = gain.mean(axis=1)
            if gain.shape[1] > 1:
                low, high = gain.quantile(0.05, axis=1), gain.quantile(0.95, axis=1)
                ax.fill_between(
                    gain.index,
                    low,
                    high,
                    color=COLOURS["random"],
                    alpha=0.22,
                    linewidth=0,
                    label="random 5–95 %",
                )
            ax.plot(gain.index, mean, color=COLOURS["random"], linewidth=1.0)
            if mean.iloc[-1] < limits[0]:
                worth = minus(percent(float(mean.iloc[-1])))
                hidden = (
                    f"random {worth}, far below" if size.narrow else f"random {worth}, far below this picture"
                )
            else:
                ends.append(("random", float(mean.iloc[-1])))
            continue
        line = gain.iloc[:, 0]
        style = {"agent": ("-", 2.2), "greedy": ("-", 1.5), "cash": ((0, (4, 3)), 1.1)}[policy]
        ax.plot(line.index, line, color=COLOURS[policy], linestyle=style[0], linewidth=style[1])
        ends.append((policy, float(line.iloc[-1])))
    ax.set_ylim(*limits)
    clean(ax)
    percent_axis(ax)
    date_axis(ax, size)
    if last is None:
        return
    ax.margins(x=0)
    height = ax.get_window_extent().height / ax.figure.dpi * 72  # points
    gap = (limits[1] - limits[0]) * 12.5 / max(height * 0.8, 60.0)
    heights = spread_out([v for _, v in ends], limits[0], limits[1], gap)
    for (name, value), y in zip(ends, heights, strict=True):
        amount = minus(percent(value))
        text = f" {called(name)} {amount.removesuffix(' %') if size.narrow else amount}"
        ax.annotate(
            text,
            (1.0, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=SMALL,
            color=COLOURS[name],
            fontweight="bold" if name == "agent" else "normal",
            annotation_clip=False,
        )
    if hidden:
        ax.annotate(
            hidden, (0.015, 0.045), xycoords="axes fraction", fontsize=SMALL, color=MUTED, style="italic"
        )


def _limits(equity: pd.DataFrame, initial: float, presets: list[str]) -> tuple[float, float]:
    """Scale for the policies worth comparing: random churns itself to ruin and would flatten the others."""
    lowest, highest = 0.0, 0.0
    for preset in presets:
        for policy in ("agent", "greedy"):
            nlv = _curves(equity, preset, policy).to_numpy()
            if nlv.size:
                gain = 100.0 * (nlv / initial - 1.0)
                lowest, highest = min(lowest, float(gain.min())), max(highest, float(gain.max()))
    room = max(highest - lowest, 0.05)
    return lowest - 0.15 * room, highest + 0.12 * room


def equity_picture(backtest: BacktestSummary, equity: pd.DataFrame, preset: str, size: Size) -> bytes:
    """Draw the return of every policy under one preset."""
    figure = new_figure(size, 3.9 if not size.narrow else 3.3)
    ax = aligned_axes(figure, size)
    limits = _limits(equity, backtest.initial_capital, [preset])
    _draw_returns(ax, equity, backtest.initial_capital, preset, size, limits)
    set_title(ax, f"Return net of all costs, {plain(preset)}")
    return to_png(figure)


def presets_picture(backtest: BacktestSummary, equity: pd.DataFrame, preset: str, size: Size) -> bytes:
    """Draw the same under every preset, on one scale."""
    names = list(backtest.presets)
    if size.narrow:
        figure = new_figure(size, 2.3 * len(names) + 0.2)
        grid = figure.subplots(len(names), 1, squeeze=False, sharex=True)
    else:
        figure = new_figure(size, 3.0)
        grid = figure.subplots(1, len(names), squeeze=False, sharey=True)
    limits = _limits(equity, backtest.initial_capital, names)
    compact = Size(size.width, size.dpi, narrow=True)
    for ax, name in zip(grid.ravel(), names, strict=True):
        _draw_returns(ax, equity, backtest.initial_capital, name, compact, limits)
        set_title(ax, plain(name) + (" (judged)" if name == preset else ""))
    return to_png(figure)


def drawdown_picture(equity: pd.DataFrame, preset: str, size: Size) -> bytes:
    """Draw how far each policy stood below its own peak."""
    figure = new_figure(size, 2.5)
    ax = aligned_axes(figure, size)
    deepest = 0.0
    for policy in ("greedy", "agent"):
        nlv = _curves(equity, preset, policy)
        if nlv.empty:
            continue
        below = -100.0 * drawdown(nlv.to_numpy()[:, 0])
        deepest = min(deepest, float(below.min()))
        if policy == "agent":
            ax.fill_between(nlv.index, below, 0.0, color=COLOURS[policy], alpha=0.25, linewidth=0)
        ax.plot(
            nlv.index,
            below,
            color=COLOURS[policy],
            linewidth=1.4,
            label=minus(f"{called(policy)} {below.min() + 0.0:.2f} %"),
        )
    ax.set_ylim(min(deepest * 1.15, -0.02), 0.0)
    ax.margins(x=0)
    clean(ax)
    percent_axis(ax)
    date_axis(ax, size)
    set_title(ax, f"Drawdown from the peak, {plain(preset)}")
    if ax.get_legend_handles_labels()[0]:
        if size.narrow:
            ax.legend(loc="lower left", fontsize=SMALL, frameon=False, labelcolor=INK, handlelength=1.2)
        else:  # there is room beside the title, where it covers no line
            ax.legend(
                loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=SMALL, frameon=False,
                labelcolor=INK, handlelength=1.2, columnspacing=1.2,
            )  # fmt: skip
    return to_png(figure)
