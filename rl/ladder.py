"""The ladder: whom a policy has to beat, rung by rung, and what nobody can beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rl.judge.bound import bounds
from rl.judge.skill import skill
from rl.market.arrays import MarketArrays
from rl.replay import Actor, Replay
from rl.sim.quotes import lay_out
from schemas.backtest import Ladder, PolicyResult, PresetBounds, TrainedWindow
from schemas.promotion import Alias
from schemas.trading import MarketRules, TradingConfig


@dataclass(frozen=True)
class RivalVersion:
    """A version that an alias points at, to be replayed beside the candidate.

    Attributes:
        policy: The alias.
        version: The version.
        actor: Decides for it; None where it cannot be replayed.
        trained_on: Its train and validation hours.
        missing: Why it cannot be replayed.
    """

    policy: Alias
    version: str
    actor: Actor | None
    trained_on: Sequence[TrainedWindow] = ()
    missing: str = ""


def with_interest(told: Replay, ladder: Ladder, initial: float) -> Replay:
    """Let cash earn its interest, hour by hour; every other curve stays as it is.

    Idle cash of the other policies earns nothing: the simulator has no interest, and a hurdle that is
    not lowered for them can only be too high.
    """
    if ladder.cash_apr == 0.0:
        return told
    curves = told.curves
    hours = np.arange(len(curves.time_ms))
    earned = initial * np.array([ladder.cash_pct(int(hour)) for hour in hours]) / 100.0
    changed = {name: getattr(curves, name).copy() for name in ("nlv", "balance", "free_cash")}
    for group in told.groups:
        if group.policy == "cash":
            for values in changed.values():
                values[:, told.rows(group)] += earned[:, None]
    return replace(told, curves=replace(curves, **changed))


def preset_bounds(
    market: MarketArrays,
    window: tuple[int, int],
    rules: MarketRules,
    presets: Mapping[str, TradingConfig],
    results: Sequence[PolicyResult],
) -> tuple[PresetBounds, ...]:
    """Work out the bounds of every preset, and the skill of whoever is held against greedy.

    Args:
        market: The market.
        window: First and last row, both included.
        rules: What venues charge and how orders fill.
        presets: Risk profiles by name.
        results: What everybody returned.
    """
    quotes = lay_out(market, rules)
    told = []
    for name, config in presets.items():
        found = bounds(market, window, rules, config, quotes)
        returns = {r.policy: r.return_pct for r in results if r.preset == name}
        told.append(
            PresetBounds(
                preset=name,
                bound_pct=found.whole.bound_pct,
                plan_pct=found.whole.plan_pct,
                funding_bound_pct=found.funding.bound_pct,
                funding_plan_pct=found.funding.plan_pct,
                skill={
                    policy: skill(value, returns["greedy"], found.funding.bound_pct)
                    for policy, value in returns.items()
                    if policy in ("agent", "champion", "challenger", "flip")
                },
            )
        )
    return tuple(told)
