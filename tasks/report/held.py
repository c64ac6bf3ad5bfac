"""A picture of how much was at stake: gross notional over NLV and open positions, hour by hour."""

from __future__ import annotations

import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator

from schemas.backtest import BacktestSummary, PolicyName
from tasks.report.canvas import (
    MUTED,
    SMALL,
    Size,
    aligned_axes,
    called,
    clean,
    date_axis,
    minus,
    new_figure,
    plain,
    set_title,
    to_png,
)
from tasks.report.lines import COLOURS


def exposure_picture(
    backtest: BacktestSummary, equity: pd.DataFrame, preset: str, subject: PolicyName, size: Size
) -> bytes:
    """Draw the exposure of one policy, and its open positions below.

    Args:
        backtest: Whose window and limits are drawn.
        equity: Its curves.
        preset: The risk profile.
        subject: Whose exposure.
        size: Wide or narrow.
    """
    mine = equity[(equity["preset"] == preset) & (equity["policy"] == subject) & (equity["run"] == 0)]
    time = pd.DatetimeIndex(mine["time"]).tz_convert("UTC").tz_localize(None)
    ratio = (mine["gross_notional"] / mine["nlv"]).to_numpy()
    most = backtest.presets[preset].max_positions
    figure = new_figure(size, 3.4)
    whole = aligned_axes(figure, size)
    left, bottom, width, height = whole.get_position().bounds
    whole.set_position((left, bottom + 0.38 * height, width, 0.62 * height))
    below = figure.add_axes((left, bottom, width, 0.26 * height), sharex=whole)
    colour = COLOURS[subject]
    whole.fill_between(time, ratio, 0.0, step="pre", color=colour, alpha=0.22, linewidth=0)
    whole.step(time, ratio, where="pre", color=colour, linewidth=1.3)
    below.fill_between(
        time, mine["positions"].to_numpy(), 0.0, step="pre", color=colour, alpha=0.55, linewidth=0
    )
    for ax, top in ((whole, max(float(ratio.max(initial=0.0)) * 1.12, 0.1)), (below, most + 0.4)):
        clean(ax)
        ax.margins(x=0)
        ax.set_ylim(0.0, top)
    whole.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    whole.yaxis.set_major_formatter(FuncFormatter(lambda v, _: minus(f"{v + 0.0:g}x")))
    below.set_yticks([0, most])
    whole.tick_params(labelbottom=False)
    date_axis(below, size)
    set_title(whole, f"Gross notional of both legs over NLV, {called(subject)}, {plain(preset)}")
    if size.narrow:
        set_title(whole, f"Gross notional over NLV, {plain(preset)}")
    below.set_title(
        f"Open positions, at most {most}", loc="left", fontsize=SMALL, color=MUTED, pad=3, parse_math=False
    )
    mean = float(ratio[1:].mean()) if len(ratio) > 1 else 0.0
    whole.annotate(
        f" mean {mean:.2f}x", (1.0, mean), xycoords=("axes fraction", "data"), va="center", fontsize=SMALL,
        color=colour, annotation_clip=False,
    )  # fmt: skip
    return to_png(figure)
