"""The champion's gates: what a version must prove before money follows it, and when it has to go.

All pure: the evidence, the audit and the stress were made elsewhere, and the alias is moved elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rl.judge.gates import (
    all_hold,
    carry_not_noise,
    conclude,
    counted,
    drawdown_within,
    make_gate,
    no_liquidation,
    percent,
)
from rl.judge.words import in_words
from schemas.backtest import PolicyResult
from schemas.evidence import Comparison, Evidence, Interval
from schemas.promotion import Gate, PromotionDecision, PromotionPolicy, RetirementDecision

ALIAS: Final = "champion"


@dataclass(frozen=True)
class Reigning:
    """The champion of the day.

    Attributes:
        version: Which.
        age_days: How long it has been champion.
    """

    version: str
    age_days: float


def decide_champion(
    version: str,
    preset: str,
    basic: Sequence[Gate],
    evidence: Evidence,
    stress: Sequence[Gate],
    policy: PromotionPolicy,
    *,
    drift: Sequence[Gate],
    reigning: Reigning | None = None,
    dry_run: bool = False,
) -> PromotionDecision:
    """Decide whether a version becomes champion, and list every gate.

    Args:
        version: The candidate.
        preset: The risk profile that is judged.
        basic: The basic gates of its sealed window.
        evidence: What its returns prove.
        stress: The gates of the stress tests; none at all is a stress not survived.
        policy: The thresholds.
        drift: The gate of the newest rows; none where drift does not block.
        reigning: The champion of now; None where there is none. The candidate itself is no rival to itself.
        dry_run: Whether the alias must stay where it is.
    """
    there_already = reigning is not None and reigning.version == version
    rival = None if there_already else reigning
    gates = champion_gates(basic, evidence, stress, policy, drift=drift, reigning=rival)
    return conclude(version, ALIAS, preset, gates, points_already=there_already, dry_run=dry_run)


def champion_gates(
    basic: Sequence[Gate],
    evidence: Evidence | None,
    stress: Sequence[Gate],
    policy: PromotionPolicy,
    *,
    drift: Sequence[Gate],
    reigning: Reigning | None = None,
) -> list[Gate]:
    """Return every gate a champion has to pass; what is missing is a gate that does not hold.

    Args:
        basic: The basic gates of its sealed window.
        evidence: What its returns prove.
        stress: The gates of the stress tests.
        policy: The thresholds.
        drift: The gate of the newest rows, as `drift_gates` returns it; none where drift does not block.
        reigning: The champion to be replaced; None where none reigns, or the candidate itself.
    """
    proven = [_missing("evidence", "There are no daily returns of a policy, so nothing is proven.")]
    return [
        *(basic or [_missing("backtest", "There is no backtest of a sealed window.")]),
        *(proven if evidence is None else evidence_gates(evidence, policy, reigning)),
        *(stress or [_missing("stress", "There is no stress test, so nothing shows what survives one.")]),
        *drift,
    ]


def evidence_gates(evidence: Evidence, policy: PromotionPolicy, reigning: Reigning | None) -> list[Gate]:
    """Apply the gates that only evidence passes.

    Args:
        evidence: What the candidate's returns prove.
        policy: The thresholds.
        reigning: The champion to be replaced, or None.
    """
    gates = [enough_evidence(evidence, policy), over_cash(evidence), not_luck(evidence, policy)]
    if reigning is None:
        return [*gates, over_greedy(evidence)]
    return [*gates, unseen_by_both(evidence, policy), over_champion(evidence, policy, reigning)]


def enough_evidence(evidence: Evidence, policy: PromotionPolicy) -> Gate:
    """There are enough blocks of time for an interval to mean what it says."""
    value, asked = evidence.blocks, policy.min_blocks
    holds = value >= asked
    told = f"{counted(value, 'block')} of {24 * evidence.block_days} h"
    reason = (
        f"The {evidence.source} has {told}; {asked} are asked for."
        if holds
        else f"Insufficient evidence: the {evidence.source} has {told}, and {asked} are needed."
    )
    return make_gate("enough evidence", value, asked, holds, reason)


def over_cash(evidence: Evidence) -> Gate:
    """The lower bound of the mean return over cash is above nothing."""
    bar = "cash" if evidence.cash_apr == 0 else f"cash at {evidence.cash_apr:g} %"
    return _lower_bound(
        "over cash",
        evidence.over_cash,
        0.0,
        f"The return over {bar}",
        evidence.confidence,
        evidence.insufficient,
    )


def not_luck(evidence: Evidence, policy: PromotionPolicy) -> Gate:
    """The Sharpe ratio is above what the best of all trials on these hours shows by luck."""
    value, asked = evidence.deflated_sharpe, policy.min_deflated_sharpe
    tried = counted(evidence.trials, "trial")
    if value is None or evidence.sharpe is None or evidence.sharpe_of_luck is None:
        why = evidence.insufficient or "not defined: the returns do not vary"
        reason = f"No deflated Sharpe ratio is claimed: {why}."
        return Gate(name="deflated Sharpe", value=None, threshold=asked, verdict="fail", reason=reason)
    holds = value >= asked
    reason = (
        f"The Sharpe ratio of {evidence.sharpe:.2f} is above {evidence.sharpe_of_luck:.2f}, the luck of the "
        f"best of {tried}, with a probability of {value:.3f}; {asked:g} is asked for."
    )
    return make_gate("deflated Sharpe", value, asked, holds, reason)


def over_greedy(evidence: Evidence) -> Gate:
    """Where no champion reigns, the rule without learning has to be beaten, day by day."""
    return _lower_bound(
        "over greedy",
        _excess(evidence.over_greedy),
        0.0,
        "The return over greedy",
        evidence.confidence,
        "greedy was not replayed on these days" if evidence.over_greedy is None else "too few days",
    )


def unseen_by_both(evidence: Evidence, policy: PromotionPolicy) -> Gate:
    """Candidate and champion are compared only on days that neither was trained or chosen on."""
    compared = evidence.over_champion
    value, asked = (0 if compared is None else compared.blocks), policy.min_blocks
    holds = value >= asked
    told = "" if compared is None else f" of {24 * compared.block_days} h"
    reason = (
        "Of days that neither the version nor the champion was trained or chosen on there are "
        f"{counted(value, 'block')}{told}, {'and' if holds else 'but'} {asked} are asked for."
    )
    return make_gate("unseen by both", value, asked, holds, reason)


def over_champion(evidence: Evidence, policy: PromotionPolicy, reigning: Reigning) -> Gate:
    """The reigning champion is beaten, or, where it has reigned too long, is at least not better by much."""
    aged = reigning.age_days > policy.max_age_days
    excess = _excess(evidence.over_champion)
    absent = "the champion has no curve on these days" if evidence.over_champion is None else "too few days"
    if not aged:
        what = f"The return over the champion {reigning.version}"
        return _lower_bound("over the champion", excess, 0.0, what, evidence.confidence, absent)
    what = (
        f"The champion {reigning.version} has reigned {counted(round(reigning.age_days), 'day')}, more than "
        f"{policy.max_age_days:g}, so it is enough not to be worse by "
        f"{policy.non_inferiority_margin_pct:g} % a year: the return over it"
    )
    bound = -policy.non_inferiority_margin_pct
    return _lower_bound("not worse than the champion", excess, bound, what, evidence.confidence, absent)


def judge_reigning(
    version: str,
    result: PolicyResult | None,
    capital: float,
    preset: str,
    evidence: Evidence | None,
    policy: PromotionPolicy,
) -> RetirementDecision:
    """Judge a reigning version by a recent window; one that misses a gate can be retired to none: hold.

    It is not asked to prove itself anew, which a recent window is too short for, but not to be shown to fail.

    Args:
        version: The version that reigns.
        result: What it did in the recent window; None where it could not be replayed.
        capital: What it began with.
        preset: The risk profile that is judged.
        evidence: What its returns on that window prove; None where there are none.
        policy: The thresholds.
    """
    days = 0 if evidence is None else evidence.days
    if result is None:
        gates = [_missing("backtest", f"The backtest holds no result of {version} under {preset!r}.")]
    else:
        gates = [drawdown_within(result, policy), no_liquidation(result, policy)]
        if evidence is not None and days >= policy.retire_after_days:
            gates.append(_not_behind_cash(evidence))
            if result.trades:  # one that held all the time paid no costs for nothing
                gates.append(carry_not_noise(result, policy, capital))
    retire = not all_hold(gates)
    if retire:
        failed = " ".join(gate.reason for gate in gates if gate.verdict == "fail")
        reason = f"{version} can be retired, and hold is what follows. {failed}"
    elif days < policy.retire_after_days:
        reason = (
            f"{version} stays: {counted(days, 'whole day')} of recent hours are too few to judge its returns "
            f"by ({policy.retire_after_days} are needed), and nothing else speaks against it."
        )
    else:
        reason = f"{version} stays: its recent window misses no gate."
    return RetirementDecision(
        version=version, preset=preset, retire=retire, reason=reason, gates=tuple(gates)
    )


def _not_behind_cash(evidence: Evidence) -> Gate:
    """The upper bound of the mean return over cash is not below nothing."""
    name, interval = "not behind cash", evidence.over_cash
    if interval is None:
        return _missing(name, "The recent window has too few whole days for an interval.")
    year = interval.annual()
    holds = year.high >= 0.0
    verdict = "may still be" if holds else "is not"
    reason = f"The return over cash is {in_words(interval, evidence.confidence)}: it {verdict} above nothing."
    return make_gate(name, year.high, 0.0, holds, reason)


def _lower_bound(
    name: str, interval: Interval | None, threshold: float, what: str, confidence: float, absent: str
) -> Gate:
    if interval is None:
        reason = f"{what} has no interval: {absent or 'too few days'}."
        return Gate(name=name, value=None, threshold=threshold, verdict="fail", reason=reason)
    year = interval.annual()
    holds = year.low > threshold
    reason = (
        f"{what} is {in_words(interval, confidence)}; its lower bound is {'above' if holds else 'not above'} "
        f"{percent(threshold)}."
    )
    return make_gate(name, year.low, threshold, holds, reason)


def _excess(comparison: Comparison | None) -> Interval | None:
    return None if comparison is None else comparison.excess


def _missing(name: str, reason: str) -> Gate:
    return Gate(name=name, value=None, threshold=None, verdict="fail", reason=reason)
