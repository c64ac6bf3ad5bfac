"""The decision for the newest hour of a market: what `decide` says there, in names instead of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import numpy as np

from rl.checkpoint import Checkpoint
from rl.decide import HOLD, Decision, decide
from rl.market.arrays import HOUR_MS, MarketArrays
from rl.policy import FIRST_EXIT
from rl.sim.env import VectorSim
from rl.sim.observe import drawdown
from rl.sim.state import CLOSED, ConfigArrays, SimState
from schemas.errors import DataError
from schemas.prediction import Choice, Portfolio, PresetDecision
from schemas.trading import N_ACTIONS, N_OPPORTUNITY_SLOTS, SIZE_NAMES, MarketRules, TradingConfig

WHERE: Final = "positions"


def decide_now(
    market: MarketArrays,
    checkpoint: Checkpoint | None,
    presets: Mapping[str, TradingConfig],
    rules: MarketRules,
    portfolio: Portfolio,
) -> list[PresetDecision]:
    """Decide for the last hour of a market under each risk profile.

    Args:
        market: Assembled under the same rules.
        checkpoint: The policy and its scaler; without one everything is held.
        presets: Risk profiles by name.
        rules: What venues charge.
        portfolio: What is held; the same under every profile.

    Raises:
        DataError: A holding names a pair that the market does not know, or an instrument twice.
    """
    names = list(presets)
    policy = None if checkpoint is None else checkpoint.policy()
    slots = np.zeros(market.slot_raw.shape, np.float32)
    if checkpoint is not None:
        slots = checkpoint.scaler().scale(market.slot_raw)
    sim = VectorSim(market, slots, rules, len(names))
    last = market.n_hours - 1
    everyone = np.arange(len(names))
    where = np.full(len(names), last)
    sim.reset(everyone, where, where + 1, ConfigArrays.of(list(presets.values())))
    if portfolio != Portfolio():
        sim.put(everyone, _placed(sim, market, rules, portfolio))
        state = sim.state.take(everyone)
        worth = sim.valuation()
        state.nlv = state.balance + (worth.unrealised - worth.closing).sum(axis=1)
        state.peak = np.maximum(state.nlv, portfolio.peak_equity or state.initial)
        state.max_drawdown = np.maximum(drawdown(state), portfolio.max_drawdown)
        sim.put(everyone, state)
    private, mask = sim.private(), sim.mask()
    made = []
    for i, name in enumerate(names):
        if policy is None:
            decision, offered = Decision(HOLD, np.nan, np.eye(1, N_ACTIONS)[0]), np.array([HOLD])
        else:
            decision = decide(policy, slots[last : last + 1], private[i : i + 1], mask[i : i + 1])
            offered = np.flatnonzero(mask[i])
        choices = [_choice(market, sim.state, i, last, int(a), decision) for a in offered]
        made.append(
            PresetDecision(
                preset=name,
                config=presets[name],
                decision=_choice(market, sim.state, i, last, decision.action, decision),
                value=None if policy is None else decision.value,
                equity=float(sim.state.nlv[i]),
                choices=tuple(sorted(choices, key=lambda c: (-c.probability, c.action))),
            )
        )
    return made


def _placed(sim: VectorSim, market: MarketArrays, rules: MarketRules, portfolio: Portfolio) -> SimState:
    """Return the simulator's state with the holdings in its position slots."""
    state = sim.state.take(np.arange(sim.n))
    pairs = {
        (market.symbols[a], market.venues[a], market.venues[b]): p
        for p, (a, b) in enumerate(zip(market.pair_long, market.pair_short, strict=True))
    }
    capital = portfolio.initial_capital or rules.initial_capital
    state.initial[:] = capital
    booked = 0.0
    used: set[int] = set()
    for slot, holding in enumerate(portfolio.positions):
        pair = pairs.get((holding.symbol, holding.long_exchange.lower(), holding.short_exchange.lower()))
        if pair is None:
            raise DataError(
                f"{holding.symbol} long on {holding.long_exchange} and short on {holding.short_exchange} "
                "is not a pair of this data.",
                WHERE,
                "Give data that shows the pair.",
            )
        legs = [int(market.pair_long[pair]), int(market.pair_short[pair])]
        if used & set(legs):
            raise DataError(f"{holding.symbol} is held twice on one venue.", WHERE, "Net the positions.")
        used |= set(legs)
        entry = np.array([holding.entry_long_price, holding.entry_short_price])
        costs = holding.entry_costs
        if costs is None:
            fees = np.array([rules.fee(market.venues[leg]) for leg in legs])
            costs = float((holding.quantity * entry * fees).sum())
        booked += holding.funding - costs
        state.active[:, slot] = True
        state.pair[:, slot] = pair
        state.leg[:, slot] = legs
        state.serial[:, slot] = slot
        state.opened[:, slot] = round((holding.entry_time.timestamp() * 1000 - market.start_ms) / HOUR_MS)
        state.quantity[:, slot] = holding.quantity
        state.flows[:, slot] = holding.funding
        state.costs[:, slot] = costs
        state.entry[:, slot] = entry
        for leg, margin in enumerate((holding.long_margin, holding.short_margin)):
            by_leverage = holding.quantity * entry[leg] / state.leverage
            state.margin[:, slot, leg] = by_leverage if margin is None else margin
        rate, amount = sim.quotes.margins.of_legs(np.array(legs), holding.quantity * entry)
        state.maintenance[:, slot], state.maintenance_amount[:, slot] = rate, amount
        state.mark[:, slot] = market.mark[market.n_hours - 1, legs]
    state.serials[:] = len(portfolio.positions)
    state.balance[:] = portfolio.balance if portfolio.balance is not None else capital + booked
    state.counts[:, CLOSED] = portfolio.closed_positions
    state.closed_pnl[:] = portfolio.mean_closed_pnl * portfolio.closed_positions
    return state


def _choice(
    market: MarketArrays, state: SimState, env: int, row: int, action: int, decision: Decision
) -> Choice:
    """Name an action."""
    probability = float(decision.probabilities[action])
    if action == 0:
        return Choice(action=0, name="hold", kind="hold", probability=probability)
    if action >= FIRST_EXIT:
        pair = int(state.pair[env, action - FIRST_EXIT])
        kind, size = "exit", None
    else:
        pair = int(market.slot_pair[row, (action - 1) % N_OPPORTUNITY_SLOTS])
        kind, size = "enter", SIZE_NAMES[(action - 1) // N_OPPORTUNITY_SLOTS]
    long, short = int(market.pair_long[pair]), int(market.pair_short[pair])
    name = f"{kind} {market.symbols[long]} ({market.venues[long]} / {market.venues[short]})"
    return Choice(
        action=action,
        name=name if size is None else f"{name} {size}",
        kind=kind,
        symbol=market.symbols[long],
        long_exchange=market.venues[long],
        short_exchange=market.venues[short],
        size=size,
        probability=probability,
    )


def hour_of(market: MarketArrays) -> datetime:
    """Return the hour that `decide_now` decides for."""
    return datetime.fromtimestamp(market.hour_ms(market.n_hours - 1) / 1000, UTC)
