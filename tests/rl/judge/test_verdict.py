"""The first sentence of a report is true and never flatters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rl.judge.verdict import verdict
from schemas.backtest import BacktestSummary, PolicyResult, ProfitSplit
from schemas.trading import PRESETS, MarketRules


def backtest(agent: float | None, greedy: float = 0.3, **changes: Any) -> BacktestSummary:
    told = {"greedy": greedy, "random": -7.0} | ({} if agent is None else {"agent": agent})
    in_sample = changes.pop("in_sample", False)
    results = [
        PolicyResult(
            preset="moderate",
            policy=name,
            runs=100 if name == "random" else 1,
            return_pct=value,
            max_drawdown_pct=0.4,
            final_nlv=10_000 + 100 * value,
            hours=100,
            split=ProfitSplit(),
            sharpe_note="insufficient evidence: 16 whole days, 30 are needed",
            **({"trades": 8, "random_runs_beaten": 97} | changes if name == "agent" else {"trades": 8}),
        )
        for name, value in told.items()
    ]
    return BacktestSummary(
        version="v1",
        start=datetime(2025, 7, 8, tzinfo=UTC),
        end=datetime(2025, 7, 12, tzinfo=UTC),
        hours=100,
        initial_capital=10_000.0,
        in_sample=in_sample,
        overlap_hours=None if in_sample is None else 5 * in_sample,
        seed=0,
        random_runs=100,
        presets={"moderate": PRESETS["moderate"]},
        rules=MarketRules(),
        results=tuple(results),
    )


@pytest.mark.parametrize(
    ("agent", "headline", "tone"),
    [
        (0.5, "Better than cash and greedy: the policy returned +0.50 % net of all costs.", "good"),
        (
            0.3,
            "Better than cash but no better than greedy: the policy returned +0.30 % net of all costs.",
            "mixed",
        ),
        (
            0.1,
            "Better than cash but no better than greedy: the policy returned +0.10 % net of all costs.",
            "mixed",
        ),
        (0.0, "No better than cash: the policy returned 0.00 % net of all costs.", "bad"),
        (-1.2, "No better than cash: the policy returned -1.20 % net of all costs.", "bad"),
    ],
)
def test_the_headline_compares_with_cash_first_and_greedy_second(
    agent: float, headline: str, tone: str
) -> None:
    said = verdict(backtest(agent), "moderate")
    assert (said.headline, said.tone) == (headline, tone)


def test_a_policy_that_never_trades_is_called_cash() -> None:
    assert (
        verdict(backtest(0.0, trades=0), "moderate").headline
        == "No better than cash: the policy never traded."
    )


def test_losing_less_than_greedy_is_still_no_better_than_cash() -> None:
    assert verdict(backtest(-0.1, greedy=-3.0), "moderate").headline.startswith("No better than cash")


def test_details_tell_greedy_random_and_the_lack_of_evidence() -> None:
    told = " ".join(verdict(backtest(0.1), "moderate").details)
    assert "behind greedy, which returned +0.30 % after 8 trades" in told
    assert "better than 97 of 100 random runs (mean -7.00 %)" in told
    assert "insufficient evidence: 16 whole days" in told


def test_in_sample_results_are_stamped_before_anything_else() -> None:
    said = verdict(backtest(9.0, in_sample=True), "moderate")
    assert said.headline.startswith("IN-SAMPLE, so no evidence.")
    assert said.tone == "bad"


def test_unknown_training_hours_liquidations_and_an_early_end_are_told() -> None:
    told = " ".join(
        verdict(backtest(0.4, in_sample=None, liquidations=1, ended_early=1.0), "moderate").details
    )
    assert "not known which hours" in told
    assert "1 liquidation" in told
    assert "drawdown limit ended it" in told


def test_without_a_policy_only_baselines_are_told() -> None:
    said = verdict(backtest(None), "moderate")
    assert said.tone == "neutral"
    assert said.headline == (
        "Baselines only: no policy was judged. "
        "Under moderate, greedy returned +0.30 % and random -7.00 % on average."
    )
