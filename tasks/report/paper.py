"""A picture of what the aliases would have earned: return on paper, hour by hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from schemas.paper import PaperLine
from tasks.report.canvas import (
    MUTED,
    SMALL,
    WIDE,
    Size,
    aligned_axes,
    clean,
    date_axis,
    minus,
    new_figure,
    percent_axis,
    set_title,
    to_png,
)
from tasks.report.lines import spread_out

_COLOURS: Final = {"challenger": "#0f6b6b", "champion": "#c77700"}
_STYLES: Final = {"conservative": ":", "moderate": "-", "aggressive": "--"}


def paper_picture(ledgers: Mapping[str, Sequence[PaperLine]], size: Size = WIDE) -> bytes:
    """Draw the return of each portfolio; a tick marks the hours at which its alias was moved.

    Args:
        ledgers: The lines of each portfolio by its name, oldest first.
        size: Wide or narrow.
    """
    figure = new_figure(size, 3.4)
    ax = aligned_axes(figure, size)
    ends = []
    several = len({lines[0].preset for lines in ledgers.values()}) > 1
    for lines in ledgers.values():
        colour = _COLOURS[lines[0].alias]
        times = np.array([line.hour.replace(tzinfo=None) for line in lines], "datetime64[s]")
        gain = 100.0 * (np.array([line.nlv for line in lines]) / lines[0].nlv - 1.0)
        ax.plot(times, gain, color=colour, linewidth=1.8, linestyle=_STYLES[lines[0].preset])
        moved = [i for i, line in enumerate(lines) if line.begins and i]
        ax.plot(times[moved], gain[moved], linestyle="none", marker="|", markersize=12, color=colour)
        name = f"{lines[0].alias}\n {lines[0].preset}" if several else lines[0].alias  # there is little room
        ends.append((name, float(gain[-1]), colour))
    clean(ax)
    percent_axis(ax)
    date_axis(ax, size)
    ax.margins(x=0)
    low, high = ax.get_ylim()
    gap = min(0.18 if several else 0.13, 1.0 / len(ends))  # of the height, for three lines or two
    heights = spread_out([end for _, end, _ in ends], low, high, (high - low) * gap)
    for (name, end, colour), y in zip(ends, heights, strict=True):
        ax.annotate(
            f" {name}\n {minus(f'{end:+.2f} %')}",
            (1.0, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=SMALL,
            color=colour,
            annotation_clip=False,
        )
    set_title(ax, "Return on paper, net of all costs")
    if any(line.begins for lines in ledgers.values() for line in lines[1:]):
        ax.text(
            0.0, -0.16, "a tick: the alias was moved", transform=ax.transAxes, fontsize=SMALL, color=MUTED
        )
    return to_png(figure)
