"""Each stress, and each question asked of the profit, has a market on which it alone fails."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from rl.judge.stress_gates import stress_gates
from schemas.promotion import Gate
from schemas.stress import STRESSES, StressReport
from tests.rl.stress.two_coins import RULES, backtest_of, flat, paying, stressed


@dataclass(frozen=True)
class Policy:
    """Thresholds: nothing may be lost to worse terms, 1 % to an accident."""

    max_stress_loss_pct: float = 0.0
    max_accident_loss_pct: float = 1.0
    max_share_of_one_symbol: float = 0.7
    placebo_max_return_pct: float = 0.02


def gates(report: StressReport) -> dict[str, Gate]:
    return {gate.name: gate for gate in stress_gates(report, backtest_of(report), "one", Policy())}


def failed(report: StressReport) -> list[str]:
    return [name for name, gate in gates(report).items() if gate.verdict == "fail"]


def rises(hour: int, by: float):
    """Both coins rise at both venues, in the hour that ends at `hour`, and stay there."""
    return lambda symbol, venue, now: 100.0 * (1.0 + by) if now >= hour else 100.0


def aside(symbol: str, venue: str, hour: int, by: float):
    """One quote is off for one hour."""
    return lambda s, v, h: 100.0 * (1.0 + by) if (s, v, h) == (symbol, venue, hour) else 100.0


def test_the_undisturbed_run_passes_every_gate() -> None:
    report = stressed()
    assert report.plain.return_pct > 0.2
    assert [outcome.name for outcome in report.outcomes] == list(STRESSES)
    assert failed(report) == []
    assert len(gates(report)) == len(STRESSES) + 2


def test_doubled_fees_alone_eat_a_thin_carry() -> None:
    # Fees of 8.4 and slippage of 1.6: funding of 14.4 is enough for them and not for twice the fees.
    report = stressed(rate=lambda s, v, h: 0.4 * paying(s, v, h))
    assert report.plain.return_pct > 0
    assert failed(report) == ["stress: fees x2"]
    reason = gates(report)["stress: fees x2"].reason
    assert reason.startswith("With every taker fee doubled the policy returned -0.")
    assert reason.endswith("That is less than the 0.00 % asked for.")


def test_a_price_that_is_off_in_the_hour_after_the_fill_alone_punishes_later_fills() -> None:
    # AAA at bybit, the long leg, costs 4 % more at 10:00 than before and after: 20 x 4 = 80.
    report = stressed(price=aside("AAA", "bybit", 10, 0.04))
    assert report.plain.return_pct == pytest.approx(stressed().plain.return_pct)
    assert failed(report) == ["stress: fills an hour later"]
    assert "With fills an hour later still" in gates(report)["stress: fills an hour later"].reason


def test_a_settlement_on_the_opening_fill_alone_punishes_the_other_boundary() -> None:
    # What binance settles at 9:00 belongs to nobody's position, by the other rule to AAA: 20 x 100 x 0.04.
    report = stressed(rate=lambda s, v, h: -0.04 if (s, v, h) == ("AAA", "binance", 9) else paying(s, v, h))
    assert failed(report) == ["stress: funding boundary reversed"]
    reason = gates(report)["stress: funding boundary reversed"].reason
    assert "With settlements on a fill charged to the other position" in reason


def test_a_rise_in_the_first_hour_alone_punishes_a_leg_that_is_late() -> None:
    report = stressed(price=rises(10, 0.08))  # 20 x 8 = 160, 1.6 % of the capital
    assert failed(report) == ["stress: one leg an hour late"]
    outcome = report.outcome("one leg an hour late")
    assert outcome is not None
    assert outcome.change_pct == pytest.approx(-1.6, abs=0.05)
    reason = gates(report)["stress: one leg an hour late"].reason
    assert (
        "the long leg of AAA at bybit, ordered for 2025-03-01 09:00 UTC, the costliest of 2 entries" in reason
    )


def test_an_hour_that_moves_a_fifth_alone_punishes_winners_that_are_taken_away() -> None:
    report = stressed(price=rises(13, 0.20))  # the winners miss 5 of the 20: 2 x 20 x 5 = 200
    assert failed(report) == ["stress: winning leg deleveraged"]
    outcome = report.outcome("winning leg deleveraged")
    assert outcome is not None
    assert outcome.change_pct == pytest.approx(-2.0, abs=0.4)  # and what was still to be earned
    assert "It happened 2 times." in gates(report)["stress: winning leg deleveraged"].reason


def test_a_rise_while_a_venue_stands_still_alone_punishes_a_freeze() -> None:
    # Binance stops at 11:00, both positions are closed at 14:00 and it is back at 17:00, 6 % up: the
    # shorts there cost 2 x 20 x 6 = 240, and the penalty 20.
    report = stressed(price=rises(15, 0.06))
    assert failed(report) == ["stress: venue frozen"]
    reason = gates(report)["stress: venue frozen"].reason
    assert "With a venue frozen for 6 hours" in reason
    assert "It was binance from 2025-03-01" in reason and "legs of 3,999 were held there" in reason


def test_a_thin_book_alone_punishes_size() -> None:
    # An impact of 0.01 x 2,000 / 5,000 = 0.4 % on each leg of each fill: 8 x 8 = 64.
    report = stressed(depth=5_000.0)
    assert failed(report) == ["stress: size against depth"]
    assert "0.01 x notional / depth" in gates(report)["stress: size against depth"].reason


def test_one_coin_that_brings_nearly_all_alone_fails_the_question_of_luck() -> None:
    report = stressed(rate=lambda s, v, h: {"AAA": 3.0, "BBB": 0.5}[s] * paying(s, v, h))
    assert failed(report) == ["not one lucky coin"]
    reason = gates(report)["not one lucky coin"].reason
    assert (
        reason.startswith("AAA brought ") and "above the 70 % allowed; without it the policy would" in reason
    )


def test_a_policy_that_lives_on_bounce_alone_fails_the_placebo() -> None:
    # Each long leg is bought 1 % too cheap, an hour before and after it is not: no rate has brought that.
    report = stressed(
        price=lambda s, v, h: 99.0 if (s, v, h) in (("AAA", "bybit", 9), ("BBB", "bybit", 10)) else 100.0
    )
    assert failed(report) == ["placebo"]
    assert "it earns from something else than rates that last" in gates(report)["placebo"].reason


def test_a_boundary_that_is_the_other_one_already_is_reversed_to_the_usual_one() -> None:
    rules = RULES.model_copy(update={"funding_boundary": "open"})
    usual = stressed().outcome("funding boundary reversed")
    other = stressed(rules=rules)
    assert usual is not None and usual.return_pct == pytest.approx(other.plain.return_pct, abs=1e-12)
    found = other.outcome("funding boundary reversed")
    assert found is not None and found.return_pct == pytest.approx(stressed().plain.return_pct, abs=1e-12)


def test_what_cannot_be_made_worse_says_so_and_is_the_plain_run() -> None:
    late = stressed(rules=RULES.model_copy(update={"fill_delay_steps": 2}))
    found = late.outcome("fills an hour later")
    assert found is not None and found.change_pct == 0.0
    assert found.sentence == "Orders fill two hours late already, and the simulator knows no later."
    quiet = stressed(price=flat)
    found = quiet.outcome("size against depth")
    assert found is not None and "depth is unknown wherever the policy traded" in found.sentence
    found = quiet.outcome("winning leg deleveraged")
    assert found is not None and "No hour moved more than 15 %" in found.sentence
