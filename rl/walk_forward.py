"""Walk-forward: the held-out parts of all folds as one curve.

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

from rl.judge.metrics import DAY_MS, daily_returns, drawdown, return_pct, sharpe
from rl.market.arrays import F64, I64
from rl.market.splits import Window
from schemas.walk_forward import AGENT, CANDIDATE, SEVERAL, JoinedCurve

NO_SEED = -1  # in the table of curves: of a curve that is of no single seed


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
        single = equity[equity["policy"] != SEVERAL]
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
