"""The stress tests, for the page: a picture of what each cost, and the largest parts of the profit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rl.judge.gates import percent
from schemas.stress import Share, StressReport
from tasks.report.bars import GAIN, LOSS
from tasks.report.canvas import (
    INK,
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

MOST_PARTS: Final = 6


def stress_picture(report: StressReport, size: Size) -> bytes:
    """Draw what every stress changed, with what was left of the return."""
    tried = report.outcomes
    figure = new_figure(size, 0.34 * len(tried) + 0.95)
    ax = figure.subplots()
    for i, found in enumerate(tried):
        colour = LOSS if found.change_pct < 0 else GAIN
        ax.barh(-i, found.change_pct, height=0.62, color=colour, alpha=0.9)
        told = f"{percent(found.change_pct)}, leaves {percent(found.return_pct)}"
        if size.narrow:
            told = percent(found.return_pct)
        ax.annotate(
            minus(told), (max(found.change_pct, 0.0), -i), xytext=(5, 0), textcoords="offset points",
            va="center", fontsize=SMALL, color=INK, annotation_clip=False,
        )  # fmt: skip
    ax.axvline(0.0, color=INK, linewidth=0.8)
    ax.set_yticks(
        [-i for i in range(len(tried))], [plain(found.name, 30) for found in tried], parse_math=False
    )
    ax.set_ylim(-len(tried) + 0.4, 0.6)
    clean(ax, grid="x")
    ax.tick_params(axis="y", labelcolor=INK)
    percent_axis(ax, "x")
    left, right = ax.get_xlim()
    room = max(right - left, 0.01)
    ax.set_xlim(left, right + (0.34 if size.narrow else 0.2) * room)
    plain_run = "" if size.narrow else f", {percent(report.plain.return_pct)} with nothing made worse"
    title = "What is left of the return" if size.narrow else "Change of the return, and what is left of it"
    set_title(ax, minus(title + plain_run))
    return to_png(figure)


def parts(shares: Sequence[Share]) -> list[Share]:
    """Return the largest parts of a profit, and the sum of the others as the last."""
    if len(shares) <= MOST_PARTS + 1:
        return list(shares)
    rest = shares[MOST_PARTS:]
    known = [part.share for part in rest if part.share is not None]
    others = Share(
        name=f"{len(rest)} others",
        profit=sum(part.profit for part in rest),
        share=sum(known) if len(known) == len(rest) else None,
    )
    return [*shares[:MOST_PARTS], others]
