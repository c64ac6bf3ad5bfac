"""The ladder for the page: a row per rung, from cash up to what nobody can beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rl.judge.gates import percent
from schemas.backtest import RIVALS, BacktestSummary, PolicyName, PolicyResult
from schemas.evidence import Evidence, Interval
from tasks.report import canvas

CASH_APR: Final = 4.0  # percent a year; what idle capital earns elsewhere, shown beside the ladder's own
_CLIMB: Final[tuple[PolicyName, ...]] = ("random", "greedy", "flip", "challenger", "champion", "agent")


@dataclass(frozen=True)
class Rung:
    """One row of the ladder; what does not apply is None or empty.

    Attributes:
        name: As it is called.
        policy: Whose, for its colour; empty for the bounds and for cash at another rate.
        note: What the name does not say.
        return_pct: Over the window, percent of capital.
        spread: 5th and 95th percentile over runs, percent.
        drawdown_pct: Largest, percent.
        trades: Positions opened.
        sharpe: Annual Sharpe ratio, or why none is claimed.
        skill: Between greedy and the funding bound, or why it is not defined.
        lead: What the policy returned above this rung, percent a year, with its interval.
    """

    name: str
    policy: str = ""
    note: str = ""
    return_pct: float | None = None
    spread: tuple[float, float] | None = None
    drawdown_pct: float | None = None
    trades: float | None = None
    sharpe: str = ""
    skill: str = ""
    lead: Interval | None = None


def rungs(summary: BacktestSummary, preset: str, evidence: Evidence | None) -> list[Rung]:
    """Return the ladder under one preset, the lowest rung first.

    Args:
        summary: The backtest.
        preset: The judged preset.
        evidence: Whose intervals stand beside the rungs they compare with.
    """
    leads = _leads(evidence)
    apr = summary.ladder.cash_apr
    climbed = [
        Rung(
            name="cash" if apr == 0 else f"cash at {apr:g} %",
            policy="cash",
            return_pct=summary.cash_pct(apr),
            drawdown_pct=0.0,
            trades=0.0,
            lead=leads.get("cash"),
        )
    ]
    if apr != CASH_APR:
        climbed.append(
            Rung(
                name=f"cash at {CASH_APR:g} %",
                note="what idle capital could earn",
                return_pct=summary.cash_pct(CASH_APR),
                drawdown_pct=0.0,
                trades=0.0,
            )
        )
    for policy in _CLIMB:
        result = summary.result(preset, policy)
        if result is not None:
            climbed.append(_played(summary, preset, policy, result, leads.get(policy)))
        elif policy in RIVALS and (rival := summary.rival(policy)) is not None:
            climbed.append(
                Rung(name=policy, policy=policy, note=f"{rival.version}: not replayed, {rival.missing}")
            )
    bound = summary.bound(preset)
    if bound is not None:
        climbed += [
            Rung(
                name="funding bound",
                note=f"nobody's carry is more; a plan of hindsight reaches {percent(bound.funding_plan_pct)}",
                return_pct=bound.funding_bound_pct,
                skill="100 %",
            ),
            Rung(
                name="bound",
                note=f"nobody returns more; a plan of hindsight reaches {percent(bound.plan_pct)}",
                return_pct=bound.bound_pct,
            ),
        ]
    return climbed


def _played(
    summary: BacktestSummary, preset: str, policy: PolicyName, result: PolicyResult, lead: Interval | None
) -> Rung:
    spread = None
    if result.return_p5_pct is not None and result.return_p95_pct is not None:
        spread = (result.return_p5_pct, result.return_p95_pct)
    return Rung(
        name=canvas.called(policy),
        policy=policy,
        note=_note(summary, policy, result),
        return_pct=result.return_pct,
        spread=spread,
        drawdown_pct=result.max_drawdown_pct,
        trades=result.trades,
        sharpe=_sharpe(result),
        skill=_skill(summary, preset, policy),
        lead=lead,
    )


def _note(summary: BacktestSummary, policy: PolicyName, result: PolicyResult) -> str:
    if policy == "random":
        return f"mean of {result.runs} runs of valid actions"
    if policy == "flip":
        return f"enters above {summary.ladder.flip_apr:g} % over 3 days, leaves when a day pays nothing"
    if policy == "agent":
        return summary.version or ""
    rival = summary.rival(policy) if policy in ("champion", "challenger") else None
    if rival is None:
        return ""
    seen = f", has seen {rival.overlap_hours} of these hours" if rival.in_sample else ""
    return f"{rival.version}{seen}"


def _sharpe(result: PolicyResult) -> str:
    if result.policy in ("cash", "random"):
        return ""
    if result.sharpe is not None:
        return canvas.minus(f"{result.sharpe:.2f}")
    return result.sharpe_note.split(":")[0]


def _skill(summary: BacktestSummary, preset: str, policy: PolicyName) -> str:
    bound = summary.bound(preset)
    if bound is None:
        return ""
    if policy == "greedy":
        return "0 %"
    if policy not in bound.skill:
        return ""
    value = bound.skill[policy]
    return "not defined" if value is None else canvas.minus(f"{100.0 * value:.0f} %")


def _leads(evidence: Evidence | None) -> dict[str, Interval]:
    """Return the policy's mean lead over a rung, percent a year, by rung."""
    if evidence is None:
        return {}
    found = {
        "cash": evidence.over_cash if evidence.cash_apr == 0 else None,
        "greedy": None if evidence.over_greedy is None else evidence.over_greedy.excess,
        "champion": None if evidence.over_champion is None else evidence.over_champion.excess,
    }
    return {name: interval.annual() for name, interval in found.items() if interval is not None}
