"""Pictures of sums and trades: where the return came from, and who was held when."""

from __future__ import annotations

from typing import Final

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rl.judge.gates import percent
from schemas.backtest import BacktestSummary, ProfitSplit
from tasks.report.canvas import (
    INK,
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

GAIN: Final = "#2a8a5f"
LOSS: Final = "#b8433a"
PARTS: Final[tuple[tuple[str, str], ...]] = (
    ("funding", "#2a8a8a"),
    ("price", "#5b7fb8"),
    ("fees", "#b8433a"),
    ("slippage", "#dd8f6a"),
    ("closing costs due", "#e7bfae"),
    ("penalties", "#5e1f1a"),
)
MOST_TRADES: Final = 30


def _parts(split: ProfitSplit) -> dict[str, float]:
    return {
        "funding": split.funding,
        "price": split.prices,
        "fees": split.fees,
        "slippage": split.slippage,
        "closing costs due": split.closing_costs,
        "penalties": split.penalty,
    }


def profit_picture(backtest: BacktestSummary, size: Size) -> bytes:
    """Draw where the money came from and went, a bar per preset and policy."""
    rows = [
        (preset, policy, result)
        for preset in backtest.presets
        for policy in ("agent", "greedy")
        if (result := backtest.result(preset, policy)) is not None
    ]
    figure = new_figure(size, 0.36 * len(rows) + (1.15 if not size.narrow else 1.7))
    ax = figure.subplots()
    used: set[str] = set()
    names = list(backtest.presets)
    heights = [-(i + 0.55 * names.index(preset)) for i, (preset, _, _) in enumerate(rows)]
    for y, (_, policy, result) in zip(heights, rows, strict=True):
        ends = {1: 0.0, -1: 0.0}
        parts = _parts(result.split)
        for name, colour in PARTS:
            value = 100.0 * parts[name] / backtest.initial_capital
            if abs(value) < 1e-9:
                continue
            used.add(name)
            side = 1 if value > 0 else -1
            ax.barh(
                y, value, left=ends[side], height=0.78, color=colour, alpha=1.0 if policy == "agent" else 0.6
            )
            ends[side] += value
        ax.plot(
            result.return_pct, y, marker="D", markersize=4.5, color=INK, markeredgecolor="white", zorder=4
        )
        ax.annotate(
            minus(percent(result.return_pct)),
            (max(ends[1], 0.0), y),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK,
        )
    ax.axvline(0.0, color=INK, linewidth=0.8)
    joint = "\n" if size.narrow else " · "
    ax.set_yticks(heights, [f"{plain(preset)}{joint}{called(policy)}" for preset, policy, _ in rows])
    clean(ax, grid="x")
    ax.tick_params(axis="y", labelcolor=INK)
    percent_axis(ax, "x")
    left, right = ax.get_xlim()
    ax.set_xlim(left, right + 0.14 * (right - left))
    set_title(ax, "Parts of the return, percent of capital")
    handles: list[Patch | Line2D] = [
        Patch(color=colour, label=name) for name, colour in PARTS if name in used
    ]
    handles.append(Line2D([], [], color=INK, marker="D", linestyle="", markersize=4.5, label="return"))
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=2 if size.narrow else 7,
        fontsize=SMALL,
        frameon=False,
        labelcolor=INK,
        handlelength=1.0,
        columnspacing=1.2,
    )
    return to_png(figure)


def _day_numbers(times: pd.Series) -> list[float]:
    """Return days since 1970, matplotlib's unit of dates."""
    epoch = pd.Timestamp("1970-01-01", tz="UTC")
    return [float((time - epoch) / pd.Timedelta(days=1)) for time in times]


def trades_picture(backtest: BacktestSummary, trades: pd.DataFrame, title: str, size: Size) -> bytes:
    """Draw each position as a bar from fill to fill; with too many, those that moved the result most.

    Args:
        backtest: Whose window is drawn.
        trades: The positions of one policy under one preset.
        title: What they are.
        size: Wide or narrow.
    """
    shown = trades
    if len(trades) > MOST_TRADES:
        shown = trades.loc[trades["net_pnl"].abs().nlargest(MOST_TRADES).index]
        title = f"{title}: the {MOST_TRADES} of {len(trades)} that mattered most"
    shown = shown.sort_values(["opened", "position_id"], kind="stable")
    figure = new_figure(size, 0.235 * max(len(shown), 3) + 0.9)
    ax = aligned_axes(figure, size, names=True)
    start, end = _day_numbers(shown["opened"]), _day_numbers(shown["closed"])
    for i, (a, b, gain, reason) in enumerate(zip(start, end, shown["net_pnl"], shown["reason"], strict=True)):
        colour = GAIN if gain >= 0 else LOSS
        ax.barh(
            -i, max(b - a, 1 / 48), left=a, height=0.68, color=colour, alpha=0.45 if reason == "end" else 0.9
        )
        ax.annotate(
            minus(f"{gain + 0.0:+,.2f}"), (max(b, a + 1 / 48), -i), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=SMALL - 0.5, color=INK, annotation_clip=False,
        )  # fmt: skip
    labels = [plain(str(name), 10 if size.narrow else 18) for name in shown["symbol"]]
    ax.set_yticks([-i for i in range(len(shown))], labels, parse_math=False)
    ax.set_ylim(-max(len(shown), 3) + 0.4, 0.6)
    clean(ax, grid="x")
    ax.tick_params(axis="y", labelcolor=INK)
    window = _day_numbers(pd.Series([backtest.start, backtest.end]))
    ax.set_xlim(window[0], window[1])
    date_axis(ax, size)
    set_title(ax, title)
    return to_png(figure)
