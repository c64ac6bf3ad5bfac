"""What the report's pictures share: sizes, colours, letters, axes.

Drawn with matplotlib's Agg canvas, without pyplot: no display, no global state. Each picture exists
twice, wide for a screen or paper and narrow for a phone, so that its letters stay readable.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import matplotlib.dates as mdates
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

INK: Final = "#1c2530"
MUTED: Final = "#6b7785"
RULE: Final = "#dfe4ea"
SMALL: Final = 8.5  # points


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
    return {"agent": "policy", "flip": "hold-until-flip"}.get(policy, policy)


def plain(text: str, most: int = 16) -> str:
    """Return a text that the font can draw, shortened; names come from files and may hold anything."""
    drawn = "".join(c if c.isprintable() and ord(c) < 0x250 else "□" for c in text)
    return drawn if len(drawn) <= most else drawn[: most - 1] + "…"


def new_figure(size: Size, height: float) -> Figure:
    """Return an empty figure of a height in inches."""
    figure = Figure(figsize=(size.width, height), dpi=size.dpi, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def aligned_axes(figure: Figure, size: Size, names: bool = False) -> Axes:
    """Return axes with fixed margins, so that pictures over the same hours end exactly above each other.

    Args:
        figure: The figure.
        size: Wide or narrow.
        names: Whether names and not numbers stand on the left.
    """
    figure.set_layout_engine("none")
    inches = figure.get_figheight()
    left, right = (0.13, 0.765) if size.narrow else (0.062, 0.885)
    if names:
        left = 0.215 if size.narrow else 0.14
    return figure.add_axes((left, 0.5 / inches, right - left, (inches - 0.85) / inches))


def to_png(figure: Figure) -> bytes:
    """Return the picture; the same figure gives the same bytes."""
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def clean(ax: Axes, grid: str = "y") -> None:
    """Keep one axis line and the grid of the axis that is read."""
    for side in ("top", "right", "left" if grid == "y" else "bottom"):
        ax.spines[side].set_visible(False)
    for spine in ax.spines.values():
        spine.set_color(RULE)
    ax.tick_params(colors=MUTED, labelsize=SMALL, length=0)
    ax.grid(axis="y" if grid == "y" else "x", color=RULE, linewidth=0.7)
    ax.set_axisbelow(True)


def set_title(ax: Axes, text: str) -> None:
    """Write a title above the left end; a dollar sign in it is a dollar sign."""
    ax.set_title(text, loc="left", fontsize=10, color=INK, fontweight="bold", pad=8, parse_math=False)


def date_axis(ax: Axes, size: Size) -> None:
    """Mark days or hours on the x axis, whichever fits."""
    most = dict.fromkeys((mdates.YEARLY, mdates.MONTHLY, mdates.DAILY, mdates.MINUTELY), 4)
    most[mdates.HOURLY] = 5
    locator = mdates.AutoDateLocator(minticks=3, maxticks=most if size.narrow else 9)  # type: ignore[no-untyped-call]
    # The widest steps matplotlib knows of a unit are too narrow for three of the next one in four marks.
    for unit, step in ((mdates.MONTHLY, 12), (mdates.HOURLY, 24), (mdates.MINUTELY, 60)):
        locator.intervald[unit] = [*locator.intervald[unit], step]
    ax.xaxis.set_major_locator(locator)
    formatter = mdates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_formatter(formatter)
    ax.xaxis.get_offset_text().set(color=MUTED, fontsize=SMALL)


def percent_axis(ax: Axes, axis: str = "y") -> None:
    """Write percent signs on an axis."""
    which = ax.yaxis if axis == "y" else ax.xaxis
    which.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    which.set_major_formatter(FuncFormatter(lambda v, _: minus(f"{v + 0.0:g} %")))
