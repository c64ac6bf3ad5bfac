"""Evidence: what the daily returns of a candidate prove against cash, greedy and the reigning champion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from rl.judge.bootstrap import Memory, interval, memory
from rl.judge.daily import Daily, together
from rl.judge.gates import counted
from rl.judge.metrics import MIN_DAYS
from rl.judge.sharpe import (
    deflated_sharpe,
    expected_maximum,
    minimum_track_record,
    sharpe_ratio,
    skew_and_kurtosis,
)
from rl.judge.trials import Trials
from rl.market.arrays import F64
from schemas.evidence import DAYS_PER_YEAR, Comparison, Evidence, Source, VarianceSource
from schemas.promotion import PromotionPolicy


def build_evidence(
    candidate: Daily,
    policy: PromotionPolicy,
    trials: Trials,
    *,
    source: Source,
    seeds: Sequence[Daily] = (),
    greedy: Daily | None = None,
    champion: Daily | None = None,
    own: Daily | None = None,
    unseen_from: datetime | None = None,
    seed: int = 0,
) -> Evidence:
    """Say what a candidate's returns prove.

    The candidate is the seed that is best on validation, and its own curve is what is judged; the other seeds
    say how the recipe does, which is shown apart.

    Args:
        candidate: Its daily returns on hours it has not seen: the test window, or the joined folds of a
            walk-forward.
        policy: Confidence, blocks asked for, what cash earns.
        trials: What was tried on these hours.
        source: Where the curve comes from.
        seeds: Daily returns of every seed of the recipe on the same hours, the candidate's among them.
        greedy: Of the greedy baseline on the same hours.
        champion: Of the reigning champion on the same hours; None where there is none.
        own: Of the version itself, where `candidate` is a curve of its recipe: who replaces the champion is
            compared with it.
        unseen_from: First hour that neither the candidate nor the champion was trained or chosen on; only
            days after it are compared with the champion.
        seed: Of the bootstrap's draws.
    """
    hurdle = policy.cash_apr / 100.0 / DAYS_PER_YEAR
    excess = candidate.returns - hurdle
    known = memory(excess[None])
    effective = len(excess) / known.inflation
    figure = _sharpe(excess, known, policy, trials)
    over_seeds = None
    if len(seeds) > 1:
        _, all_seeds = together(seeds)
        over_seeds = interval(all_seeds - hurdle, confidence=policy.confidence, seed=seed)
    first = None if unseen_from is None else np.datetime64(unseen_from.astimezone(UTC).replace(tzinfo=None))
    fresh = (own or candidate).since(first)
    return Evidence(
        source=source,
        start=_midnight(candidate, 0),
        end=_midnight(candidate, 1),
        days=len(excess),
        block_days=known.block_days,
        blocks=known.blocks,
        persistence=known.persistence,
        effective_days=effective,
        seeds=max(len(seeds), 1),
        confidence=policy.confidence,
        cash_apr=policy.cash_apr,
        over_cash=interval(excess[None], confidence=policy.confidence, seed=seed),
        recipe=over_seeds,
        over_greedy=None if greedy is None else compare(candidate, greedy, policy, seed=seed),
        over_champion=None if champion is None else compare(fresh, champion, policy, seed=seed),
        trials=trials.count,
        **figure,
        insufficient=_too_little(known, policy),
    )


def compare(own: Daily, other: Daily, policy: PromotionPolicy, *, seed: int = 0) -> Comparison:
    """Compare two curves over the days both have, day by day: what moves both moves neither difference.

    Args:
        own: Daily returns.
        other: Daily returns.
        policy: Confidence of the interval.
        seed: Of the draws.
    """
    days, returns = together([own, other])
    gap = (returns[0] - returns[1])[None]
    known = memory(gap)
    return Comparison(
        excess=interval(gap, confidence=policy.confidence, seed=seed),
        days=len(days),
        block_days=known.block_days,
        blocks=known.blocks,
    )


def trial_variance(trials: Trials, days: int, inflation: float) -> tuple[float, VarianceSource]:
    """Return the variance of the trials' daily Sharpe ratios, and where it is known from.

    Seen over the trials where two or more are known. Else what chance alone gives one without skill: that of
    the mean of `days` returns that remember, over their variance.
    """
    seen = trials.variance(days)
    return (inflation / days, "sampling") if seen is None else (seen, "trials")


def _sharpe(
    excess: F64, known: Memory, policy: PromotionPolicy, trials: Trials
) -> dict[str, float | str | None]:
    """Return the fields of the Sharpe ratio; all empty where none is claimed."""
    ratio = sharpe_ratio(excess)
    days = len(excess)
    names = (
        "sharpe",
        "trial_variance",
        "variance_source",
        "sharpe_of_luck",
        "deflated_sharpe",
        "minimum_days",
    )
    if ratio is None or days < MIN_DAYS:
        return dict.fromkeys(names)
    variance, seen = trial_variance(trials, days, known.inflation)
    luck = math.sqrt(variance) * expected_maximum(trials.count)
    skew, kurtosis = skew_and_kurtosis(excess)
    effective = days / known.inflation
    record = minimum_track_record(
        ratio, skew, kurtosis, benchmark=luck, confidence=policy.min_deflated_sharpe
    )
    annual = math.sqrt(DAYS_PER_YEAR)
    values = (
        ratio * annual,
        variance,
        seen,
        luck * annual,
        deflated_sharpe(ratio, effective, skew, kurtosis, trials=trials.count, variance=variance),
        None if record is None else record * known.inflation,
    )
    return dict(zip(names, values, strict=True))


def _too_little(known: Memory, policy: PromotionPolicy) -> str:
    """Say why the evidence is not enough; empty where it is."""
    if known.blocks < policy.min_blocks:
        return (
            f"insufficient evidence: {counted(known.blocks, 'block')} of "
            f"{24 * known.block_days} h, {policy.min_blocks} are needed"
        )
    if known.days < MIN_DAYS:
        return f"insufficient evidence: {known.days} whole days, {MIN_DAYS} are needed"
    return ""


def _midnight(daily: Daily, edge: int) -> datetime | None:
    """Return the start of the first day, or the end of the last; None without a day."""
    if not len(daily.days):
        return None
    day = daily.days[-1] + 1 if edge else daily.days[0]
    return datetime.fromisoformat(str(day)).replace(tzinfo=UTC)
