"""The training curves as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

CURVES: Final = "curves.png"
_PANELS: Final = (
    ("Episode return, mean of 100 (%)", ("mean_100",)),
    ("Return on validation (%)", ("eval_conservative", "eval_moderate", "eval_aggressive")),
    ("Entropy (nats)", ("entropy",)),
    ("Explained variance of the value", ("explained_variance",)),
    ("KL per update", ("kl",)),
    ("Clip fraction", ("clip_fraction",)),
)


def draw_curves(metrics: pd.DataFrame, path: Path) -> None:
    """Draw how a training went, by episodes.

    Args:
        metrics: A row per update, as `metrics.parquet` holds it.
        path: The PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 7.0), dpi=90, facecolor="white")
    FigureCanvasAgg(figure)
    figure.subplots_adjust(0.07, 0.07, 0.98, 0.95, wspace=0.18, hspace=0.3)
    axes = figure.subplots(3, 2, sharex=True)
    for ax, (title, columns) in zip(axes.flat, _PANELS, strict=True):
        _panel(ax, metrics, title, columns)
    for ax in axes[-1]:
        ax.set_xlabel("episodes")
    figure.savefig(path, format="png", metadata={"Software": None})


def _panel(ax: Any, metrics: pd.DataFrame, title: str, columns: tuple[str, ...]) -> None:
    ax.set_title(title, loc="left", fontsize=10)
    ax.grid(color="#dddddd", linewidth=0.7)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    drawn = [c for c in columns if c in metrics.columns and metrics[c].notna().any()]
    for column in drawn:
        known = metrics[metrics[column].notna()]
        ax.plot(
            known["episodes"],
            known[column],
            label=column.removeprefix("eval_"),
            marker="o" if len(known) < 20 else None,
            markersize=3,
        )
    if len(drawn) > 1:
        ax.legend(frameon=False, fontsize=8)
    if not drawn:
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", color="#888888")
