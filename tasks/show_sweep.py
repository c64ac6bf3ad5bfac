"""What a sweep says on its run's page and in the terminal: the same tables in both."""

from __future__ import annotations

from typing import Any, Final

from schemas.sweep import SWEEP, SweepSummary, TrialResult
from tasks import ui
from tasks.cache import Cached

PICTURES: Final = ("progress", "importance", "slices")
TRIAL_HEADER: Final = ("trial", "state", "validation %", "lowest", "highest", "episodes")
IMPORTANCE_HEADER: Final = ("parameter", "importance %", "searched", "best trial")


def concluded(made: Cached) -> None:
    """Show the result, every trial, and what matters among the parameters."""
    from rl.sweep.findings import findings

    summary = SweepSummary.model_validate_json((made.path / SWEEP).read_text(encoding="utf-8"))
    said = findings(summary)
    pictures = [ui.picture(made.path / f"{name}.png", name) for name in PICTURES]
    command = made.manifest.summary["next"]
    parts = [
        "# Sweep",
        f"**{said.headline}**",
        " ".join(said.details),
        f"Judge it: `{command}`" if command else "",
        pictures[0],
        ui.table(trial_header(summary), trial_rows(summary)),
        *pictures[1:],
        ui.table(list(IMPORTANCE_HEADER), importance_rows(summary)),
        f"`{made.path / 'report.html'}`",
    ]
    ui.markdown("sweep", "\n\n".join(filter(None, parts)), "Every trial of a search, and the best of them")


def trial_header(summary: SweepSummary) -> list[str]:
    """Return the header of the table of trials."""
    return [*TRIAL_HEADER, *summary.config.space]


def trial_rows(summary: SweepSummary) -> list[list[Any]]:
    """Return every trial below `trial_header`: complete ones from the best on, then the others by number."""
    return [_row(trial, list(summary.config.space)) for trial in ranked(summary)]


def ranked(summary: SweepSummary) -> list[TrialResult]:
    """Return the complete trials from the best on, then the others by number."""
    whole = sorted(summary.complete, key=lambda trial: (-(trial.value or 0.0), trial.number))
    return [*whole, *(trial for trial in summary.trials if trial.state != "complete")]


def importance_rows(summary: SweepSummary) -> list[list[Any]]:
    """Return every parameter below IMPORTANCE_HEADER, the most important first."""
    best = summary.best
    names = [*summary.importance, *(name for name in summary.config.space if name not in summary.importance)]
    return [
        [
            name,
            100.0 * summary.importance[name] if name in summary.importance else None,
            str(summary.config.space[name]),
            None if best is None else f"{best.params[name]:g}",
        ]
        for name in names
    ]


def _row(trial: TrialResult, names: list[str]) -> list[Any]:
    reached = trial.value if trial.value is not None else trial.runs[-1].best_pct
    several = len(trial.values) > 1
    return [
        trial.number,
        trial.state,
        reached,
        min(trial.values) if several else None,
        max(trial.values) if several else None,
        trial.runs[-1].looks[-1][0] if trial.runs[-1].looks else 0,
        *(f"{trial.params[name]:g}" for name in names),
    ]
