"""Traders side by side on a market with known answers, one episode each from flat to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rl.baselines import ENTER_LARGE, EXIT, HOLD
from rl.informed import Informed
from rl.market.known import Known
from rl.sim.env import VectorSim
from rl.sim.state import LIQUIDATIONS, ConfigArrays, SimState
from schemas.trading import MarketRules, TradingConfig

RULES = MarketRules()


class Side(Protocol):
    """Decides for one episode."""

    def __call__(self, t: int, sim: VectorSim, env: int) -> int: ...


@dataclass(frozen=True)
class Told:
    """What N traders came to: return in percent, liquidations, trades, and the final books."""

    returns: np.ndarray
    liquidations: np.ndarray
    trades: np.ndarray
    state: SimState


def side_by_side(
    known: Known, configs: Sequence[TradingConfig], sides: Sequence[Side], first: int = 0
) -> Told:
    market, n = known.market, len(sides)
    sim = VectorSim(market, np.zeros((market.n_hours, 10, 20), np.float32), RULES, n)
    sim.reset(np.arange(n), np.full(n, first), np.full(n, market.n_hours - 1), ConfigArrays.of(list(configs)))
    for t in range(first, market.n_hours - 1):
        done = sim.state.done
        sim.step(np.array([HOLD if done[env] else side(t, sim, env) for env, side in enumerate(sides)]))
    s = sim.state
    returns = 100.0 * (s.nlv / RULES.initial_capital - 1.0)
    return Told(returns, s.counts[:, LIQUIDATIONS], s.serials, s)


def by_informed(plan: Informed) -> Side:
    def act(t: int, sim: VectorSim, env: int) -> int:
        return plan.act(t, sim.state.pair[env], sim.state.active[env], sim.mask()[env])

    return act


@dataclass(frozen=True)
class Trade:
    """A pair held from the decision to enter it to the decision to leave it; None is never."""

    pair: int
    enter: int
    leave: int | None


def by_plan(trades: Sequence[Trade]) -> Side:
    """Enter and leave at the given hours, or as soon after as the mask allows; leaving goes first."""
    waiting = list(trades)

    def act(t: int, sim: VectorSim, env: int) -> int:
        s, mask = sim.state, sim.mask()[env]
        held = {int(s.pair[env, slot]): slot for slot in np.nonzero(s.active[env])[0].tolist()}
        due = {trade.pair for trade in trades if trade.leave is not None and trade.enter < trade.leave <= t}
        still = {x.pair for x in trades if x.enter <= t and (x.leave is None or x.leave > t)}
        for pair, slot in held.items():
            if pair in due and pair not in still:
                return EXIT + slot
        offers = sim.market.slot_pair[t].tolist()
        for trade in [x for x in waiting if x.enter <= t]:
            if trade.leave is not None and trade.leave <= t:
                waiting.remove(trade)
            elif trade.pair in offers and mask[ENTER_LARGE + offers.index(trade.pair)]:
                waiting.remove(trade)
                return ENTER_LARGE + offers.index(trade.pair)
        return HOLD

    return act


def trades_of(known: Known, config: TradingConfig, plan: Informed) -> list[Trade]:
    """What the informed trader does."""
    entered: dict[int, int] = {}
    trades: list[Trade] = []

    def watched(t: int, sim: VectorSim, env: int) -> int:
        action = by_informed(plan)(t, sim, env)
        if action >= EXIT:
            pair = int(sim.state.pair[env, action - EXIT])
            trades.append(Trade(pair, entered.pop(pair), t))
        elif action != HOLD:
            entered[int(known.market.slot_pair[t, action - ENTER_LARGE])] = t
        return action

    side_by_side(known, [config], [watched])
    trades += [Trade(pair, enter, None) for pair, enter in entered.items()]
    return sorted(trades, key=lambda trade: trade.enter)
