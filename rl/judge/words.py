"""Evidence in words: plain sentences for a terminal and a page, the most important one first."""

from __future__ import annotations

from rl.judge.gates import counted, percent
from schemas.evidence import Comparison, Evidence, Interval


def in_words(interval: Interval, confidence: float) -> str:
    """Tell a mean daily return with its interval, in percent a year."""
    year = interval.annual()
    return (
        f"{percent(year.mean)} a year, between {percent(year.low)} and {percent(year.high)} with "
        f"{100 * confidence:g} % confidence"
    )


def evidence_words(evidence: Evidence) -> list[str]:
    """Tell what the returns of a version prove, a sentence each.

    Args:
        evidence: What they prove.
    """
    bar = "cash" if evidence.cash_apr == 0 else f"cash at {evidence.cash_apr:g} %"
    told = [_basis(evidence), _gap(f"Over {bar}", evidence.over_cash, evidence.confidence)]
    if evidence.recipe is not None:
        of = f"The recipe over {bar}, {counted(evidence.seeds, 'seed')}"
        told.append(_gap(of, evidence.recipe, evidence.confidence))
    for name, compared in (("greedy", evidence.over_greedy), ("the champion", evidence.over_champion)):
        if compared is not None:
            told.append(_compared(name, compared, evidence.confidence))
    told.append(_luck(evidence))
    return told


def _basis(evidence: Evidence) -> str:
    span = ""
    if evidence.start is not None and evidence.end is not None and evidence.days:
        span = f" from {evidence.start:%Y-%m-%d} to {evidence.end:%Y-%m-%d}"
    text = (
        f"The {evidence.source} has {counted(evidence.days, 'whole day')}{span}, "
        f"{counted(evidence.blocks, 'block')} of {24 * evidence.block_days} h"
    )
    return f"{text}: {evidence.insufficient}." if evidence.insufficient else f"{text}."


def _gap(what: str, interval: Interval | None, confidence: float) -> str:
    if interval is None:
        return f"{what}: no interval, the days are too few."
    return f"{what}: {in_words(interval, confidence)}."


def _compared(name: str, compared: Comparison, confidence: float) -> str:
    if compared.excess is None:
        return f"Over {name}: no interval, {counted(compared.days, 'day')} in common are too few."
    days = counted(compared.days, "day")
    return f"Over {name}, day by day ({days}): {in_words(compared.excess, confidence)}."


def _luck(evidence: Evidence) -> str:
    tried = f"{counted(evidence.trials, 'trial')} opened on these hours, this one included"
    if evidence.sharpe is None or evidence.deflated_sharpe is None or evidence.sharpe_of_luck is None:
        return f"There is no deflated Sharpe ratio to claim; {tried}."
    text = (
        f"Sharpe ratio {evidence.sharpe:.2f} against {evidence.sharpe_of_luck:.2f} by luck ({tried}): "
        f"deflated {evidence.deflated_sharpe:.3f}"
    )
    if evidence.minimum_days is None:
        return f"{text}; no number of days would make it believed."
    return f"{text}; believed after {counted(round(evidence.minimum_days), 'day')}."
