"""Skill is told where it is defined, in words that a person reads once."""

from __future__ import annotations

import pytest

from rl.judge.skill import skill, skill_words
from rl.judge.verdict import verdict
from schemas.backtest import BacktestSummary, PresetBounds
from tests.rl.judge.test_verdict import backtest


@pytest.mark.parametrize(("value", "told"), [(0.3, 0.0), (0.8, 0.5), (1.3, 1.0), (-0.7, -1.0), (1.8, 1.5)])
def test_skill_is_nought_at_greedy_and_one_at_the_funding_bound(value: float, told: float) -> None:
    assert skill(value, 0.3, 1.3) == pytest.approx(told)


@pytest.mark.parametrize("ceiling", [0.3, 0.2, 0.0])
def test_skill_is_not_defined_where_greedy_is_not_below_the_funding_bound(ceiling: float) -> None:
    assert skill(0.5, 0.3, ceiling) is None


def with_bound(told: BacktestSummary, ceiling: float, value: float | None) -> BacktestSummary:
    bound = PresetBounds(
        preset="moderate", bound_pct=2.29, plan_pct=2.2, funding_bound_pct=ceiling, funding_plan_pct=0.9,
        skill={"agent": value},
    )  # fmt: skip
    return told.model_copy(update={"bounds": (bound,)})


def test_the_words_name_both_bounds_and_the_share() -> None:
    told = with_bound(backtest(0.5), 0.95, 0.31)
    assert skill_words(told, "moderate") == (
        "In hindsight nobody could have returned more than +2.29 %, or earned a carry above +0.95 %. "
        "Skill: 31 % of the way from greedy to the funding bound."
    )
    assert skill_words(told, "moderate") in verdict(told, "moderate").details
    assert "Skill: 0 % of" in skill_words(with_bound(backtest(0.5), 0.95, -0.001), "moderate")


def test_the_words_say_so_where_skill_is_not_defined() -> None:
    told = with_bound(backtest(0.5, greedy=0.97), 0.95, None)
    assert skill_words(told, "moderate").endswith(
        "Skill is not defined: greedy's +0.97 % is not below the funding bound."
    )


def test_without_bounds_or_without_the_policy_nothing_is_said() -> None:
    assert skill_words(backtest(0.5), "moderate") == ""
    assert skill_words(with_bound(backtest(None), 0.95, None), "moderate") == ""
