"""From a sweep's trials to a page a person reads; like the backtest's, it asks nobody for anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rl.sweep.findings import findings, luck
from schemas.sweep import SweepSummary
from tasks.report import canvas
from tasks.report.html import environment, write
from tasks.report.pictures import Picture, draw
from tasks.report.sweep_pictures import greedy_of, importance_picture, progress_picture, slices_picture
from tasks.show_sweep import importance_rows, ranked


def write_sweep(
    summary: SweepSummary, out_dir: Path, *, features: str, command: str, next_command: str
) -> Path:
    """Render report.html and its pictures.

    Args:
        summary: What the sweep found.
        out_dir: Where report.html and the PNG files go.
        features: Ref of what the trials were trained on.
        command: The command line that makes it again.
        next_command: The command line that judges the best trial; empty where there is none.

    Returns:
        The path of report.html.
    """
    text = (
        environment()
        .get_template("sweep.html")
        .render(
            summary=summary,
            findings=findings(summary),
            best=summary.best,
            greedy=greedy_of(summary),
            luck=luck(summary),
            ranked=ranked(summary),
            parameters=importance_rows(summary),
            rungs=summary.config.rung_episodes(summary.base.num_episodes),
            pictures=_draw(summary, out_dir),
            features=features,
            command=command,
            next_command=next_command,
        )
    )
    path = out_dir / "report.html"
    write(path, text.encode("utf-8"))
    return path


def _draw(summary: SweepSummary, out: Path) -> dict[str, Picture]:
    drawn: dict[str, tuple[Callable[[canvas.Size], bytes], str]] = {
        "progress": (
            lambda size: progress_picture(summary, size),
            "Return on validation of every trial in the order they were made, with the best so far.",
        ),
        "slices": (
            lambda size: slices_picture(summary, size),
            "Return on validation along each parameter that was searched.",
        ),
    }
    if summary.importance:
        drawn["importance"] = (
            lambda size: importance_picture(summary, size),
            "Share of each parameter in what separates the best trials from the rest.",
        )
    return draw(drawn, out)
