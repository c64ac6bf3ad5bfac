"""Evidence says what the days prove, of whom, and what they are too few for."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from rl.judge.bootstrap import interval, memory
from rl.judge.daily import Daily
from rl.judge.evidence import build_evidence, trial_variance
from rl.judge.sharpe import deflated_sharpe, expected_maximum, probabilistic_sharpe
from rl.judge.trials import Trials
from schemas.evidence import Evidence
from schemas.promotion import PromotionPolicy

FIRST = np.datetime64("2025-03-01")


def days_of(returns: np.ndarray, first: int = 0) -> Daily:
    return Daily(FIRST + np.arange(first, first + len(returns)), returns)


def carry(days: int = 60, mean: float = 1e-3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1e-3, days)


def build(
    returns: np.ndarray, policy: PromotionPolicy | None = None, trials: Trials | None = None, **more: Any
) -> Evidence:
    return build_evidence(
        days_of(returns), policy or PromotionPolicy(), trials or Trials(), source="test window", **more
    )


def test_it_survives_being_written_and_read() -> None:
    told = build(carry(), seeds=[days_of(carry(seed=s)) for s in range(3)], greedy=days_of(carry(seed=9)))
    assert Evidence.model_validate_json(told.model_dump_json()) == told
    assert (told.seeds, told.days, told.blocks, told.block_days) == (3, 60, 60, 1)
    assert (told.start, told.end) == (
        datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 30, tzinfo=UTC),
    )  # fmt: skip


def test_the_intervals_are_those_of_the_bootstrap() -> None:
    returns = carry()
    seeds = np.stack([carry(seed=s) for s in range(3)])
    told = build(returns, seeds=[days_of(row) for row in seeds], seed=5)
    assert told.over_cash == interval(returns[None], confidence=0.95, seed=5)
    assert told.recipe == interval(seeds, confidence=0.95, seed=5)
    assert build(returns, seeds=[days_of(returns)]).recipe is None


def test_a_year_is_365_days_and_not_compounded() -> None:
    told = build(carry())
    assert told.over_cash is not None
    assert told.over_cash.annual().mean == pytest.approx(100 * carry().mean() * 365)


def test_cash_is_what_every_return_is_held_against() -> None:
    without, hurdle = build(carry()), build(carry(), PromotionPolicy(cash_apr=4.0))
    assert without.over_cash is not None
    assert hurdle.over_cash is not None
    for bound in ("mean", "low", "high"):
        apart = getattr(without.over_cash.annual(), bound) - getattr(hurdle.over_cash.annual(), bound)
        assert apart == pytest.approx(4.0)
    assert without.sharpe is not None
    assert hurdle.sharpe is not None
    assert hurdle.sharpe < without.sharpe
    seeds = [days_of(carry(seed=s)) for s in range(3)]
    recipes = [build(carry(), PromotionPolicy(cash_apr=apr), seeds=seeds).recipe for apr in (0.0, 4.0)]
    assert recipes[0] is not None
    assert recipes[1] is not None
    assert recipes[0].annual().low - recipes[1].annual().low == pytest.approx(4.0)


def test_trials_deflate_the_sharpe_ratio_by_how_far_they_are_apart() -> None:
    returns = carry(mean=3e-4)
    alone = build(returns)
    scores = (0.5, 1.5, -0.5, 2.0)
    tried = build(returns, trials=Trials(40, scores))
    assert alone.deflated_sharpe is not None
    assert tried.deflated_sharpe is not None
    assert tried.deflated_sharpe < alone.deflated_sharpe
    assert (alone.trials, alone.sharpe_of_luck, alone.variance_source) == (1, 0.0, "sampling")
    assert (tried.trials, tried.variance_source) == (40, "trials")
    assert tried.trial_variance == pytest.approx(np.var(scores, ddof=1) / 60)
    luck = math.sqrt(np.var(scores, ddof=1) / 60) * expected_maximum(40)
    assert tried.sharpe_of_luck == pytest.approx(luck * math.sqrt(365))
    ratio = float(returns.mean() / returns.std(ddof=1))
    kept = memory(returns[None])
    apart = returns - returns.mean()
    shape = (float((apart**3).mean() / apart.std() ** 3), float((apart**4).mean() / apart.std() ** 4))
    assert tried.deflated_sharpe == pytest.approx(
        deflated_sharpe(
            ratio, 60 / kept.inflation, *shape, trials=40, variance=float(tried.trial_variance or 0)
        )
    )
    assert alone.deflated_sharpe == pytest.approx(probabilistic_sharpe(ratio, 60 / kept.inflation, *shape))


def test_where_trials_tell_nothing_chance_is_taken_for_their_variance() -> None:
    assert trial_variance(Trials(5, (1.0,)), 50, 1.0) == (0.02, "sampling")
    assert trial_variance(Trials(5, ()), 50, 2.0) == (0.04, "sampling")
    assert trial_variance(Trials(5, (0.0, 2.0)), 50, 2.0) == (pytest.approx(0.04), "trials")


def test_days_that_remember_tell_less() -> None:
    rng = np.random.default_rng(0)
    shocks = rng.normal(0, 1e-3, 80)
    slow = np.zeros(80)
    for day in range(1, 80):
        slow[day] = 0.6 * slow[day - 1] + 0.8 * shocks[day]
    quick, slow = shocks + 3e-4, slow + 3e-4
    one, other = build(quick), build(slow)
    assert other.effective_days < 0.5 * one.effective_days
    assert other.persistence > 0.4
    assert other.minimum_days is not None
    assert one.minimum_days is not None
    assert other.minimum_days > 1.5 * one.minimum_days


def test_the_minimum_track_record_is_what_it_takes_to_be_believed() -> None:
    returns = carry(60, 2e-4)
    told = build(returns)
    assert told.deflated_sharpe is not None
    assert told.minimum_days is not None
    assert (told.deflated_sharpe >= 0.95) == (told.days >= told.minimum_days)
    assert build(-np.abs(returns)).minimum_days is None


def test_the_champion_is_compared_only_on_days_that_neither_has_seen() -> None:
    own, reigning = carry(60, seed=1), carry(80, seed=2)
    seen = datetime(2025, 3, 11, 5, tzinfo=UTC)  # the eleventh day is not whole from there
    told = build(own, champion=days_of(reigning, -20), unseen_from=seen).over_champion
    assert told is not None
    assert told.days == 49
    gap = own[11:] - reigning[31:]
    assert told.excess == interval(gap[None], confidence=0.95, seed=0)
    everything = build(own, champion=days_of(reigning, -20)).over_champion
    assert everything is not None
    assert everything.days == 60


def test_a_zone_does_not_move_the_moment_from_which_days_count() -> None:
    from datetime import timezone

    seen = datetime(2025, 3, 11, 2, tzinfo=timezone(timedelta(hours=2)))  # midnight in UTC
    told = build(carry(60), champion=days_of(carry(60, seed=2)), unseen_from=seen).over_champion
    assert told is not None
    assert told.days == 50


def test_curves_without_a_common_day_have_no_difference() -> None:
    told = build(carry(40), greedy=days_of(carry(40), 100))
    assert told.over_greedy is not None
    assert (told.over_greedy.days, told.over_greedy.blocks, told.over_greedy.excess) == (0, 0, None)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (0, "0 blocks of 24 h, 20 are needed"),
        (1, "1 block of 24 h, 20 are needed"),
        (19, "19 blocks of 24 h, 20 are needed"),
        (20, "20 whole days, 30 are needed"),
        (29, "29 whole days, 30 are needed"),
        (30, ""),
    ],
)
def test_too_little_is_said_in_words_and_no_sharpe_ratio_is_claimed(days: int, said: str) -> None:
    told = build(carry(days))
    assert told.insufficient == (f"insufficient evidence: {said}" if said else "")
    assert (told.deflated_sharpe is None) == (days < 30)
    assert (told.sharpe is None) == (days < 30)


def test_blocks_are_too_few_also_where_days_are_enough() -> None:
    rng = np.random.default_rng(1)
    shocks = rng.normal(0, 1e-3, 43)
    late = shocks[3:] + 0.9 * shocks[:-3]
    told = build(late)
    assert (told.days, told.block_days > 1, told.blocks < 20) == (40, True, True)
    assert told.insufficient.endswith(f"blocks of {24 * told.block_days} h, 20 are needed")


def test_a_policy_that_never_traded_has_no_sharpe_ratio_and_an_interval_at_nothing() -> None:
    told = build(np.zeros(40))
    assert told.over_cash is not None
    assert (told.over_cash.low, told.over_cash.high, told.sharpe, told.deflated_sharpe) == (
        0.0,
        0.0,
        None,
        None,
    )
    assert math.isfinite(told.effective_days)
