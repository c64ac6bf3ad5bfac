"""The report's pictures, drawn with matplotlib's Agg canvas: no display, no global state.

Each picture exists twice, wide for a screen or paper and narrow for a phone, so that its
letters stay readable at either width.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rl.judge.gates import percent
from rl.judge.metrics import drawdown
from schemas.backtest import BacktestSummary, PolicyName, ProfitSplit

INK: Final = "#1c2530"
MUTED: Final = "#6b7785"
RULE: Final = "#dfe4ea"
COLOURS: Final[dict[str, str]] = {
    "agent": "#0f6b6b",
    "greedy": "#c77700",
    "random": "#8a94a0",
    "cash": "#4a5563",
}
GAIN: Final = "#2a8a5f"
LOSS: Final = "#b8433a"
PARTS: Final[tuple[tuple[str, str], ...]] = (
    ("funding", "#2a8a8a"),
    ("price", "#5b7fb8"),
    ("fees", "#b8433a"),
    ("slippage", "#dd8f6a"),
    ("closing costs due", "#e7bfae"),
    ("penalties and liquidations", "#5e1f1a"),
)
MOST_TRADES: Final = 30
_SMALL: Final = 8.5


@dataclass(frozen=True)
class Size:
    """A picture's width in inches and its resolution."""

    width: float
    dpi: int
    narrow: bool


Draw = Callable[[Size], bytes]

WIDE: Final = Size(10.0, 150, narrow=False)
NARROW: Final = Size(4.1, 200, narrow=True)


def minus(text: str) -> str:
    """Write numbers with a true minus sign, which is as wide as a plus."""
    return text.replace("-", "\u2212")


def called(policy: str) -> str:
    """Return how a policy is called in pictures and tables."""
    return "policy" if policy == "agent" else policy


def plain(text: str, most: int = 16) -> str:
    """Return a text that the font can draw, shortened; names come from files and may hold anything."""
    drawn = "".join(c if c.isprintable() and ord(c) < 0x250 else "□" for c in text)
    return drawn if len(drawn) <= most else drawn[: most - 1] + "…"


def _figure(size: Size, height: float) -> Figure:
    figure = Figure(figsize=(size.width, height), dpi=size.dpi, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _aligned(figure: Figure, size: Size) -> Axes:
    """Return axes with fixed margins, so that pictures over the same hours stand exactly above each other."""
    figure.set_layout_engine("none")
    inches = figure.get_figheight()
    left, right = (0.13, 0.765) if size.narrow else (0.062, 0.885)
    return figure.add_axes((left, 0.5 / inches, right - left, (inches - 0.85) / inches))


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _clean(ax: Axes, grid: str = "y") -> None:
    for side in ("top", "right", "left" if grid == "y" else "bottom"):
        ax.spines[side].set_visible(False)
    for spine in ax.spines.values():
        spine.set_color(RULE)
    ax.tick_params(colors=MUTED, labelsize=_SMALL, length=0)
    ax.grid(axis="y" if grid == "y" else "x", color=RULE, linewidth=0.7)
    ax.set_axisbelow(True)


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text, loc="left", fontsize=10, color=INK, fontweight="bold", pad=8, parse_math=False)


def _dates(ax: Axes, size: Size) -> None:
    most = 4 if size.narrow else 9
    locator = mdates.AutoDateLocator(minticks=3, maxticks=most)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    formatter = mdates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_formatter(formatter)
    ax.xaxis.get_offset_text().set(color=MUTED, fontsize=_SMALL)


def _percent_axis(ax: Axes, axis: str = "y") -> None:
    which = ax.yaxis if axis == "y" else ax.xaxis
    which.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    which.set_major_formatter(FuncFormatter(lambda v, _: minus(f"{v + 0.0:g} %")))


def _curves(equity: pd.DataFrame, preset: str, policy: PolicyName) -> pd.DataFrame:
    """Return NLV with a column per run and a row per hour; a run that ended early keeps its last value."""
    mine = equity[(equity["preset"] == preset) & (equity["policy"] == policy)]
    wide = mine.pivot(index="time", columns="run", values="nlv").sort_index().ffill()
    wide.index = pd.DatetimeIndex(wide.index).tz_convert("UTC").tz_localize(None)
    return wide


def _spread(values: list[float], low: float, high: float, gap: float) -> list[float]:
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
                hidden = f"random falls to {minus(percent(float(mean.iloc[-1])))}, below this picture"
            else:
                ends.append(("random", float(mean.iloc[-1])))
            continue
        line = gain.iloc[:, 0]
        style = {"agent": ("-", 2.2), "greedy": ("-", 1.5), "cash": ((0, (4, 3)), 1.1)}[policy]
        ax.plot(line.index, line, color=COLOURS[policy], linestyle=style[0], linewidth=style[1])
        ends.append((policy, float(line.iloc[-1])))
    ax.set_ylim(*limits)
    _clean(ax)
    _percent_axis(ax)
    _dates(ax, size)
    if last is None:
        return
    ax.margins(x=0)
    height = ax.get_window_extent().height / ax.figure.dpi * 72  # points
    gap = (limits[1] - limits[0]) * 12.5 / max(height * 0.8, 60.0)
    heights = _spread([v for _, v in ends], limits[0], limits[1], gap)
    for (name, value), y in zip(ends, heights, strict=True):
        amount = minus(percent(value))
        text = f" {called(name)} {amount.removesuffix(' %') if size.narrow else amount}"
        ax.annotate(
            text,
            (1.0, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=_SMALL,
            color=COLOURS[name],
            fontweight="bold" if name == "agent" else "normal",
            annotation_clip=False,
        )
    if hidden:
        ax.annotate(
            hidden, (0.015, 0.045), xycoords="axes fraction", fontsize=_SMALL, color=MUTED, style="italic"
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
    figure = _figure(size, 3.9 if not size.narrow else 3.3)
    ax = _aligned(figure, size)
    limits = _limits(equity, backtest.initial_capital, [preset])
    _draw_returns(ax, equity, backtest.initial_capital, preset, size, limits)
    _title(ax, f"Return net of all costs, {plain(preset)}")
    return _png(figure)


def presets_picture(backtest: BacktestSummary, equity: pd.DataFrame, preset: str, size: Size) -> bytes:
    """Draw the same under every preset, on one scale."""
    names = list(backtest.presets)
    if size.narrow:
        figure = _figure(size, 2.3 * len(names) + 0.2)
        grid = figure.subplots(len(names), 1, squeeze=False, sharex=True)
    else:
        figure = _figure(size, 3.0)
        grid = figure.subplots(1, len(names), squeeze=False, sharey=True)
    limits = _limits(equity, backtest.initial_capital, names)
    compact = Size(size.width, size.dpi, narrow=True)
    for ax, name in zip(grid.ravel(), names, strict=True):
        _draw_returns(ax, equity, backtest.initial_capital, name, compact, limits)
        _title(ax, plain(name) + (" (judged)" if name == preset else ""))
    return _png(figure)


def drawdown_picture(equity: pd.DataFrame, preset: str, size: Size) -> bytes:
    """Draw how far each policy stood below its own peak."""
    figure = _figure(size, 2.5)
    ax = _aligned(figure, size)
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
    _clean(ax)
    _percent_axis(ax)
    _dates(ax, size)
    _title(ax, f"Drawdown from the peak, {plain(preset)}")
    if ax.get_legend_handles_labels()[0]:
        legend = ax.legend(loc="lower left", fontsize=_SMALL, frameon=False, labelcolor=INK, handlelength=1.2)
        if not size.narrow:  # there is room beside the title, where it covers no line
            legend.set_loc("lower right")
            legend.set_bbox_to_anchor((1.0, 1.0))
            legend.set_ncols(2)
    return _png(figure)


def _parts(split: ProfitSplit) -> dict[str, float]:
    return {
        "funding": split.funding,
        "price": split.price + split.unrealised,
        "fees": split.fees,
        "slippage": split.slippage,
        "closing costs due": split.closing_costs,
        "penalties and liquidations": split.penalty + split.liquidation,
    }


def profit_picture(backtest: BacktestSummary, size: Size) -> bytes:
    """Draw where the money came from and went, a bar per preset and policy."""
    rows = [
        (preset, policy, result)
        for preset in backtest.presets
        for policy in ("agent", "greedy")
        if (result := backtest.result(preset, policy)) is not None
    ]
    figure = _figure(size, 0.36 * len(rows) + (1.15 if not size.narrow else 1.7))
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
            fontsize=_SMALL,
            color=INK,
        )
    ax.axvline(0.0, color=INK, linewidth=0.8)
    joint = "\n" if size.narrow else " · "
    ax.set_yticks(heights, [f"{plain(preset)}{joint}{called(policy)}" for preset, policy, _ in rows])
    _clean(ax, grid="x")
    ax.tick_params(axis="y", labelcolor=INK)
    _percent_axis(ax, "x")
    left, right = ax.get_xlim()
    ax.set_xlim(left, right + 0.14 * (right - left))
    _title(ax, "Parts of the return, percent of capital")
    handles: list[Patch | Line2D] = [
        Patch(color=colour, label=name) for name, colour in PARTS if name in used
    ]
    handles.append(Line2D([], [], color=INK, marker="D", linestyle="", markersize=4.5, label="return"))
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=2 if size.narrow else 7,
        fontsize=_SMALL,
        frameon=False,
        labelcolor=INK,
        handlelength=1.0,
        columnspacing=1.2,
    )
    return _png(figure)


def _day_numbers(times: pd.Series) -> list[float]:
    """Return days since 1970, matplotlib's unit of dates."""
    epoch = pd.Timestamp("1970-01-01", tz="UTC")
    return [float((time - epoch) / pd.Timedelta(days=1)) for time in times]


def trades_picture(trades: pd.DataFrame, title: str, size: Size) -> bytes:
    """Draw each position as a bar from fill to fill; with too many, those that moved the result most.

    Args:
        trades: The positions of one policy under one preset.
        title: What they are.
        size: Wide or narrow.
    """
    shown = trades
    if len(trades) > MOST_TRADES:
        shown = trades.loc[trades["net_pnl"].abs().nlargest(MOST_TRADES).index]
        title = f"{title}: the {MOST_TRADES} of {len(trades)} that mattered most"
    shown = shown.sort_values(["opened", "position_id"], kind="stable")
    figure = _figure(size, 0.235 * max(len(shown), 3) + 0.9)
    ax = figure.subplots()
    start, end = _day_numbers(shown["opened"]), _day_numbers(shown["closed"])
    for i, (a, b, gain, reason) in enumerate(zip(start, end, shown["net_pnl"], shown["reason"], strict=True)):
        colour = GAIN if gain >= 0 else LOSS
        ax.barh(
            -i, max(b - a, 1 / 48), left=a, height=0.68, color=colour, alpha=0.45 if reason == "end" else 0.9
        )
        ax.annotate(
            minus(f"{gain + 0.0:+,.2f}"), (max(b, a + 1 / 48), -i), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=_SMALL - 0.5, color=INK,
        )  # fmt: skip
    labels = [plain(str(name), 10 if size.narrow else 18) for name in shown["symbol"]]
    ax.set_yticks([-i for i in range(len(shown))], labels, parse_math=False)
    ax.set_ylim(-max(len(shown), 3) + 0.4, 0.6)
    _clean(ax, grid="x")
    ax.tick_params(axis="y", labelcolor=INK)
    left, right = ax.get_xlim()
    ax.set_xlim(left, right + (0.24 if size.narrow else 0.09) * (right - left))
    _dates(ax, size)
    _title(ax, title)
    return _png(figure)
