"""What a walk-forward says on its run's page and in the terminal: the same tables in both."""

from __future__ import annotations

from typing import Any, Final

from schemas.walk_forward import AGENT, WALK_FORWARD, FoldResult, JoinedCurve, Played, WalkForwardSummary
from tasks import ui
from tasks.cache import Cached

PICTURES: Final = ("joined", "folds")
FOLD_HEADER: Final = (
    "fold", "held out from", "days", "seed", "validation %", "held out %", "all seeds %", "greedy %",
    "trades", "liquidated",
)  # fmt: skip
CURVE_HEADER: Final = ("who", "return %", "drawdown %", "Sharpe")


def joined(made: Cached) -> None:
    """Show the verdict, the joined curve and every fold."""
    from rl.judge.walk_forward import verdict

    text = (made.path / WALK_FORWARD).read_text(encoding="utf-8")
    summary = WalkForwardSummary.model_validate_json(text)
    said = verdict(summary)
    pictures = [ui.picture(made.path / f"{name}.png", name) for name in PICTURES]
    parts = [
        "# Walk-forward",
        f"**{said.headline}**",
        " ".join(said.details),
        pictures[0],
        ui.table(list(CURVE_HEADER), curve_rows(summary)),
        pictures[1],
        ui.table(list(FOLD_HEADER), fold_rows(summary)),
        f"`{made.path / 'report.html'}`",
    ]
    ui.markdown(
        "walk-forward", "\n\n".join(filter(None, parts)), "The held-out parts of all folds as one curve"
    )


def curve_rows(summary: WalkForwardSummary) -> list[list[Any]]:
    """Return the joined curves under the judged risk profile, below CURVE_HEADER."""
    mine = [curve for curve in summary.curves if curve.preset == summary.preset]
    rank = {"candidate": 0, AGENT: 1}
    mine.sort(key=lambda curve: (rank.get(curve.who, 2), curve.seed or 0))
    return [[called(c), c.return_pct, c.max_drawdown_pct, c.sharpe] for c in mine]


def fold_rows(summary: WalkForwardSummary) -> list[list[Any]]:
    """Return the folds under the judged risk profile, below FOLD_HEADER."""
    return [_fold_row(fold, summary.preset) for fold in summary.folds]


def _fold_row(fold: FoldResult, preset: str) -> list[Any]:
    candidate = of_preset(fold.candidate.results, preset)
    every = [of_preset(run.results, preset).return_pct for run in fold.runs]
    greedy: list[float | None] = [
        one.return_pct for one in fold.baselines if (one.preset, one.policy) == (preset, "greedy")
    ]
    return [
        fold.number,
        f"{fold.test.start:%Y-%m-%d %H:%M}",
        (fold.test.end - fold.test.start).total_seconds() / 86_400,
        fold.chosen,
        fold.candidate.validation_pct,
        candidate.return_pct,
        f"{min(every):+.2f} to {max(every):+.2f}",
        *(greedy or [None]),
        candidate.trades,
        candidate.liquidations,
    ]


def of_preset(results: tuple[Played, ...], preset: str) -> Played:
    """Return the result under one risk profile."""
    return next(result for result in results if result.preset == preset)


def called(curve: JoinedCurve) -> str:
    """Return how a joined curve is called in tables and pictures."""
    if curve.who == AGENT:
        return f"seed {curve.seed}"
    return "candidate" if curve.who == "candidate" else curve.who
