"""The gates of the stress tests: each fails when it should, alone, and says why in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from rl.judge.stress_gates import stress_gates
from schemas.promotion import Gate
from schemas.stress import (
    ACCIDENTS,
    STRESSES,
    Capacity,
    Concentration,
    Placebo,
    PlaceboRun,
    Share,
    StressOutcome,
    StressReport,
    StressSettings,
    Transfers,
)
from tests.rl.judge.test_gates import backtest


@dataclass(frozen=True)
class Policy:
    max_stress_loss_pct: float = 1.0
    max_accident_loss_pct: float = 10.0
    max_share_of_one_symbol: float = 0.6
    placebo_max_return_pct: float = 0.1


OTHER = "The stress tests are of another version or of other data than the backtest."
ELSEWHERE = "The stress tests are of another window or risk profile than the backtest."
RUN = {"version": "v1", "data_hash": "", "preset": "moderate"}


def outcome(name: str, value: float) -> StressOutcome:
    return StressOutcome(
        name=name, what="With worse luck", return_pct=value, change_pct=value - 0.5, carry_pct=0.1,
        max_drawdown_pct=1.0, trades=5, liquidations=0, sentence=f"With worse luck it returned {value} %.",
    )  # fmt: skip


def symbols(*profits: float) -> Concentration:
    total = sum(profits)
    parts = (
        Share(name=f"C{i}", profit=p, share=p / total if total > 0 else None) for i, p in enumerate(profits)
    )
    return Concentration(symbols=tuple(parts))


def dealt(*beyond: float) -> Placebo:
    runs = tuple(PlaceboRun(return_pct=b + 1.0, common_pct=1.0, beyond_pct=b, trades=3) for b in beyond)
    return Placebo(
        runs=runs, sentence="On 2 markets it made this." if runs else "There is no market history."
    )


def report(worse: dict[str, float] | None = None, **changes: Any) -> StressReport:
    facts: dict[str, Any] = {
        **RUN,
        "start": datetime(2025, 7, 8, tzinfo=UTC),
        "end": datetime(2025, 7, 12, tzinfo=UTC),
        "initial_capital": 10_000.0,
        "settings": StressSettings(),
        "plain": outcome("plain", 0.5),
        "outcomes": tuple(outcome(name, (worse or {}).get(name, 0.2)) for name in STRESSES),
        "concentration": symbols(30.0, 20.0),
        "transfers": Transfers(),
        "capacity": Capacity(impact_k=0.01, fills=0, fills_with_depth=0),
        "placebo": dealt(-0.2, -0.1),
    }
    return StressReport(**facts | changes)


def gates(found: StressReport | None) -> dict[str, Gate]:
    return {gate.name: gate for gate in stress_gates(found, backtest(), "moderate", Policy())}


def failed(found: StressReport | None) -> list[str]:
    return [name for name, gate in gates(found).items() if gate.verdict == "fail"]


def test_a_report_that_survives_everything_passes_every_gate_and_all_are_listed() -> None:
    found = gates(report())
    assert list(found) == [*(f"stress: {name}" for name in STRESSES), "not one lucky coin", "placebo"]
    assert all(gate.verdict == "pass" and gate.value is not None for gate in found.values())
    assert failed(report()) == []


@pytest.mark.parametrize("name", STRESSES)
def test_a_loss_under_one_stress_fails_that_gate_alone_with_its_sentence(name: str) -> None:
    limit = -10.0 if name in ACCIDENTS else -1.0
    assert failed(report({name: limit})) == []  # on the edge is allowed
    found = report({name: limit - 0.01})
    assert failed(found) == [f"stress: {name}"]
    gate = gates(found)[f"stress: {name}"]
    assert (gate.value, gate.threshold) == (limit - 0.01, limit)
    assert (
        gate.reason
        == f"With worse luck it returned {limit - 0.01} %. That is less than the {limit:.2f} % asked for."
    )


@pytest.mark.parametrize("name", STRESSES)
def test_a_stress_that_was_not_tried_or_has_no_number_fails(name: str) -> None:
    rest = tuple(outcome(other, 0.2) for other in STRESSES if other != name)
    assert failed(report(outcomes=rest)) == [f"stress: {name}"]
    unknown = report({name: float("nan")})
    assert failed(unknown) == [f"stress: {name}"]
    assert gates(unknown)[f"stress: {name}"].reason == f"The stress {name!r} was not measured."


def test_a_profit_that_is_mostly_one_coin_fails_and_says_what_is_left_without_it() -> None:
    assert failed(report(concentration=symbols(60.0, 40.0))) == []
    found = report(concentration=symbols(61.0, 39.0))
    assert failed(found) == ["not one lucky coin"]
    assert gates(found)["not one lucky coin"].reason == (
        "C0 brought 61 % of the profit, above the 60 % allowed; "
        "without it the policy would have made +0.39 %."
    )
    losers = gates(report(concentration=symbols(90.0, -40.0)))["not one lucky coin"]
    assert (
        losers.value == pytest.approx(1.8)
        and "without it the policy would have made -0.40 %" in losers.reason
    )


@pytest.mark.parametrize("found", [Concentration(), symbols(-5.0, -6.0)])
def test_a_profit_that_is_not_there_is_not_spread(found: Concentration) -> None:
    gate = gates(report(concentration=found))["not one lucky coin"]
    assert (gate.verdict, gate.value) == ("fail", None)
    assert gate.reason == "There is no profit, so it cannot be said to come from more than one coin."


def test_a_placebo_that_earns_fails_by_its_mean_beyond_the_common_part() -> None:
    assert failed(report(placebo=dealt(0.0, 0.2))) == []
    found = report(placebo=dealt(0.1, 0.2))
    assert failed(found) == ["placebo"]
    gate = gates(found)["placebo"]
    assert gate.value == pytest.approx(0.15)
    assert gate.reason == (
        "On 2 markets it made this. That is more than the +0.10 % allowed: it earns from something else than "
        "rates that last."
    )


def test_without_a_placebo_its_gate_fails_and_says_why() -> None:
    gate = gates(report(placebo=dealt()))["placebo"]
    assert (gate.verdict, gate.value, gate.reason) == ("fail", None, "There is no market history.")


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "There are no stress tests, so nothing shows that the result survives bad luck."),
        (report(version="v2"), OTHER),
        (report(data_hash="x"), OTHER),
        (report(preset="aggressive"), ELSEWHERE),
        (report(end=datetime(2025, 7, 13, tzinfo=UTC)), ELSEWHERE),
    ],
)
def test_without_a_report_of_this_very_run_one_gate_fails_and_says_so(
    found: StressReport | None, why: str
) -> None:
    [gate] = stress_gates(found, backtest(), "moderate", Policy())
    assert (gate.name, gate.verdict, gate.reason) == ("stress", "fail", why)
