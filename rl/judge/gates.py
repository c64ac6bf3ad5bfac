"""The basic gates: what a version must show on the sealed window before an alias may point at it.

Each gate is a pure function of the backtest or of the causality audit; none looks at the registry, and
every gate is returned whether it holds or not. A number that is missing or not finite fails its gate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from schemas.audit import AuditReport
from schemas.backtest import BacktestSummary, PolicyResult
from schemas.evidence import DAYS_PER_YEAR
from schemas.promotion import Alias, Gate, PromotionDecision, PromotionPolicy


def percent(value: float) -> str:
    """Write a signed percentage with two decimals; zero has no sign."""
    rounded = round(value, 2)
    return f"{rounded:+.2f} %" if rounded else "0.00 %"


def counted(n: float, one: str, many: str = "") -> str:
    """Write a count with its noun."""
    return f"{n:g} {one if n == 1 else many or one + 's'}"


def make_gate(name: str, value: float | None, threshold: float, holds: bool, reason: str) -> Gate:
    """Return a gate's verdict; a number that is missing or not finite does not hold."""
    known = value is not None and math.isfinite(value)
    if not known:
        return Gate(
            name=name,
            value=None,
            threshold=threshold,
            verdict="fail",
            reason=f"The backtest holds no number for {name!r}.",
        )
    return Gate(
        name=name, value=value, threshold=threshold, verdict="pass" if holds else "fail", reason=reason
    )


def beats_cash(agent: PolicyResult, policy: PromotionPolicy, hours: int) -> Gate:
    """Net of every cost, the closing cost of what is open included, the policy earns more than cash.

    Cash earns `cash_apr` over the hours of the window, also where the drawdown limit ended the policy
    earlier.
    """
    cash = policy.cash_apr * hours / (24.0 * DAYS_PER_YEAR)
    value, asked = agent.return_pct - cash, policy.min_return_over_cash_pct
    holds = value > asked
    verdict = "better than" if holds else "no better than"
    bar = "cash" if asked == 0 else f"cash plus {asked:g} %"
    if cash:
        bar += f" at {policy.cash_apr:g} % a year, which earned {percent(cash)}"
    reason = f"The policy returned {percent(agent.return_pct)} net of all costs, {verdict} {bar}."
    return make_gate("beats cash", value, asked, holds, reason)


def carry_not_noise(agent: PolicyResult, policy: PromotionPolicy, capital: float) -> Gate:
    """Funding less fees and slippage is positive, so that the profit is carry and not price luck.

    The cost of closing what is still open counts as paid: a policy must not pass by never closing.
    """
    split = agent.split
    value = 100.0 * split.carry / capital
    asked = policy.min_carry_pct
    costs = 100.0 * (split.fees + split.slippage + split.closing_costs) / capital
    holds = value > asked
    bar = "above" if holds else "not above"
    reason = (
        f"Funding of {percent(100.0 * split.funding / capital)} of capital and trading costs of "
        f"{percent(costs)} (those of closing what is open included) leave a carry of {percent(value)}, "
        f"{bar} {percent(asked)}."
    )
    if agent.trades == 0:
        reason = "No position was opened, so there is no carry."
    return make_gate("carry, not noise", value, asked, holds, reason)


def drawdown_within(agent: PolicyResult, policy: PromotionPolicy) -> Gate:
    """The largest hourly drawdown stays within the limit."""
    value, limit = agent.max_drawdown_pct, policy.max_drawdown_pct
    holds = value <= limit
    reason = (
        f"The largest drawdown was {value:.2f} %, {'within' if holds else 'beyond'} the {limit:g} % allowed."
    )
    return make_gate("drawdown", value, limit, holds, reason)


def no_liquidation(agent: PolicyResult, policy: PromotionPolicy) -> Gate:
    """No leg was liquidated, or no more than allowed."""
    value, limit = agent.liquidations, policy.max_liquidations
    holds = value <= limit
    happened = "No position was liquidated" if value == 0 else f"{counted(value, 'liquidation')} happened"
    allowed = "none is" if limit == 0 else f"up to {limit:g} {'is' if limit == 1 else 'are'}"
    reason = f"{happened}; {allowed} allowed."
    return make_gate("no liquidation", value, limit, holds, reason)


def enough_trades(agent: PolicyResult, policy: PromotionPolicy) -> Gate:
    """Enough positions were opened for the result to be more than an accident."""
    value, asked = agent.trades, policy.min_trades
    holds = value >= asked
    opened = counted(value, "position")
    reason = f"The policy opened {opened}; at least {asked:g} {'is' if asked == 1 else 'are'} asked for."
    return make_gate("enough trades", value, asked, holds, reason)


def out_of_sample(backtest: BacktestSummary) -> Gate:
    """The window has no hour in common with what the version was trained or selected on."""
    name = "out of sample"
    if backtest.in_sample is None or backtest.overlap_hours is None:
        reason = (
            "It is not known which hours the version was trained and selected on, so none counts as unseen."
        )
        return Gate(name=name, value=None, threshold=0, verdict="fail", reason=reason)
    hours = backtest.overlap_hours
    seen = counted(hours, "hour")
    if not backtest.in_sample and hours == 0:
        reason = "No hour of the window lies in the version's training or validation."
        return Gate(name=name, value=0, threshold=0, verdict="pass", reason=reason)
    reason = f"IN-SAMPLE: {seen} of the window lie in the version's training or validation."
    return Gate(name=name, value=hours, threshold=0, verdict="fail", reason=reason)


def audited(audit: AuditReport | None, backtest: BacktestSummary) -> Gate:
    """A causality audit of this version on this data found nothing that depends on what comes later."""
    value: float | None = None
    holds = False
    if audit is None:
        reason = "There is no causality audit, so nothing shows that the result does not look ahead."
    elif (audit.version, audit.data_hash) != (backtest.version, backtest.data_hash):
        reason = "The causality audit is of another version or of other data than the backtest."
    elif not audit.times:
        reason = "The causality audit looked at no time."
    else:
        value, holds = float(audit.leaking), audit.holds
        times = counted(len(audit.times), "time")
        if holds:
            reason = f"Garbage after {times} of validation and test changed nothing that was known by then."
        else:
            many = f"{audit.leaking:g} of {times}" if audit.leaking else "the features of the run"
            reason = f"The causality audit failed at {many}: {(audit.first_difference or '').rstrip('.')}."
    return Gate(name="audit", value=value, threshold=0, verdict="pass" if holds else "fail", reason=reason)


def basic_gates(
    backtest: BacktestSummary, preset: str, policy: PromotionPolicy, audit: AuditReport | None
) -> list[Gate]:
    """Apply every basic gate to the agent's result under one preset.

    Args:
        backtest: The backtest of the sealed window.
        preset: The risk profile that is judged; the others are shown only.
        policy: The thresholds.
        audit: The causality audit of the same version on the same data; without one its gate does not hold.

    Returns:
        All gates, in the order they are read; one failed gate where the backtest holds no such result.
    """
    agent = backtest.result(preset, "agent")
    if agent is None:
        reason = f"The backtest holds no result of a policy under {preset!r}."
        return [Gate(name="backtest", value=None, threshold=None, verdict="fail", reason=reason)]
    return [
        beats_cash(agent, policy, backtest.hours),
        carry_not_noise(agent, policy, backtest.initial_capital),
        drawdown_within(agent, policy),
        no_liquidation(agent, policy),
        enough_trades(agent, policy),
        out_of_sample(backtest),
        audited(audit, backtest),
    ]


def all_hold(gates: Sequence[Gate]) -> bool:
    """Return whether there are gates and every one holds."""
    return bool(gates) and all(gate.verdict == "pass" for gate in gates)


def conclude(
    version: str,
    alias: Alias,
    preset: str,
    gates: Sequence[Gate],
    *,
    points_already: bool = False,
    dry_run: bool = False,
) -> PromotionDecision:
    """Turn gates into a decision; the caller moves the alias if, and only if, `moved` is true.

    Args:
        version: The version judged.
        alias: The alias it is judged for.
        preset: The risk profile that was judged.
        gates: Every gate, those that hold included.
        points_already: Whether the alias points at this version now.
        dry_run: Whether the alias must stay where it is.
    """
    promoted = all_hold(gates)
    if not promoted:
        failed = [gate.reason for gate in gates if gate.verdict == "fail"] or ["No gate was applied."]
        reason = "Not promoted, because " + "; ".join(_clause(text) for text in failed) + "."
    elif points_already:
        reason = f"Promoted: all {len(gates)} gates hold and {alias} points at {version} already."
    elif dry_run:
        reason = (
            f"All {len(gates)} gates hold: {alias} would be moved to {version} (dry run, nothing was moved)."
        )
    else:
        reason = f"Promoted: all {len(gates)} gates hold, {alias} is moved to {version}."
    return PromotionDecision(
        version=version,
        alias=alias,
        preset=preset,
        promoted=promoted,
        moved=promoted and not points_already and not dry_run,
        reason=reason,
        gates=tuple(gates),
    )


def _clause(sentence: str) -> str:
    """Turn a sentence into a clause: no full stop, a small first letter unless capitals open it."""
    text = sentence.rstrip(".")
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
