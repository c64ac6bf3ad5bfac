"""Each gate fails exactly when it should, says why in a sentence, and no gate hides another."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from rl.judge.gates import all_hold, basic_gates, conclude
from schemas.audit import AuditedTime, AuditReport, GarbageFinding
from schemas.backtest import BacktestSummary, PolicyResult, ProfitSplit
from schemas.promotion import Gate, PromotionPolicy
from schemas.trading import PRESETS, MarketRules

NAMES = [
    "beats cash", "carry, not noise", "drawdown", "no liquidation", "enough trades", "out of sample", "audit",
]  # fmt: skip
GOOD: dict[str, Any] = {
    "return_pct": 0.5,
    "max_drawdown_pct": 1.0,
    "liquidations": 0,
    "trades": 5,
    "split": ProfitSplit(funding=90.0, fees=-20.0, slippage=-10.0, closing_costs=-5.0, price=-5.0),
}


def backtest(
    *, in_sample: bool | None = False, overlap: int | None = 0, policy: str = "agent", **changes: Any
) -> BacktestSummary:
    facts = (
        {"preset": "moderate", "policy": policy, "runs": 1, "final_nlv": 10_050.0, "hours": 100}
        | GOOD
        | changes
    )
    return BacktestSummary(
        version="v1",
        start=datetime(2025, 7, 8, tzinfo=UTC),
        end=datetime(2025, 7, 12, tzinfo=UTC),
        hours=100,
        initial_capital=10_000.0,
        in_sample=in_sample,
        overlap_hours=overlap,
        seed=0,
        random_runs=0,
        presets={"moderate": PRESETS["moderate"]},
        rules=MarketRules(),
        results=(PolicyResult(**facts),),
    )


def audit(*differences: str, times: int = 2, version: str = "v1", **more: Any) -> AuditReport:
    """An audit that found these differences at the first of its times."""
    hour = datetime(2025, 7, 9, 16, tzinfo=UTC)
    looked = tuple(
        AuditedTime(
            time=hour,
            part="test",
            findings=(
                GarbageFinding(
                    kind="no rows", last_hour=hour, compared=9, differences=differences if i == 0 else ()
                ),
            ),
        )
        for i in range(times)
    )
    return AuditReport(
        version=version, with_history=True, seed=0, presets=("moderate",), deciders=("agent",), times=looked,
        **more,
    )  # fmt: skip


def judged(result: BacktestSummary, policy: PromotionPolicy | None = None) -> dict[str, Gate]:
    return {gate.name: gate for gate in basic_gates(result, "moderate", policy or PromotionPolicy(), audit())}


def failed(result: BacktestSummary, policy: PromotionPolicy | None = None) -> list[str]:
    return [name for name, gate in judged(result, policy).items() if gate.verdict == "fail"]


def test_a_good_backtest_passes_every_gate_and_all_are_listed() -> None:
    gates = judged(backtest())
    assert list(gates) == NAMES
    assert failed(backtest()) == []
    assert all_hold(list(gates.values()))


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"return_pct": 0.0}, ["beats cash"]),
        ({"return_pct": -0.2}, ["beats cash"]),
        ({"return_pct": 1e-6}, []),
        (
            {"split": ProfitSplit(funding=35.0, fees=-20.0, slippage=-10.0, closing_costs=-5.0)},
            ["carry, not noise"],
        ),
        ({"split": ProfitSplit(funding=35.1, fees=-20.0, slippage=-10.0, closing_costs=-5.0)}, []),
        ({"split": ProfitSplit(price=500.0, fees=-1.0)}, ["carry, not noise"]),
        ({"max_drawdown_pct": 10.0}, []),
        ({"max_drawdown_pct": 10.01}, ["drawdown"]),
        ({"liquidations": 1}, ["no liquidation"]),
        ({"trades": 2}, ["enough trades"]),
        ({"trades": 3}, []),
        ({"in_sample": True, "overlap": 7}, ["out of sample"]),
        ({"in_sample": False, "overlap": 7}, ["out of sample"]),
        ({"in_sample": True, "overlap": 0}, ["out of sample"]),
        ({"in_sample": None, "overlap": None}, ["out of sample"]),
    ],
)
def test_each_gate_fails_exactly_when_its_own_number_misses(
    change: dict[str, Any], broken: list[str]
) -> None:
    assert failed(backtest(**change)) == broken


@pytest.mark.parametrize(
    ("policy", "broken"),
    [
        (PromotionPolicy(min_return_over_cash_pct=0.5), ["beats cash"]),
        (PromotionPolicy(min_return_over_cash_pct=0.49), []),
        (PromotionPolicy(min_carry_pct=0.55), ["carry, not noise"]),
        (PromotionPolicy(max_drawdown_pct=0.9), ["drawdown"]),
        (PromotionPolicy(min_trades=6), ["enough trades"]),
    ],
)
def test_thresholds_come_from_the_policy(policy: PromotionPolicy, broken: list[str]) -> None:
    assert failed(backtest(), policy) == broken


def test_cash_at_a_rate_is_what_has_to_be_beaten_over_the_hours_of_the_window() -> None:
    earned = 4.0 * 100 / (365 * 24)  # of the 100 hours, percent
    at_four = PromotionPolicy(cash_apr=4.0)
    assert failed(backtest(return_pct=earned + 1e-6), at_four) == []
    assert failed(backtest(return_pct=earned - 1e-6), at_four) == ["beats cash"]
    gate = judged(backtest(return_pct=0.5), at_four)["beats cash"]
    assert gate.value == pytest.approx(0.5 - earned)
    assert gate.reason == (
        "The policy returned +0.50 % net of all costs, better than cash at 4 % a year, which earned +0.05 %."
    )


def test_allowed_liquidations_pass() -> None:
    assert failed(backtest(liquidations=1), PromotionPolicy(max_liquidations=1)) == []


@pytest.mark.parametrize("field", ["return_pct", "max_drawdown_pct", "liquidations", "trades"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_one_never_passes(field: str, value: float) -> None:
    gates = judged(backtest(**{field: value}))
    broken = [gate for gate in gates.values() if gate.verdict == "fail"]
    assert len(broken) == 1
    assert broken[0].value is None


def test_the_cost_of_closing_what_is_open_counts_as_paid() -> None:
    open_for_ever = ProfitSplit(funding=20.0, fees=-8.0, slippage=-4.0, closing_costs=-12.0)
    assert failed(backtest(split=open_for_ever)) == ["carry, not noise"]


def test_without_a_policy_under_the_judged_preset_nothing_can_be_promoted() -> None:
    gates = basic_gates(backtest(policy="greedy"), "moderate", PromotionPolicy(), audit())
    assert [gate.verdict for gate in gates] == ["fail"]
    assert not all_hold([])


@pytest.mark.parametrize(
    ("found", "value", "words"),
    [
        (None, None, "no causality audit"),
        (audit("market: mark was 1 and became 2"), 1.0, "1 of 2 times: With no rows after 2025-07-09"),
        (audit(version="v2"), None, "another version"),
        (audit(data_hash="other"), None, "other data"),
        (audit(times=0), None, "no time"),
        (audit(pipeline=("scaler of the policy: it differs",)), 0.0, "scaler of the policy"),
    ],
    ids=["missing", "a leak", "another version", "other data", "nothing looked at", "other features"],
)  # fmt: skip
def test_without_an_audit_that_passed_nothing_is_promoted(
    found: AuditReport | None, value: float | None, words: str
) -> None:
    gates = basic_gates(backtest(), "moderate", PromotionPolicy(), found)
    [bad] = [gate for gate in gates if gate.verdict == "fail"]
    assert (bad.name, bad.value, bad.threshold) == ("audit", value, 0)
    assert words in bad.reason and bad.reason.endswith(".")
    assert not conclude("v1", "challenger", "moderate", gates).promoted


def test_an_audit_that_passed_holds_and_says_how_often_it_looked() -> None:
    gate = judged(backtest())["audit"]
    assert (gate.verdict, gate.value) == ("pass", 0)
    assert "2 times" in gate.reason


def test_reasons_are_sentences_with_their_numbers() -> None:
    gates = judged(backtest(return_pct=-0.4, max_drawdown_pct=12.345, liquidations=2, trades=1))
    assert gates["beats cash"].reason == "The policy returned -0.40 % net of all costs, no better than cash."
    assert "+0.90 %" in gates["carry, not noise"].reason
    assert "-0.35 %" in gates["carry, not noise"].reason
    assert gates["drawdown"].reason == "The largest drawdown was 12.35 %, beyond the 10 % allowed."
    assert gates["no liquidation"].reason == "2 liquidations happened; none is allowed."
    assert gates["enough trades"].reason == "The policy opened 1 position; at least 3 are asked for."
    for gate in gates.values():
        assert gate.reason.endswith(".")


def test_a_failed_decision_says_why_and_moves_nothing() -> None:
    gates = basic_gates(
        backtest(return_pct=0.0, trades=0, in_sample=True, overlap=3), "moderate", PromotionPolicy(), audit()
    )
    decision = conclude("v1", "challenger", "moderate", gates)
    assert not decision.promoted
    assert not decision.moved
    assert decision.reason == (
        "Not promoted, because the policy returned 0.00 % net of all costs, no better than cash; "
        "the policy opened 0 positions; at least 3 are asked for; "
        "IN-SAMPLE: 3 hours of the window lie in the version's training or validation."
    )
    assert list(decision.gates) == gates


def test_an_in_sample_window_never_promotes_however_good() -> None:
    gates = basic_gates(
        backtest(return_pct=50.0, in_sample=True, overlap=1), "moderate", PromotionPolicy(), audit()
    )
    assert not conclude("v1", "challenger", "moderate", gates).promoted


def test_an_alias_moves_only_if_all_gates_hold_and_it_is_not_there_and_this_is_no_dry_run() -> None:
    gates = basic_gates(backtest(), "moderate", PromotionPolicy(), audit())
    assert conclude("v1", "challenger", "moderate", gates).moved
    for there in (
        conclude("v1", "challenger", "moderate", gates, points_already=True),
        conclude("v1", "challenger", "moderate", gates, dry_run=True),
    ):
        assert there.promoted
        assert not there.moved
    assert not conclude("v1", "challenger", "moderate", []).promoted


def test_a_policy_that_never_trades_is_told_so_in_few_words() -> None:
    idle = backtest(return_pct=0.0, max_drawdown_pct=0.0, trades=0, split=ProfitSplit())
    gate = next(
        g for g in basic_gates(idle, "moderate", PromotionPolicy(), None) if g.name == "carry, not noise"
    )
    assert (gate.verdict, gate.reason) == ("fail", "No position was opened, so there is no carry.")
