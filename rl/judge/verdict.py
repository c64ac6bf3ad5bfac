"""The outcome of a backtest in plain sentences, the least flattering true one first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rl.judge.gates import counted, percent
from rl.judge.skill import skill_words
from schemas.backtest import BacktestSummary, PolicyName, PolicyResult
from schemas.evidence import Evidence
from schemas.promotion import Gate

Tone = Literal["good", "mixed", "bad", "neutral"]
_RUNGS: Final[dict[PolicyName, str]] = {
    "greedy": "greedy",
    "flip": "hold-until-flip",
    "champion": "the champion",
}
_NAMED: Final = 3  # missed gates that the headline names


@dataclass(frozen=True)
class Verdict:
    """What a reader should know before any table.

    Attributes:
        headline: One sentence.
        tone: Whether the policy beats everybody, as far as evidence was asked for beyond chance (good), cash
            alone or without proof (mixed), or not even cash (bad); neutral where no policy was judged.
        details: Further sentences: against greedy, against random, what the evidence is worth.
    """

    headline: str
    tone: Tone
    details: tuple[str, ...]


def verdict(
    backtest: BacktestSummary, preset: str, evidence: Evidence | None = None, gates: Sequence[Gate] = ()
) -> Verdict:
    """Say what a backtest shows under one preset.

    Args:
        backtest: The backtest.
        preset: The risk profile that is judged.
        evidence: What its returns prove, where that was worked out. Without it the sentence compares returns
            and claims no more.
        gates: The champion's gates, whose first miss is told where the intervals have nothing against it.
    """
    agent = backtest.result(preset, "agent")
    greedy = backtest.result(preset, "greedy")
    chance = backtest.result(preset, "random")
    if agent is None:
        return _baselines_only(greedy, chance, preset)
    bar = backtest.result(preset, "cash")
    hurdle = 0.0 if bar is None else bar.return_pct
    beats_cash = round(agent.return_pct - hurdle, 9) > 0
    ahead = _not_beaten(backtest, preset, agent)
    details = [
        _against_greedy(agent, greedy),
        *_against_others(backtest, preset, agent),
        _against_random(agent, chance),
        skill_words(backtest, preset),
        *_caveats(backtest, agent, evidence),
    ]
    earned = f"the policy returned {percent(agent.return_pct)} net of all costs"
    cash = f"cash, which earned {percent(hurdle)}" if hurdle else "cash"
    if ahead:
        better = f"Better than cash but no better than {_listed(ahead)}"
    else:
        better = f"Better than {'cash' if greedy is None else 'cash and greedy'}"
    tone: Tone = "bad" if not beats_cash else "mixed" if ahead else "good"
    if agent.trades == 0:
        headline = "No better than cash: the policy never traded."
    elif not beats_cash:
        headline = f"No better than {cash}: {earned}."
    elif evidence is None:
        headline = f"{better}: {earned}."
    else:
        doubt = _doubt(evidence, gates, against_greedy=not ahead)
        if doubt:
            tone = "mixed"
            headline = f"{better}, {'and' if ahead else 'but'} {doubt}; {earned}."
        elif ahead:
            proven = "Better than cash, beyond what chance explains"
            headline = f"{proven}, but no better than {_listed(ahead)}: {earned}."
        else:
            headline = f"{better}, beyond what chance explains: {earned}."
    if backtest.in_sample:
        headline = f"IN-SAMPLE, so no evidence. {headline}"
        tone = "bad"
    return Verdict(headline, tone, tuple(text for text in details if text))


def _not_beaten(backtest: BacktestSummary, preset: str, agent: PolicyResult) -> list[str]:
    """Return who returned as much as the policy or more, unless a champion has seen the window."""
    found = []
    for policy, name in _RUNGS.items():
        other = backtest.result(preset, policy)
        rival = backtest.rival(policy) if policy == "champion" else None
        if other is None or (rival is not None and rival.in_sample):
            continue
        if agent.return_pct <= other.return_pct:
            found.append(name)
    return found


def _doubt(evidence: Evidence, gates: Sequence[Gate], *, against_greedy: bool) -> str:
    """Say why the return is not proven, the plainest reason first; empty where nothing speaks against it.

    The Sharpe ratio has to be above that of luck with the confidence of the intervals.
    """
    if evidence.insufficient:
        return f"with {evidence.insufficient}"
    compared = [("cash", evidence.over_cash)]
    if evidence.over_greedy is not None and against_greedy:
        compared.append(("greedy", evidence.over_greedy.excess))
    for name, interval in compared:
        if interval is None:
            return f"not proven: there is no interval of the return over {name}"
        if interval.low <= 0.0:
            year = interval.annual()
            return (
                f"not proven: its return over {name} is between {percent(year.low)} and {percent(year.high)} "
                f"a year with {100 * evidence.confidence:g} % confidence"
            )
    luck, tried = evidence.sharpe_of_luck, counted(evidence.trials, "trial")
    if evidence.sharpe is None or evidence.deflated_sharpe is None or luck is None:
        return "not proven: no Sharpe ratio is claimed"
    if evidence.deflated_sharpe < evidence.confidence:
        return (
            f"not proven: luck alone gives the best of {tried} a Sharpe ratio of {luck:.2f}, and its own is "
            f"{evidence.sharpe:.2f}"
        )
    missed = [gate for gate in gates if gate.verdict == "fail"]
    if missed:
        names = [gate.name for gate in missed[:_NAMED]]
        if len(missed) > _NAMED:
            names.append(f"{len(missed) - _NAMED} more")
        return f"with {len(missed)} of {counted(len(gates), 'gate')} missed ({_listed(names)})"
    return ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


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


def _against_others(backtest: BacktestSummary, preset: str, agent: PolicyResult) -> list[str]:
    told = []
    for policy, name in _RUNGS.items():
        other = None if policy == "greedy" else backtest.result(preset, policy)
        if other is not None and other.return_pct >= agent.return_pct:
            told.append(f"{name[0].upper()}{name[1:]} returned {percent(other.return_pct)}.")
    return told


def _caveats(backtest: BacktestSummary, agent: PolicyResult, evidence: Evidence | None) -> list[str]:
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
    if evidence is not None and evidence.sharpe is not None:
        return told  # the evidence tells the Sharpe ratio beside that of luck
    if agent.sharpe is None:
        told.append(f"Sharpe ratio: {agent.sharpe_note or 'not claimed'}.")
    else:
        told.append(f"Sharpe ratio over {counted(agent.days, 'day')}: {agent.sharpe:.2f} a year.")
    return told
