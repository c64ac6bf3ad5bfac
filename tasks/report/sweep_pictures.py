"""Pictures of a sweep: trials by number, what matters, and validation along each parameter."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from schemas.sweep import SweepSummary, TrialResult
from tasks.report.canvas import (
    INK,
    MUTED,
    RULE,
    SMALL,
    Size,
    clean,
    minus,
    new_figure,
    percent_axis,
    plain,
    set_title,
    to_png,
)
from tasks.report.lines import COLOURS

OWN: Final = COLOURS["agent"]
PRUNED: Final = COLOURS["random"]
GREEDY: Final = COLOURS["greedy"]


def progress_picture(summary: SweepSummary, size: Size) -> bytes:
    """Draw every trial by number, and the best so far."""
    figure = new_figure(size, 3.4 if not size.narrow else 3.2)
    ax = figure.subplots()
    best: list[float] = []
    top = -math.inf
    for trial in summary.trials:
        if trial.value is None:
            reached = trial.runs[-1].best_pct
            if reached is not None:
                ax.plot(trial.number, reached, marker="x", color=PRUNED, markersize=6, linestyle="", zorder=2)
        else:
            top = max(top, trial.value)
            ax.plot(trial.number, trial.value, marker="o", color=OWN, markersize=6, linestyle="", zorder=3)
            if len(trial.values) > 1:
                ends = (min(trial.values), max(trial.values))
                ax.plot([trial.number] * 2, ends, color=OWN, linewidth=1.2, alpha=0.6, zorder=2)
        best.append(top if math.isfinite(top) else math.nan)
    ax.plot(range(len(best)), best, color=OWN, linewidth=1.6, drawstyle="steps-post", zorder=1)
    leader = summary.best
    if leader is not None and leader.value is not None:
        ax.plot(
            leader.number, leader.value, marker="D", markersize=10, markerfacecolor="none",
            markeredgecolor=INK, linestyle="", zorder=4,
        )  # fmt: skip
    ax.axhline(0.0, color=COLOURS["cash"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    greedy = greedy_of(summary)
    if greedy is not None:
        ax.axhline(greedy, color=GREEDY, linewidth=1.3, zorder=0)
    clean(ax)
    percent_axis(ax)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    ax.set_xlim(-0.6, len(summary.trials) - 0.4)
    ax.set_xlabel("trial", fontsize=SMALL, color=MUTED)
    set_title(ax, "Return on validation, trial by trial")
    handles = [
        Line2D([], [], color=OWN, marker="o", linestyle="", markersize=6, label="complete"),
        Line2D([], [], color=PRUNED, marker="x", linestyle="", markersize=6, label="ended early"),
        Line2D([], [], color=OWN, linewidth=1.6, label="best so far"),
        Line2D([], [], color=COLOURS["cash"], linewidth=0.9, linestyle=(0, (4, 3)), label="holding"),
    ]
    if greedy is not None:
        handles.append(Line2D([], [], color=GREEDY, linewidth=1.3, label="greedy"))
    figure.legend(
        handles=handles, loc="outside lower left", ncols=3 if size.narrow else 6, fontsize=SMALL,
        frameon=False, labelcolor=INK, handlelength=1.4,
    )  # fmt: skip
    return to_png(figure)


def importance_picture(summary: SweepSummary, size: Size) -> bytes:
    """Draw each parameter's share in what separates the best tenth from the rest."""
    names = list(summary.importance)[::-1]
    figure = new_figure(size, 0.9 + 0.27 * len(names))
    ax = figure.subplots()
    shares = [100.0 * summary.importance[name] for name in names]
    ax.barh(range(len(names)), shares, color=OWN, height=0.62)
    for place, share in enumerate(shares):
        ax.annotate(
            f" {share:.0f} %", (share, place), va="center", fontsize=SMALL, color=INK, annotation_clip=False
        )
    ax.set_yticks(range(len(names)), [plain(name) for name in names])
    clean(ax, grid="x")
    ax.tick_params(axis="y", labelcolor=INK)
    percent_axis(ax, "x")
    ax.set_xlim(0, max(shares) * 1.12)
    set_title(ax, "Importance of each parameter")
    return to_png(figure)


def slices_picture(summary: SweepSummary, size: Size) -> bytes:
    """Draw validation along each parameter, one small picture each."""
    names = [*summary.importance, *(n for n in summary.config.space if n not in summary.importance)]
    columns = min(2 if size.narrow else 4, len(names))
    rows = math.ceil(len(names) / columns)
    figure = new_figure(size, 0.35 + rows * (1.55 if size.narrow else 1.75))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for place, name in enumerate(names):
        _slice(grid[place // columns][place % columns], summary, name, size)
    for place in range(len(names), rows * columns):
        grid[place // columns][place % columns].axis("off")
    return to_png(figure)


def greedy_of(summary: SweepSummary) -> float | None:
    """Return what greedy earned on validation, the same for every trial; None where it is not known."""
    known = (run.greedy_pct for trial in summary.trials for run in trial.runs)
    return next((value for value in known if value is not None), None)


def _slice(ax: Axes, summary: SweepSummary, name: str, size: Size) -> None:
    values = summary.config.space[name]
    place = {value: float(at) for at, value in enumerate(sorted(values.choices))}
    jitter = np.random.default_rng(0)

    def at(trial: TrialResult) -> float | None:
        value = trial.params[name]
        if not values.choices:
            return value
        return place[value] + float(jitter.uniform(-0.16, 0.16)) if value in place else None

    leader = summary.best
    for trial in summary.trials:
        reached = trial.value if trial.value is not None else trial.runs[-1].best_pct
        x = at(trial)
        if reached is None or x is None:
            continue
        whole = trial.value is not None
        ax.plot(
            x, reached, marker="o" if whole else "x", color=OWN if whole else PRUNED,
            markersize=4.5, linestyle="", alpha=0.8, zorder=3 if whole else 2,
        )  # fmt: skip
        if leader is not None and trial.number == leader.number:
            ax.plot(
                x, reached, marker="D", markersize=8, markerfacecolor="none", markeredgecolor=INK, zorder=4
            )
    clean(ax)
    percent_axis(ax)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    if values.choices:
        ax.xaxis.set_major_locator(FixedLocator(list(place.values())))
        labels = [f"{value:g}" for value in sorted(values.choices)]
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: labels[round(v)]))
        ax.set_xlim(-0.5, len(place) - 0.5)
    elif values.log:
        ax.set_xscale("log")
        ax.set_xlim(values.low / 1.12, values.high * 1.12)
        ends = (values.low, math.sqrt(values.low * values.high), values.high)  # and the middle of the picture
        ax.xaxis.set_major_locator(FixedLocator(ends))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: minus(f"{v:.2g}")))
    else:
        beyond = 0.06 * (values.high - values.low)
        ax.set_xlim(values.low - beyond, values.high + beyond)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: minus(f"{v:g}")))
    for side in ax.spines.values():
        side.set_color(RULE)
    ax.set_title(plain(name), loc="left", fontsize=SMALL + 0.5, color=INK, parse_math=False, pad=4)
