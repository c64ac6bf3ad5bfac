"""Gates of the stress tests: what a policy must survive, and what its profit must not rest on.

Each gate is a pure function of the report; none hides another, and what was not measured fails, except for
what the data cannot tell (the depth of an order book) and what never happened, which the report says.
"""

from __future__ import annotations

import math
from typing import Protocol

from rl.judge.gates import percent
from schemas.backtest import BacktestSummary
from schemas.promotion import Gate
from schemas.stress import ACCIDENTS, STRESSES, StressReport


class StressPolicy(Protocol):
    """The thresholds, as `PromotionPolicy` has them."""

    @property
    def max_stress_loss_pct(self) -> float:
        """Largest loss allowed where terms are worse throughout the window, percent of capital."""
        ...

    @property
    def max_accident_loss_pct(self) -> float:
        """Largest loss allowed where one accident happens at the worst hour, percent of capital."""
        ...

    @property
    def max_share_of_one_symbol(self) -> float:
        """Largest part of the profit that may come from one coin, a fraction."""
        ...

    @property
    def placebo_max_return_pct(self) -> float:
        """What the policy may make on the placebo markets beyond the common part of rates, percent."""
        ...


def survives(name: str, report: StressReport, policy: StressPolicy) -> Gate:
    """Under one stress the policy loses no more than it may."""
    accident = name in ACCIDENTS
    found = report.outcome(name)
    least = 0.0 - (policy.max_accident_loss_pct if accident else policy.max_stress_loss_pct)
    title = f"stress: {name}"
    if found is None or not math.isfinite(found.return_pct):
        reason = f"The stress {name!r} was not measured."
        return Gate(name=title, value=None, threshold=least, verdict="fail", reason=reason)
    holds = found.return_pct >= least
    bar = "no less than" if holds else "less than"
    reason = f"{found.sentence} That is {bar} the {percent(least)} asked for."
    return Gate(
        name=title,
        value=found.return_pct,
        threshold=least,
        verdict="pass" if holds else "fail",
        reason=reason,
    )


def not_one_coin(report: StressReport, policy: StressPolicy) -> Gate:
    """No single coin brought more of the profit than it may."""
    title, most = "not one lucky coin", policy.max_share_of_one_symbol
    symbols = report.concentration.symbols
    if not symbols or symbols[0].share is None:
        reason = "There is no profit, so it cannot be said to come from more than one coin."
        return Gate(name=title, value=None, threshold=most, verdict="fail", reason=reason)
    best = symbols[0]
    share = float(best.share or 0.0)
    holds = share <= most
    rest = sum(part.profit for part in symbols[1:]) / report.initial_capital * 100.0
    bar = "within" if holds else "above"
    reason = (
        f"{best.name} brought {100.0 * share:.0f} % of the profit, {bar} the {100.0 * most:g} % allowed; "
        f"without it the policy would have made {percent(rest)}."
    )
    return Gate(name=title, value=share, threshold=most, verdict="pass" if holds else "fail", reason=reason)


def placebo_earns_nothing(report: StressReport, policy: StressPolicy) -> Gate:
    """Where a coin's rate says nothing about its next one there is nothing to earn by choosing coins."""
    title, most, value = "placebo", policy.placebo_max_return_pct, report.placebo.beyond_pct
    if value is None or not math.isfinite(value):
        reason = report.placebo.sentence
        return Gate(name=title, value=None, threshold=most, verdict="fail", reason=reason)
    holds = value <= most
    meaning = (
        f"no more than the {percent(most)} allowed: the edge is gone where rates do not last."
        if holds
        else f"more than the {percent(most)} allowed: it earns from something else than rates that last."
    )
    reason = f"{report.placebo.sentence} That is {meaning}"
    return Gate(name=title, value=value, threshold=most, verdict="pass" if holds else "fail", reason=reason)


def stress_gates(
    report: StressReport | None, backtest: BacktestSummary, preset: str, policy: StressPolicy
) -> list[Gate]:
    """Apply every gate of the stress tests.

    Args:
        report: What the stress step found; without one the gates do not hold.
        backtest: The backtest that is judged; the report must be of the same run.
        preset: The risk profile that is judged.
        policy: The thresholds.

    Returns:
        All gates, in the order they are read; one failed gate where there is no report of this run.
    """
    missing = None
    if report is None:
        missing = "There are no stress tests, so nothing shows that the result survives bad luck."
    elif (report.version, report.data_hash) != (backtest.version, backtest.data_hash):
        missing = "The stress tests are of another version or of other data than the backtest."
    elif (report.start, report.end, report.preset) != (backtest.start, backtest.end, preset):
        missing = "The stress tests are of another window or risk profile than the backtest."
    if report is None or missing is not None:
        return [Gate(name="stress", value=None, threshold=None, verdict="fail", reason=missing or "")]
    return [
        *(survives(name, report, policy) for name in STRESSES),
        not_one_coin(report, policy),
        placebo_earns_nothing(report, policy),
    ]
