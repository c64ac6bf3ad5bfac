"""The training curves as one picture, with the limits of the signs they are read for."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schemas.health import HealthLimits

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CURVES: Final = "curves.png"
_FEW: Final = 20  # points that are marked one by one
_FAINT: Final = {"color": "#b03a2e", "linewidth": 0.8, "alpha": 0.55, "linestyle": (0, (4, 3))}
_CHOSEN: Final = "eval_return"


@dataclass(frozen=True)
class _Panel:
    """One picture: columns by their labels, and faint lines where a sign turns."""

    title: str
    columns: Mapping[str, str]
    limits: tuple[float, ...] = ()
    percent: bool = False
    log: bool = False
    low: float | None = None


def _panels(m: HealthLimits, metrics: pd.DataFrame, greedy: Mapping[str, float]) -> tuple[_Panel, ...]:
    validation = {f"eval_{name}": name for name in ("conservative", "moderate", "aggressive")}
    if not any(c in metrics and metrics[c].notna().any() for c in validation):
        validation = {_CHOSEN: "own"}  # trained for one profile
    compared = ", dashed: greedy" if greedy else ""
    return (
        _Panel("Episode return, mean of 100 (%)", {"mean_100": ""}, (m.bad_return_pct,)),
        _Panel(f"Return on validation (%){compared}", validation),
        _Panel(
            "Entropy (nats)", {"entropy_kind": "kind", "entropy_entry": "entry"}, (m.stuck_entropy,), low=0
        ),
        _Panel("Share of steps (%)", {"share_enter": "enter", "share_exit": "exit"}, percent=True, low=0),
        _Panel("Value loss", {"value_loss": ""}, log=True),
        _Panel("Explained variance of the value", {"explained_variance": ""}, (m.bad_explained,)),
        _Panel("KL of an update", {"kl": ""}, (m.good_kl, m.bad_kl), low=0),
        _Panel("Clip fraction", {"clip_fraction": ""}, (m.low_clip, m.high_clip), low=0),
    )


def draw_curves(
    metrics: pd.DataFrame,
    path: Path,
    greedy: Mapping[str, float] | None = None,
    limits: HealthLimits | None = None,
) -> None:
    """Draw how a training went, by episodes.

    Args:
        metrics: A row per update, as `metrics.parquet` holds it.
        path: The PNG to write.
        greedy: Return of the greedy baseline on validation by risk profile, percent.
        limits: Where the signs turn.
    """
    figure = training_figure(metrics, greedy or {}, limits or HealthLimits())
    figure.savefig(path, format="png", metadata={"Software": None})


def curves_png(metrics: pd.DataFrame, dpi: float) -> bytes:
    """Return the curves so far as a PNG of that many dots per inch; `metrics` as for `draw_curves`."""
    out = io.BytesIO()
    training_figure(metrics, {}, HealthLimits()).savefig(
        out, format="png", dpi=dpi, metadata={"Software": None}
    )
    return out.getvalue()


def training_figure(metrics: pd.DataFrame, greedy: Mapping[str, float], limits: HealthLimits) -> Figure:
    """Return the picture; the arguments are those of `draw_curves`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = _panels(limits, metrics, greedy)
    figure = Figure(figsize=(9.0, 9.2), dpi=90, facecolor="white")
    FigureCanvasAgg(figure)
    figure.subplots_adjust(0.07, 0.055, 0.98, 0.965, wspace=0.18, hspace=0.33)
    axes = figure.subplots(len(panels) // 2, 2, sharex=True)
    for ax, panel in zip(axes.flat, panels, strict=True):
        _draw(ax, metrics, panel, greedy)
    for ax in axes[-1]:
        ax.set_xlabel("episodes")
    return figure


def _draw(ax: Any, metrics: pd.DataFrame, panel: _Panel, greedy: Mapping[str, float]) -> None:
    ax.set_title(panel.title, loc="left", fontsize=10)
    ax.grid(color="#dddddd", linewidth=0.7)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if panel.log:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    drawn = {c: label for c, label in panel.columns.items() if c in metrics and metrics[c].notna().any()}
    for column, label in drawn.items():
        known = metrics[metrics[column].notna()]
        [line] = ax.plot(
            known["episodes"],
            known[column] * (100.0 if panel.percent else 1.0),
            label=label,
            marker="o" if len(known) < _FEW else None,
            markersize=3,
        )
        if column.startswith("eval_") and label in greedy:
            ax.axhline(greedy[label], color=line.get_color(), linewidth=0.9, linestyle="--")
    if panel.log and drawn:
        bottom, top = ax.get_ylim()
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if top < 100.0 * bottom else (1.0,)))
    if len(drawn) > 1:
        ax.legend(frameon=False, fontsize=8)
    if not drawn:
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", color="#888888")
    _mark(ax, panel)


def _mark(ax: Any, panel: _Panel) -> None:
    """Draw the limits that are in sight, and the nearest one that is not; the curve keeps its scale."""
    if panel.low is not None:
        ax.set_ylim(bottom=panel.low)
    bottom, top = ax.get_ylim()
    for limit in panel.limits:
        if bottom <= limit <= top:
            ax.axhline(limit, **_FAINT)
        else:
            side, arrow = (0.96, "\u2191") if limit > top else (0.04, "\u2193")
            ax.text(0.995, side, f"limit {arrow} {limit:g}", transform=ax.transAxes, ha="right", fontsize=8,
                    va="top" if limit > top else "bottom", color=_FAINT["color"])  # fmt: skip
            return
