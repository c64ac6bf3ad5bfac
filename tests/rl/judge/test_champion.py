"""Each of the champion's gates fails exactly when it should; who reigns goes when it is shown to fail."""

from __future__ import annotations

from typing import Any

import pytest

from rl.judge.champion import Reigning, decide_champion, judge_reigning
from schemas.backtest import PolicyResult, ProfitSplit
from schemas.evidence import Evidence
from schemas.promotion import Gate, PromotionDecision, PromotionPolicy
from tests.rl.judge.proofs import against, between, proof

NONE = PromotionPolicy()
YOUNG, OLD = Reigning("reigns", 89.0), Reigning("reigns", 91.0)
BASIC = [Gate(name="beats cash", value=1.0, threshold=0.0, verdict="pass", reason="It does.")]
STRESS = [Gate(name="fees x2", value=-0.1, threshold=-1.0, verdict="pass", reason="It survives.")]


def decide(
    evidence: Evidence | None = None,
    reigning: Reigning | None = None,
    policy: PromotionPolicy = NONE,
    **more: Any,
) -> PromotionDecision:
    gates: dict[str, Any] = {"basic": BASIC, "stress": STRESS, "drift": []} | more
    return decide_champion(
        "v1", "moderate", gates.pop("basic"), evidence or proof(), gates.pop("stress"), policy,
        reigning=reigning, **gates,
    )  # fmt: skip


def missed(decision: PromotionDecision) -> list[str]:
    return [gate.name for gate in decision.gates if gate.verdict == "fail"]


@pytest.mark.parametrize(
    ("reigning", "last"),
    [
        (None, ["over greedy"]),
        (YOUNG, ["unseen by both", "over the champion"]),
        (OLD, ["unseen by both", "not worse than the champion"]),
    ],
)
def test_with_all_gates_held_it_is_promoted_and_every_gate_is_listed(
    reigning: Reigning | None, last: list[str]
) -> None:
    decision = decide(reigning=reigning)
    assert (decision.alias, decision.promoted, decision.moved) == ("champion", True, True)
    always = ["beats cash", "enough evidence", "over cash", "deflated Sharpe"]
    assert [gate.name for gate in decision.gates] == [*always, *last, "fees x2"]


@pytest.mark.parametrize(
    ("change", "reigning", "broken"),
    [
        ({"blocks": 19}, None, "enough evidence"),
        ({"over_cash": between(-0.1, 9.0)}, None, "over cash"),
        ({"over_cash": between(0.0, 9.0)}, None, "over cash"),
        ({"over_cash": None}, None, "over cash"),
        ({"deflated_sharpe": 0.949}, None, "deflated Sharpe"),
        ({"deflated_sharpe": None}, None, "deflated Sharpe"),
        ({"over_greedy": against(-0.1)}, None, "over greedy"),
        ({"over_greedy": None}, None, "over greedy"),
        ({"over_champion": against(-0.1)}, YOUNG, "over the champion"),
        ({"over_champion": against(-1.1)}, OLD, "not worse than the champion"),
        ({"over_champion": against(blocks=19)}, YOUNG, "unseen by both"),
        ({"over_champion": against(blocks=19, block_days=2)}, OLD, "unseen by both"),
    ],
)
def test_each_gate_fails_alone_and_says_so(
    change: dict[str, Any], reigning: Reigning | None, broken: str
) -> None:
    decision = decide(proof(**change), reigning)
    assert missed(decision) == [broken]
    assert not decision.promoted
    assert not decision.moved
    [reason] = [gate.reason for gate in decision.gates if gate.name == broken]
    assert reason.rstrip(".")[1:] in decision.reason


@pytest.mark.parametrize(
    ("change", "reigning"),
    [
        ({"blocks": 20}, None),
        ({"over_greedy": against(-5.0)}, YOUNG),  # greedy is asked about only where nobody reigns
        ({"over_champion": against(-5.0)}, None),
        ({"over_champion": against(-0.9)}, OLD),
        ({"over_champion": against(blocks=20)}, YOUNG),
        ({"deflated_sharpe": 0.95}, None),
    ],
)
def test_what_is_just_enough_or_not_asked_for_holds(
    change: dict[str, Any], reigning: Reigning | None
) -> None:
    assert missed(decide(proof(**change), reigning)) == []


@pytest.mark.parametrize(
    ("policy", "reigning", "broken"),
    [
        (PromotionPolicy(min_blocks=41), None, ["enough evidence"]),
        (PromotionPolicy(min_blocks=41), YOUNG, ["enough evidence", "unseen by both"]),
        (PromotionPolicy(min_deflated_sharpe=0.995), None, ["deflated Sharpe"]),
        (PromotionPolicy(max_age_days=80), YOUNG, []),
        (PromotionPolicy(max_age_days=120), OLD, ["over the champion"]),
        (PromotionPolicy(non_inferiority_margin_pct=0.2), OLD, ["not worse than the champion"]),
    ],
)
def test_thresholds_come_from_the_policy(
    policy: PromotionPolicy, reigning: Reigning | None, broken: list[str]
) -> None:
    slightly_worse = (
        proof() if policy.max_age_days == 80 or reigning is None else proof(over_champion=against(-0.5))
    )
    if policy.min_blocks == 41:
        slightly_worse = proof()
    assert missed(decide(slightly_worse, reigning, policy)) == broken


def test_a_basic_gate_that_is_missed_is_enough() -> None:
    failed = BASIC[0].model_copy(update={"verdict": "fail"})
    assert missed(decide(basic=[failed])) == ["beats cash"]
    assert missed(decide(basic=[])) == ["backtest"]


def test_a_stress_that_is_missed_or_was_never_run_is_enough() -> None:
    failed = STRESS[0].model_copy(update={"verdict": "fail"})
    assert missed(decide(stress=[failed])) == ["fees x2"]
    assert missed(decide(stress=[])) == ["stress"]


def test_a_champion_judged_again_is_no_rival_to_itself_and_does_not_move() -> None:
    decision = decide(proof(over_champion=against(0.0)), Reigning("v1", 3.0))
    assert (decision.promoted, decision.moved, missed(decision)) == (True, False, [])
    assert "already" in decision.reason


def test_a_dry_run_moves_nothing() -> None:
    assert (decide(dry_run=True).promoted, decide(dry_run=True).moved) == (True, False)


def test_reasons_say_what_was_found_in_words() -> None:
    told = {gate.name: gate for gate in decide(reigning=OLD).gates}
    assert told["over cash"].reason == (
        "The return over cash is +6.00 % a year, between +3.00 % and +9.00 % with 95 % confidence; its lower "
        "bound is above 0.00 %."
    )
    assert told["deflated Sharpe"].reason == (
        "The Sharpe ratio of 5.00 is above 1.00, the luck of the best of 7 trials, with a probability of "
        "0.990; 0.95 is asked for."
    )
    assert "has reigned 91 days, more than 90" in told["not worse than the champion"].reason
    assert told["unseen by both"].value == 40
    few = {gate.name: gate for gate in decide(proof(blocks=12, block_days=3)).gates}
    assert few["enough evidence"].reason == (
        "Insufficient evidence: the test window has 12 blocks of 72 h, and 20 are needed."
    )
    short = proof(deflated_sharpe=None, insufficient="insufficient evidence: 25 whole days, 30 are needed")
    unclaimed = {gate.name: gate for gate in decide(short).gates}
    assert unclaimed["deflated Sharpe"].reason == (
        "No deflated Sharpe ratio is claimed: insufficient evidence: 25 whole days, 30 are needed."
    )
    hurdle = {gate.name: gate for gate in decide(proof(cash_apr=4.0)).gates}
    assert hurdle["over cash"].reason.startswith("The return over cash at 4 % is")


RECENT: dict[str, Any] = {
    "preset": "moderate", "policy": "agent", "runs": 1, "return_pct": 0.5, "max_drawdown_pct": 1.0,
    "final_nlv": 10_050.0, "trades": 5.0, "hours": 960,
    "split": ProfitSplit(funding=90.0, fees=-20.0, slippage=-10.0, closing_costs=-5.0, price=-5.0),
}  # fmt: skip


def recent(**changes: Any) -> PolicyResult:
    return PolicyResult.model_validate(RECENT | changes)


def retired(evidence: Evidence | None = None, policy: PromotionPolicy = NONE, **changes: Any) -> list[str]:
    decision = judge_reigning("v1", recent(**changes), 10_000.0, "moderate", evidence or proof(), policy)
    broken = [gate.name for gate in decision.gates if gate.verdict == "fail"]
    assert decision.retire == bool(broken)
    return broken


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, []),
        ({"max_drawdown_pct": 10.1}, ["drawdown"]),
        ({"liquidations": 1}, ["no liquidation"]),
        ({"split": ProfitSplit(funding=20.0, fees=-30.0, price=60.0)}, ["carry, not noise"]),
        ({"trades": 0.0, "split": ProfitSplit()}, []),  # it held, which costs nothing
    ],
)
def test_a_champion_is_retired_for_each_gate_its_recent_window_misses(
    change: dict[str, Any], broken: list[str]
) -> None:
    assert retired(**change) == broken


def test_a_champion_is_retired_for_its_returns_only_if_they_are_shown_to_be_below_cash() -> None:
    assert retired(proof(over_cash=between(-20.0, 0.1)), return_pct=-1.0) == []
    assert retired(proof(over_cash=between(-20.0, -0.1)), return_pct=-1.0) == ["not behind cash"]


def test_few_recent_days_say_nothing_of_returns_and_all_of_liquidations() -> None:
    few, losing = proof(days=29, over_cash=between(-20.0, -0.1)), ProfitSplit(funding=20.0, fees=-30.0)
    assert retired(few, split=losing) == []
    assert retired(few, PromotionPolicy(retire_after_days=29)) == ["not behind cash"]
    assert retired(few, liquidations=1) == ["no liquidation"]
    decision = judge_reigning("v1", recent(), 10_000.0, "moderate", few, NONE)
    assert decision.reason == (
        "v1 stays: 29 whole days of recent hours are too few to judge its returns by (30 are needed), and "
        "nothing else speaks against it."
    )


def test_without_a_result_of_the_reigning_version_it_does_not_stay_unseen() -> None:
    decision = judge_reigning("v1", None, 10_000.0, "moderate", None, NONE)
    assert (decision.retire, [gate.name for gate in decision.gates]) == (True, ["backtest"])
