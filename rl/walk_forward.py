"""Walk-forward: the held-out parts of all folds as one curve, and what that curve says.

The curve starts at the initial capital; every fold starts flat with the NLV the one before reached. NLVs are
chained by their ratios: sizes are shares of NLV, so a fold's returns hardly depend on what it starts with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rl.judge.gates import counted, percent
from rl.judge.metrics import DAY_MS, MIN_DAYS, daily_returns, drawdown, return_pct, sharpe
from rl.judge.verdict import Tone, Verdict
from rl.market.arrays import F64, I64
from rl.market.splits import Window
from schemas.backtest import BacktestSummary
from schemas.walk_forward import (
    AGENT,
    CANDIDATE,
    FoldResult,
    FoldRun,
    JoinedCurve,
    Played,
    WalkForwardSummary,
)

NO_SEED = -1  # in the table of curves: of a curve that is of no single seed
# Of a backtest's policies those that are one curve: a mean over random runs is none.
_SEVERAL = "random"


@dataclass(frozen=True)
class HeldOut:
    """What was replayed on one fold's held-out part.

    Attributes:
        window: The held-out part.
        chosen: The seed that is best on validation.
        equity: `equity.parquet` of the backtest of each seed: preset, policy, run, time, nlv.
        initial: Capital each replay started with, quote currency.
    """

    window: Window
    chosen: int
    equity: Mapping[int, pd.DataFrame]
    initial: float


@dataclass(frozen=True)
class JoinedDaily:
    """UTC-daily returns over the whole days of the joined curves, fractions.

    Attributes:
        days: (D,) the days.
        candidate: (D,) of the seed that validation chose in each fold.
        agent: (S, D) of each seed, followed through every fold.
        seeds: (S,) the seeds.
        baselines: (D,) each, by name: cash, greedy, and what else the backtests replayed.
    """

    days: NDArray[np.datetime64]
    candidate: F64
    agent: F64
    seeds: tuple[int, ...]
    baselines: dict[str, F64]


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
    return [name for name in names if name not in (AGENT, _SEVERAL)]


def join(folds: Sequence[HeldOut]) -> pd.DataFrame:
    """Chain the held-out parts of all folds into one curve per risk profile and policy.

    Args:
        folds: Oldest first, their windows one behind the other.

    Returns:
        A row per curve and hour: preset, who (candidate, agent or a baseline), seed (-1 where the curve is of
        no single seed), fold (1, 2, ...), time, nlv in quote currency. What the drawdown limit ended keeps
        its last NLV until the next fold begins.

    Raises:
        ValueError: The windows do not follow each other, or the folds' seeds differ.
    """
    for before, after in pairwise(folds):
        if before.window.end != after.window.start or set(before.equity) != set(after.equity):
            raise ValueError("the folds do not follow each other with the same seeds")
    level: dict[tuple[str, str, int], float] = {}
    parts = []
    for number, fold in enumerate(folds, start=1):
        hours = pd.date_range(fold.window.start, fold.window.end, freq="h", inclusive="left", unit="us")
        for (preset, who, seed), nlv in _curves(fold).items():
            start = level.get((preset, who, seed), fold.initial)
            chained = start * nlv.reindex(hours).ffill().to_numpy() / fold.initial
            level[preset, who, seed] = float(chained[-1])
            parts.append(
                pd.DataFrame(
                    {
                        "preset": preset,
                        "who": who,
                        "seed": seed,
                        "fold": number,
                        "time": hours,
                        "nlv": chained,
                    }
                )
            )
    joined = pd.concat(parts, ignore_index=True)
    return joined.sort_values(["preset", "who", "seed", "time"], kind="stable", ignore_index=True)


def _curves(fold: HeldOut) -> dict[tuple[str, str, int], pd.Series]:
    """Return the NLV by time of every curve of a fold, by preset, who and seed."""
    curves: dict[tuple[str, str, int], pd.Series] = {}
    for seed, equity in sorted(fold.equity.items()):
        single = equity[equity["policy"] != _SEVERAL]
        for (preset, policy), own in single.groupby(["preset", "policy"], sort=False, observed=True):
            nlv = own.set_index("time")["nlv"]
            if policy == AGENT:
                curves[str(preset), AGENT, seed] = nlv
                if seed == fold.chosen:
                    curves[str(preset), CANDIDATE, NO_SEED] = nlv
            elif seed == fold.chosen:  # they know no seed: one replay of them is as good as another
                curves[str(preset), str(policy), NO_SEED] = nlv
    return curves


def by_curve(curve: pd.DataFrame) -> dict[tuple[str, str, int], pd.DataFrame]:
    """Take the table of `join` apart: the rows of each curve by preset, who and seed, in its order."""
    return {
        (str(preset), str(who), int(str(seed))): rows
        for (preset, who, seed), rows in curve.groupby(["preset", "who", "seed"], sort=False)
    }


def joined_daily(curve: pd.DataFrame, preset: str) -> JoinedDaily:
    """Return the daily returns of the joined curves under one risk profile, day by day beside each other.

    Args:
        curve: What `join` made.
        preset: The risk profile.

    Raises:
        ValueError: There is no curve of that profile.
    """
    own = curve[curve["preset"] == preset]
    if own.empty:
        raise ValueError(f"there is no curve under {preset}")
    daily: dict[tuple[str, int], F64] = {}
    days = np.zeros(0, "datetime64[D]")
    for (_, who, seed), rows in by_curve(own).items():
        time_ms, nlv = _arrays(rows)
        daily[who, seed] = daily_returns(time_ms, nlv)
        midnights = time_ms[time_ms % DAY_MS == 0][:-1]
        days = midnights.astype("datetime64[ms]").astype("datetime64[D]")
    seeds = tuple(seed for who, seed in daily if who == AGENT)
    return JoinedDaily(
        days=days,
        candidate=daily[CANDIDATE, NO_SEED],
        agent=np.stack([daily[AGENT, seed] for seed in seeds]),
        seeds=seeds,
        baselines={who: returns for (who, _), returns in daily.items() if who not in (AGENT, CANDIDATE)},
    )


def figures(curve: pd.DataFrame) -> tuple[JoinedCurve, ...]:
    """Return the figures of every joined curve.

    Args:
        curve: What `join` made.
    """
    told = []
    for (preset, who, seed), rows in by_curve(curve).items():
        time_ms, nlv = _arrays(rows)
        figure = sharpe(daily_returns(time_ms, nlv))
        told.append(
            JoinedCurve(
                preset=preset,
                who=who,
                seed=None if seed == NO_SEED else seed,
                return_pct=return_pct(nlv, float(nlv[0])),
                max_drawdown_pct=float(100.0 * drawdown(nlv).max()),
                days=figure.days,
                sharpe=figure.annual,
                sharpe_note=figure.note,
            )
        )
    return tuple(told)


def _arrays(rows: pd.DataFrame) -> tuple[I64, F64]:
    """Return times in UTC epoch milliseconds and NLVs of one curve."""
    time = pd.DatetimeIndex(rows["time"]).as_unit("ms").asi8
    return time.astype(np.int64), rows["nlv"].to_numpy(np.float64)


def interquartile_mean(values: Sequence[float]) -> float:
    """Return the mean of the middle half; of fewer than four values, of those that weigh in it.

    A quarter of the weight is cut off at either end, a value at the border counting in part (Agarwal et al.
    2021, "Deep reinforcement learning at the edge of the statistical precipice").
    """
    ordered = np.sort(np.asarray(values, np.float64))
    edges = np.arange(len(ordered) + 1) / len(ordered)
    inside = np.clip(np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25), 0.0, None)
    return float((ordered * inside).sum() / inside.sum())


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
        details.append(
            f"Each seed followed through every fold returned {percent(min(spread))} to "
            f"{percent(max(spread))}, inter-quartile mean {percent(interquartile_mean(spread))}."
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
