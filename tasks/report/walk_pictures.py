"""Pictures of a walk-forward: the joined curve with the seeds' spread, and every fold's held-out return."""

from __future__ import annotations

from typing import Any, Final

import matplotlib.dates as mdates
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rl.judge.gates import percent
from rl.walk_forward import by_curve
from schemas.walk_forward import AGENT, CANDIDATE, WalkForwardSummary
from tasks.report.canvas import (
    INK,
    MUTED,
    RULE,
    SMALL,
    Size,
    aligned_axes,
    clean,
    date_axis,
    minus,
    new_figure,
    percent_axis,
    plain,
    set_title,
    to_png,
)
from tasks.report.lines import COLOURS, spread_out

_CHOSEN: Final[dict[str, Any]] = {"marker": "D", "markersize": 7, "zorder": 4}
_OTHER: Final[dict[str, Any]] = {"marker": "o", "markersize": 5, "zorder": 3, "alpha": 0.45}
_OTHERS: Final = ("#7a5195", "#5b7fb8", "#8a6d3b")  # baselines that have no colour of their own


def joined_picture(summary: WalkForwardSummary, curve: pd.DataFrame, size: Size) -> bytes:
    """Draw the joined curves under the judged risk profile, a line where each fold begins."""
    figure = new_figure(size, 3.9 if not size.narrow else 3.3)
    ax = aligned_axes(figure, size)
    left, bottom, _, height = ax.get_position().bounds
    # Room for the longest name.
    ax.set_position((left, bottom, (0.67 if size.narrow else 0.845) - left, height))
    own = curve[curve["preset"] == summary.preset]
    gains = {(who, seed): _gain(rows) for (_, who, seed), rows in by_curve(own).items()}
    seeds = pd.DataFrame({seed: gain for (who, seed), gain in gains.items() if who == AGENT})
    if seeds.shape[1] > 1:
        ax.fill_between(
            seeds.index, seeds.min(axis=1), seeds.max(axis=1), color=COLOURS["agent"], alpha=0.16, linewidth=0
        )
        for seed in seeds:
            ax.plot(seeds.index, seeds[seed], color=COLOURS["agent"], alpha=0.45, linewidth=0.8)
    ends: list[tuple[str, float, str]] = []
    for (who, _), gain in gains.items():
        if who in (AGENT, CANDIDATE):
            continue
        colour = _colour(who, summary)
        style = (0, (4, 3)) if who == "cash" else "-"
        ax.plot(gain.index, gain, color=colour, linestyle=style, linewidth=1.1 if who == "cash" else 1.5)
        ends.append((who, float(gain.iloc[-1]), colour))
    candidate = next(gain for (who, _), gain in gains.items() if who == CANDIDATE)
    ax.plot(candidate.index, candidate, color=COLOURS["agent"], linewidth=2.2)
    ends.append((CANDIDATE, float(candidate.iloc[-1]), COLOURS["agent"]))
    clean(ax)
    percent_axis(ax)
    date_axis(ax, size)
    ax.margins(x=0)
    _mark_folds(ax, summary)
    _label_ends(ax, ends, size)
    set_title(ax, f"Held-out return net of all costs, {plain(summary.preset)}")
    return to_png(figure)


def folds_picture(summary: WalkForwardSummary, size: Size) -> bytes:
    """Draw what every seed, and every baseline, returned on each fold's held-out part."""
    figure = new_figure(size, 2.9 if not size.narrow else 3.2)
    ax = figure.subplots()
    rivals = [curve.who for curve in summary.baselines(summary.preset) if curve.who != "cash"]
    for place, fold in enumerate(summary.folds):
        for index, run in enumerate(fold.runs):
            beside = 0.24 * ((index + 0.5) / len(fold.runs) - 0.5)
            value = next(r.return_pct for r in run.results if r.preset == summary.preset)
            looks = _CHOSEN if run.seed == fold.chosen else _OTHER
            ax.plot(place + beside, value, color=COLOURS["agent"], linestyle="", **looks)
        for one in fold.baselines:
            if one.preset == summary.preset and one.policy in rivals:
                ax.plot(
                    place + 0.2 + 0.1 * rivals.index(one.policy), one.return_pct, marker="_", markersize=13,
                    markeredgewidth=2.2, color=_colour(one.policy, summary), linestyle="",
                )  # fmt: skip
    ax.axhline(0.0, color=COLOURS["cash"], linewidth=0.9, linestyle=(0, (4, 3)))
    ax.set_xticks(
        range(len(summary.folds)),
        [f"fold {fold.number}\n{fold.test.start:%d %b}" for fold in summary.folds],
    )
    ax.set_xlim(-0.5, len(summary.folds) - 0.4)
    clean(ax)
    ax.tick_params(axis="x", labelcolor=INK)
    percent_axis(ax)
    set_title(ax, "Return of each held-out part")
    handles = [
        Line2D([], [], color=COLOURS["agent"], linestyle="", label="candidate", **_CHOSEN),
        Line2D([], [], color=COLOURS["agent"], linestyle="", label="other seeds", **_OTHER),
        *(Line2D([], [], color=_colour(who, summary), marker="_", linestyle="", markersize=11,
                 markeredgewidth=2.2, label=plain(who)) for who in rivals),
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="outside lower left", ncols=2 if size.narrow else 6, fontsize=SMALL,
        frameon=False, labelcolor=INK, handlelength=1.2,
    )  # fmt: skip
    return to_png(figure)


def _gain(rows: pd.DataFrame) -> pd.Series:
    """Return the return since the start of one joined curve by hour, percent."""
    time = pd.DatetimeIndex(rows["time"]).tz_convert("UTC").tz_localize(None)
    nlv = rows["nlv"].to_numpy()
    return pd.Series(100.0 * (nlv / nlv[0] - 1.0), index=time)


def _colour(who: str, summary: WalkForwardSummary) -> str:
    if who in COLOURS:
        return COLOURS[who]
    unusual = [curve.who for curve in summary.baselines(summary.preset) if curve.who not in COLOURS]
    return _OTHERS[unusual.index(who) % len(_OTHERS)]


def _mark_folds(ax: Axes, summary: WalkForwardSummary) -> None:
    """Draw a line where each fold begins, with its number at the top."""
    for fold in summary.folds:
        begin = float(mdates.date2num(fold.test.start.replace(tzinfo=None)))  # type: ignore[no-untyped-call]
        ax.axvline(begin, color=RULE if fold.number == 1 else MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
        ax.annotate(
            str(fold.number), (begin, 1.0), xycoords=("data", "axes fraction"), xytext=(3, -9),
            textcoords="offset points", fontsize=SMALL, color=MUTED,
        )  # fmt: skip


def _label_ends(ax: Axes, ends: list[tuple[str, float, str]], size: Size) -> None:
    low, high = ax.get_ylim()
    room = max(high - low, 0.05)
    low, high = low - 0.03 * room, high + 0.1 * room
    ax.set_ylim(low, high)
    height = ax.get_window_extent().height / ax.figure.dpi * 72  # points
    gap = (high - low) * 12.5 / max(height * 0.8, 60.0)
    heights = spread_out([value for _, value, _ in ends], low, high, gap)
    for (who, value, colour), y in zip(ends, heights, strict=True):
        amount = minus(percent(value))
        ax.annotate(
            f" {plain(who, 14)} {amount.removesuffix(' %') if size.narrow else amount}", (1.0, y),
            xycoords=("axes fraction", "data"), va="center", fontsize=SMALL, color=colour,
            fontweight="bold" if who == CANDIDATE else "normal", annotation_clip=False,
        )  # fmt: skip
