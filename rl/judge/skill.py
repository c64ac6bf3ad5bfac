"""Skill: how much of what was left to earn above greedy a policy has earned."""

from __future__ import annotations

from rl.judge.gates import percent
from schemas.backtest import BacktestSummary, PolicyName


def skill(return_pct: float, greedy_pct: float, funding_bound_pct: float) -> float | None:
    """Return (return - greedy's) / (funding bound - greedy's): 0 is greedy, 1 the bound, below 0 is worse.

    The funding bound and not the bound, since nobody can be asked to foresee the bounce between venues.
    Prices may carry a lucky policy above 1.

    Args:
        return_pct: The policy's return, percent.
        greedy_pct: Greedy's.
        funding_bound_pct: The funding bound.

    Returns:
        None where greedy returned as much as the funding bound, or more: not defined.
    """
    room = funding_bound_pct - greedy_pct
    return (return_pct - greedy_pct) / room if room > 0.0 else None


def skill_words(backtest: BacktestSummary, preset: str, policy: PolicyName = "agent") -> str:
    """Say how far a policy came between greedy and what nobody can beat, in one or two sentences.

    Args:
        backtest: The backtest.
        preset: The risk profile.
        policy: Whose skill.

    Returns:
        An empty text where no bound was worked out, or the policy was not replayed.
    """
    bound, result = backtest.bound(preset), backtest.result(preset, policy)
    greedy = backtest.result(preset, "greedy")
    if bound is None or result is None or greedy is None:
        return ""
    ceiling = (
        f"In hindsight nobody could have returned more than {percent(bound.bound_pct)}, or earned a carry "
        f"above {percent(bound.funding_bound_pct)}."
    )
    value = bound.skill.get(policy)
    if value is None:
        return (
            f"{ceiling} Skill is not defined: greedy's {percent(greedy.return_pct)} is not below the funding "
            "bound."
        )
    return f"{ceiling} Skill: {round(100.0 * value)} % of the way from greedy to the funding bound."
