"""Pictures of a data set: who is in it when, where hours are missing, what is empty, and what has moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FixedLocator, FuncFormatter

from rl.judge.drift import ranked, verdict_of
from rl.market.arrays import F64
from rl.quality.profile import Profile
from schemas.drift import DriftLimits, DriftReport
from tasks.report.canvas import (
    INK,
    MUTED,
    RULE,
    SMALL,
    Draw,
    Size,
    clean,
    date_axis,
    new_figure,
    plain,
    set_title,
    to_png,
)

MOST_VENUES: Final = 16
MOST_COLUMNS: Final = 24
COLOURS: Final = {
    "steady": "#2a8a8a", "watch": "#c99a3c", "major": "#dd8f6a", "beyond": "#b8433a", "not known": RULE,
}  # fmt: skip
_NONE: Final = "#f6dedb"  # no row at all
_ROWS: Final = LinearSegmentedColormap.from_list("rows", ["#d9efee", "#2a8a8a", "#0a3d3d"]).with_extremes(
    bad=_NONE
)
_EMPTY: Final = LinearSegmentedColormap.from_list("empty", ["#eef4f3", "#e7bfae", "#b8433a"]).with_extremes(
    bad="#ffffff"
)


def quality_pictures(
    profiles: Mapping[str, Profile], drift: DriftReport, limits: DriftLimits
) -> dict[str, tuple[Draw, str]]:
    """Return what there is to see, by name: what draws it, and what it shows in words."""
    drawn: dict[str, tuple[Draw, str]] = {}
    rows = profiles["opportunities"]
    drawn["quality_hours"] = (
        lambda size: hours_picture(rows, size),
        "Opportunity rows by day and hour of the day; hours without one stand out.",
    )
    for table, found in profiles.items():
        drawn[f"quality_venues_{table}"] = _venues(found)
        if found.symbols:
            drawn[f"quality_symbols_{table}"] = _symbols(found)
        if any(max(shares) > 0 for shares in found.nulls.values()):
            drawn[f"quality_nulls_{table}"] = _nulls(found)
    if any(one.psi is not None for one in drift.features):
        drawn["quality_drift"] = (
            lambda size: drift_picture(drift, limits, size),
            "How far each feature of the newest rows is from the training data.",
        )
    return drawn


def hours_picture(rows: Profile, size: Size) -> bytes:
    """Draw the rows of every hour: days from left to right, hours of the day downwards."""
    hours = np.array(list(rows.total.hours), dtype=np.int64)
    start, end = int(hours.min()) // 24, int(hours.max()) // 24 + 1
    grid = np.full((24, end - start), np.nan)
    grid[hours % 24, hours // 24 - start] = list(rows.total.hours.values())
    figure = new_figure(size, 2.7)
    ax = figure.subplots()
    _heat(ax, grid, (float(start), float(end)), size)
    every = np.arange(24)[:, None] + 24 * np.arange(start, end)[None, :]
    outside = (every < hours.min()) | (every > hours.max())
    white = np.dstack([np.ones((*grid.shape, 3)), outside])
    ax.imshow(white, extent=ax.images[0].get_extent(), aspect="auto", interpolation="nearest")
    ax.set_yticks([0.5, 6.5, 12.5, 18.5], ["00:00", "06:00", "12:00", "18:00"])
    missing = int((np.isnan(grid) & ~outside).sum())
    told = f"{missing:,} hours without a row" if missing else "no hour without a row"
    set_title(ax, f"Rows by day and hour of the day, {told}" if not size.narrow else told.capitalize())
    return to_png(figure)


def drift_picture(drift: DriftReport, limits: DriftLimits, size: Size) -> bytes:
    """Draw each feature's stability index on a scale of powers, with what is watched, major and blocking."""
    found = [one for one in ranked(drift, limits) if one.psi is not None]
    figure = new_figure(size, 0.27 * len(found) + 1.0)
    ax = figure.subplots()
    least = 0.01
    for i, one in enumerate(found):
        value = max(float(one.psi or 0.0), least)
        colour = COLOURS[verdict_of(one, limits)]
        ax.barh(-i, value - least, left=least, height=0.66, color=colour, alpha=0.95 if one.judged else 0.45)
        told = f"{one.psi:.2f}" + ("" if one.ks is None or size.narrow else f"   KS {one.ks:.2f}")
        ax.annotate(
            told, (value, -i), xytext=(5, 0), textcoords="offset points", va="center", fontsize=SMALL,
            color=INK, annotation_clip=False,
        )  # fmt: skip
    ax.set_xscale("log")
    top = max(limits.max_psi * 1.6, 2.2 * max(float(one.psi or 0.0) for one in found))
    ax.set_xlim(least, top)
    marks = {limits.watch_psi: "watch", limits.major_psi: "major", limits.max_psi: "limit"}
    for value in marks:
        ax.axvline(value, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
    named = [f"{value:g}" if size.narrow else f"{value:g}\n{name}" for value, name in marks.items()]
    ax.set_xticks(list(marks), named)
    ax.xaxis.set_minor_formatter(FuncFormatter(lambda v, _: ""))
    ax.tick_params(which="minor", length=0)
    ax.set_yticks(
        [-i for i in range(len(found))], [_short(one.feature, size) for one in found], parse_math=False
    )
    ax.set_ylim(-len(found) + 0.4, 0.6)
    clean(ax, grid="x")
    ax.grid(visible=False)
    ax.tick_params(axis="y", labelcolor=INK)
    set_title(ax, "PSI by feature" if size.narrow else "Population stability index by feature")
    return to_png(figure)


def _venues(found: Profile) -> tuple[Draw, str]:
    ranked = sorted(found.venues, key=lambda name: (-sum(found.venues[name]), name))
    named, more = ranked[:MOST_VENUES], len(ranked) - MOST_VENUES
    title = "Rows by venue and day" + (f", {more} more venues" if more > 0 else "")
    rows = {name: found.venues[name] for name in named}
    return lambda size: _strip(
        rows, found.days, "D", title, size
    ), f"{found.table.capitalize()}: {title}; days without one stand out."


def _symbols(found: Profile) -> tuple[Draw, str]:
    unit = "D" if found.moments == found.days else "h"
    more = len(found.total.symbols) - len(found.symbols)
    title = f"Rows by symbol and {'day' if unit == 'D' else 'hour'}"
    title += f", the {len(found.symbols)} most frequent of {len(found.total.symbols):,}" if more else ""
    return lambda size: _strip(
        found.symbols, found.moments, unit, title, size
    ), f"{found.table.capitalize()}: {title}."


def _nulls(found: Profile) -> tuple[Draw, str]:
    shares = {name: by_day for name, by_day in found.nulls.items() if max(by_day) > 0}
    ranked = sorted(shares, key=lambda name: -sum(shares[name]))
    named, more = ranked[:MOST_COLUMNS], len(ranked) - MOST_COLUMNS
    title = "Empty values by column and day"
    title += f", {more} more columns" if more > 0 else ""
    rows = {name: shares[name] for name in named}
    return lambda size: _strip(
        rows, found.days, "D", title, size, share=True
    ), f"{found.table.capitalize()}: {title}; red is empty."


def _strip(
    rows: Mapping[str, Sequence[float]],
    moments: Sequence[str],
    unit: str,
    title: str,
    size: Size,
    *,
    share: bool = False,
) -> bytes:
    """Draw a row of cells for each name; days or hours that the data lacks are columns too."""
    at = np.array(moments, dtype=f"datetime64[{unit}]").astype(np.int64)
    grid = np.full((len(rows), int(at[-1] - at[0]) + 1), np.nan)
    for i, values in enumerate(rows.values()):
        grid[i, at - at[0]] = np.asarray(values, dtype=np.float64)
    if not share:
        grid[grid == 0] = np.nan
    per_day = 1.0 if unit == "D" else 24.0
    figure = new_figure(size, 0.24 * len(rows) + 0.95)
    ax = figure.subplots()
    _heat(ax, grid, (at[0] / per_day, (at[-1] + 1) / per_day), size, share=share)
    ax.set_yticks(np.arange(len(rows)) + 0.5, [_short(name, size) for name in rows], parse_math=False)
    ax.tick_params(axis="y", labelcolor=INK)
    set_title(ax, title if not size.narrow else title.split(",")[0])
    return to_png(figure)


def _heat(ax: Axes, grid: F64, days: tuple[float, float], size: Size, *, share: bool = False) -> None:
    """Draw cells on a time axis: rows on a scale of powers, or shares from 0 to 1."""
    epoch = float(mdates.date2num(np.datetime64("1970-01-01")))  # type: ignore[no-untyped-call]
    left, right = epoch + days[0], epoch + days[1]
    shown = grid if share else np.log10(grid)
    known = shown[~np.isnan(shown)]
    low, high = 0.0, 1.0
    if not share:  # what is nearly as much as elsewhere looks nearly the same
        high = float(known.max())
        low = min(float(known.min()), high - np.log10(4.0))
    cells: dict[str, Any] = {"cmap": _EMPTY if share else _ROWS, "vmin": low, "vmax": high}
    image = ax.imshow(
        shown, extent=(left, right, len(grid), 0), aspect="auto", interpolation="nearest", **cells
    )
    clean(ax)
    ax.grid(visible=False)
    ax.xaxis_date()
    date_axis(ax, size)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.015, fraction=0.03, aspect=14)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, labelsize=SMALL, length=0)
    bar.ax.yaxis.set_major_formatter(
        FuncFormatter(
            lambda v, _: f"{100 * v:.0f} %" if share else f"{10**v:,.3g}" if v < 1 else f"{10**v:,.0f}"
        )
    )
    if not share:
        bar.ax.yaxis.set_major_locator(FixedLocator([low, (low + high) / 2, high]))


def _short(name: str, size: Size) -> str:
    return plain(name, 18 if size.narrow else 32)
