"""The outcome of a backtest in plain sentences, the least flattering true one first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rl.judge.gates import counted, percent
from rl.judge.skill import skill_words
from schemas.backtest import BacktestSummary, PolicyResult

Tone = Literal["good", "mixed", "bad", "neutral"]


@dataclass(frozen=True)
class Verdict:
    """What a reader should know before any table.

    Attributes:
        headline: One sentence.
        tone: Whether the policy beats cash and greedy (good), cash alone (mixed), or not even cash (bad);
            neutral where no policy was judged.
        details: Further sentences: against greedy, against random, what the evidence is worth.
    """

    headline: str
    tone: Tone
    details: tuple[str, ...]


def verdict(backtest: BacktestSummary, preset: str) -> Verdict:
    """Say what a backtest shows under one preset.

    Args:
        backtest: The backtest.
        preset: The risk profile that is judged.
    """
    agent = backtest.result(preset, "agent")
    greedy = backtest.result(preset, "greedy")
    chance = backtest.result(preset, "random")
    if agent is None:
        return _baselines_only(greedy, chance, preset)
    beats_cash = round(agent.return_pct, 9) > 0
    beats_greedy = greedy is None or agent.return_pct > greedy.return_pct
    details = [
        _against_greedy(agent, greedy),
        _against_random(agent, chance),
        skill_words(backtest, preset),
        *_evidence(backtest, agent),
    ]
    if agent.trades == 0:
        headline = "No better than cash: the policy never traded."
    elif not beats_cash:
        headline = f"No better than cash: the policy returned {percent(agent.return_pct)} net of all costs."
    elif not beats_greedy:
        headline = (
            f"Better than cash but no better than greedy: the policy returned {percent(agent.return_pct)} "
            "net of all costs."
        )
    else:
        beaten = "cash" if greedy is None else "cash and greedy"
        headline = f"Better than {beaten}: the policy returned {percent(agent.return_pct)} net of all costs."
    tone: Tone = "bad" if not beats_cash else "good" if beats_greedy else "mixed"
    if backtest.in_sample:
        headline = f"IN-SAMPLE, so no evidence. {headline}"
        tone = "bad"
    return Verdict(headline, tone, tuple(text for text in details if text))


def _baselines_only(greedy: PolicyResult | None, chance: PolicyResult | None, preset: str) -> Verdict:
    told = []
    if greedy is not None:
        told.append(f"greedy returned {percent(greedy.return_pct)}")
    if chance is not None:
        told.append(f"random {percent(chance.return_pct)} on average")
    text = f" Under {preset}, {' and '.join(told)}." if told else ""
    return Verdict(f"Baselines only: no policy was judged.{text}", "neutral", ())


def _against_greedy(agent: PolicyResult, greedy: PolicyResult | None) -> str:
    if greedy is None:
        return ""
    gap = agent.return_pct - greedy.return_pct
    relation = "ahead of" if round(gap, 9) > 0 else "behind" if round(gap, 9) < 0 else "level with"
    return (
        f"It is {relation} greedy, which returned {percent(greedy.return_pct)} "
        f"after {counted(greedy.trades, 'trade')}."
    )


def _against_random(agent: PolicyResult, chance: PolicyResult | None) -> str:
    if chance is None or agent.random_runs_beaten is None:
        return ""
    return (
        f"It did better than {agent.random_runs_beaten} of {counted(chance.runs, 'random run')} "
        f"(mean {percent(chance.return_pct)})."
    )


def _evidence(backtest: BacktestSummary, agent: PolicyResult) -> list[str]:
    told = []
    if backtest.in_sample:
        hours = counted(backtest.overlap_hours or 0, "hour")
        told.append(f"The window shares {hours} with the version's training or validation.")
    elif backtest.in_sample is None:
        told.append("It is not known which hours the version was trained on, so none counts as unseen.")
    if agent.liquidations:
        told.append(f"It suffered {counted(agent.liquidations, 'liquidation')}.")
    if agent.ended_early:
        told.append("The drawdown limit ended it before the end of the window.")
    if agent.sharpe is None:
        told.append(f"Sharpe ratio: {agent.sharpe_note or 'not claimed'}.")
    else:
        told.append(f"Sharpe ratio over {counted(agent.days, 'day')}: {agent.sharpe:.2f} a year.")
    return told
