"""The first sentence of a report is true and never flatters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rl.judge.verdict import verdict
from schemas.backtest import BacktestSummary, PolicyResult, ProfitSplit
from schemas.promotion import Gate
from schemas.trading import PRESETS, MarketRules
from tests.rl.judge.proofs import against, between, proof


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


def gate(name: str, verdict: str = "pass") -> Gate:
    return Gate.model_validate(
        {"name": name, "value": 1.0, "threshold": 0.0, "verdict": verdict, "reason": "So it is."}
    )


def test_what_nothing_speaks_against_is_called_beyond_chance() -> None:
    said = verdict(backtest(0.5), "moderate", proof(), [gate("beats cash")])
    assert said.headline == (
        "Better than cash and greedy, beyond what chance explains: "
        "the policy returned +0.50 % net of all costs."
    )
    assert said.tone == "good"


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"insufficient": "insufficient evidence: 9 days"}, "with insufficient evidence: 9 days"),
        ({"over_cash": None}, "not proven: there is no interval of the return over cash"),
        (
            {"over_cash": between(-3.65, 9.125)},
            "not proven: its return over cash is between -3.65 % and +9.12 % a year with 95 % confidence",
        ),
        (
            {"over_greedy": against(-7.3, 9.0)},
            "not proven: its return over greedy is between -7.30 % and +9.00 % a year with 95 % confidence",
        ),
        ({"sharpe": None}, "not proven: no Sharpe ratio is claimed"),
        (
            {"deflated_sharpe": 0.94},
            "not proven: luck alone gives the best of 7 trials a Sharpe ratio of 1.00, and its own is 5.00",
        ),
    ],
)
def test_each_doubt_of_the_evidence_is_told_in_words_and_takes_the_good_tone(
    changes: dict[str, Any], doubt: str
) -> None:
    said = verdict(backtest(0.5), "moderate", proof(**changes), [gate("beats cash")])
    assert said.headline == (
        f"Better than cash and greedy, but {doubt}; the policy returned +0.50 % net of all costs."
    )
    assert said.tone == "mixed"


def test_behind_greedy_the_interval_over_greedy_is_not_needed_to_doubt() -> None:
    said = verdict(backtest(0.1), "moderate", proof(over_greedy=against(-7.3, 9.0)))
    assert said.headline == (
        "Better than cash, beyond what chance explains, but no better than greedy: "
        "the policy returned +0.10 % net of all costs."
    )


def test_missed_gates_are_named_up_to_three_and_counted() -> None:
    gates = [gate(name, "fail") for name in ("drawdown", "audit", "drift", "stress")] + [gate("beats cash")]
    said = verdict(backtest(0.5), "moderate", proof(), gates)
    assert "but with 4 of 5 gates missed (drawdown, audit, drift and 1 more); " in said.headline
    said = verdict(backtest(0.5), "moderate", proof(), gates[:1] + gates[-1:])
    assert "but with 1 of 2 gates missed (drawdown); " in said.headline


def test_no_better_than_cash_is_said_whatever_the_evidence() -> None:
    said = verdict(backtest(-0.2), "moderate", proof())
    assert said.headline == "No better than cash: the policy returned -0.20 % net of all costs."
    assert said.tone == "bad"
