"""What a walk-forward is worth: which seed is the candidate, what to doubt, and the outcome in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl.judge.bootstrap import interquartile_mean
from rl.judge.gates import counted, percent
from rl.judge.metrics import MIN_DAYS
from rl.judge.verdict import Tone, Verdict
from schemas.backtest import BacktestSummary
from schemas.walk_forward import (
    AGENT,
    CANDIDATE,
    SEVERAL,
    FoldResult,
    FoldRun,
    JoinedCurve,
    Played,
    WalkForwardSummary,
)


def choose(runs: Sequence[FoldRun]) -> int:
    """Return the seed that is best on validation, the lowest of equals; the held-out part has no say."""
    return min(runs, key=lambda run: (-run.validation_pct, run.seed)).seed


def played(summary: BacktestSummary, policy: str) -> tuple[Played, ...]:
    """Return what one policy did in a backtest, under every preset."""
    return tuple(
        Played(
            preset=result.preset,
            policy=result.policy,
            return_pct=result.return_pct,
            max_drawdown_pct=result.max_drawdown_pct,
            trades=result.trades,
            liquidations=result.liquidations,
            ended_early=result.ended_early > 0,
        )
        for result in summary.results
        if result.policy == policy
    )


def single_policies(summary: BacktestSummary) -> list[str]:
    """List the baselines of a backtest that are one curve each, in its order."""
    names = dict.fromkeys(result.policy for result in summary.results)
    return [name for name in names if name not in (AGENT, SEVERAL)]


def doubts(folds: Sequence[FoldResult], curves: Sequence[JoinedCurve], preset: str) -> tuple[str, ...]:
    """Say why less is claimed than the numbers seem to say; empty where there is nothing.

    Args:
        folds: The folds.
        curves: Figures of the joined curves.
        preset: The risk profile that is judged.
    """
    told = []
    days = next(c.days for c in curves if c.preset == preset and c.who == CANDIDATE)
    if days < MIN_DAYS:
        told.append(f"Insufficient evidence: {counted(days, 'whole day')} held out, {MIN_DAYS} are needed.")
    if len(folds[0].runs) == 1:
        told.append("One seed was trained: how much the result owes to its seed is not known.")
    ended = [fold.number for fold in folds if _of(fold.candidate.results, preset).ended_early]
    if ended:
        told.append(
            f"The drawdown limit ended fold {', '.join(map(str, ended))}; it was flat until the next began."
        )
    return tuple(told)


def verdict(summary: WalkForwardSummary) -> Verdict:
    """Say what a walk-forward shows under the judged risk profile, the least flattering truth first.

    Args:
        summary: The walk-forward.
    """
    preset = summary.preset
    candidate = _curve(summary, CANDIDATE)
    results = [_of(fold.candidate.results, preset) for fold in summary.folds]
    trades, lost = sum(r.trades for r in results), sum(r.liquidations for r in results)
    rivals = [curve for curve in summary.baselines(preset) if curve.who != "cash"]
    ahead = [r for r in rivals if round(r.return_pct - candidate.return_pct, 9) >= 0]
    days = counted(round(summary.hours / 24), "day")
    said = f"the policy returned {percent(candidate.return_pct)} net of all costs on {days} held out"
    tone: Tone = "bad"
    if not trades:
        headline = f"No better than cash: the policy never traded on {days} held out."
    elif round(candidate.return_pct, 9) <= 0:
        headline = f"No better than cash: {said}."
    elif ahead:
        headline = f"Better than cash but no better than {_names(ahead)}: {said}."
        tone = "mixed"
    else:
        beaten = _names([_curve(summary, "cash"), *rivals])
        headline, tone = f"Better than {beaten}: {said}.", "good"
    paid = sum(round(r.return_pct, 9) > 0 for r in results)
    details = [f"It earned something in {paid} of {counted(len(results), 'fold')}."]
    details += [f"{rival.who.capitalize()} returned {percent(rival.return_pct)}." for rival in rivals]
    spread = [curve.return_pct for curve in summary.of_seeds(preset)]
    if len(spread) > 1:
        middle = float(interquartile_mean(np.array(spread)))
        details.append(
            f"Each seed followed through every fold returned {percent(min(spread))} to "
            f"{percent(max(spread))}, inter-quartile mean {percent(middle)}."
        )
    if lost:
        details.append(f"It suffered {counted(lost, 'liquidation')}.")
    if candidate.sharpe is not None:
        details.append(f"Sharpe ratio over {counted(candidate.days, 'day')}: {candidate.sharpe:.2f} a year.")
    elif candidate.days >= MIN_DAYS:  # with fewer days a note says so
        details.append(f"Sharpe ratio: {candidate.sharpe_note}.")
    return Verdict(headline, tone, (*details, *summary.notes))


def _curve(summary: WalkForwardSummary, who: str) -> JoinedCurve:
    found = summary.curve(summary.preset, who)
    if found is None:
        raise ValueError(f"{who} was not replayed under {summary.preset}")
    return found


def _of(results: Sequence[Played], preset: str) -> Played:
    return next(result for result in results if result.preset == preset)


def _names(curves: Sequence[JoinedCurve]) -> str:
    names = [curve.who for curve in curves]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
