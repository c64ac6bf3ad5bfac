"""The decision for the newest hour of a market: what `decide` says there, in names instead of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from rl.checkpoint import Checkpoint
from rl.decide import HOLD, Decision, decide
from rl.holdings import beyond_liquidation, check_holdings, known_pairs, not_holdable, place
from rl.market.arrays import MarketArrays
from rl.policy import FIRST_EXIT
from rl.sim.env import VectorSim
from rl.sim.state import ConfigArrays, SimState
from schemas.errors import DataError
from schemas.prediction import Choice, Portfolio, PresetDecision
from schemas.trading import N_ACTIONS, N_OPPORTUNITY_SLOTS, SIZE_NAMES, MarketRules, TradingConfig


@dataclass(frozen=True)
class Decided:
    """Decisions, and what a person should know about the holdings they rest on.

    Attributes:
        presets: A decision for each risk profile that could hold what is held.
        odd: What is odd about the holdings, a sentence each.
    """

    presets: tuple[PresetDecision, ...]
    odd: tuple[str, ...]


def decide_now(
    market: MarketArrays,
    checkpoint: Checkpoint | None,
    presets: Mapping[str, TradingConfig],
    rules: MarketRules,
    portfolio: Portfolio,
) -> Decided:
    """Decide for the last hour of a market under each risk profile.

    Args:
        market: Assembled under the same rules.
        checkpoint: The policy and its scaler; without one everything is held.
        presets: Risk profiles by name.
        rules: What venues charge.
        portfolio: What is held; the same under every profile.

    Raises:
        DataError: The holdings are impossible; which, why, and what to do.
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
    odd: list[str] = []
    refused: dict[str, str] = {}
    if portfolio != Portfolio():
        pairs = known_pairs(market, portfolio)
        odd += check_holdings(market, rules, portfolio, pairs)
        odd += place(sim, market, rules, portfolio, pairs)
        refused = not_holdable(sim, presets)
        if len(refused) == len(names):
            raise DataError(
                f"{refused[names[-1]]}.", "positions", "Mend the file, or ask for a --preset that fits it."
            )
        odd += [f"{name} is left out: {why}." for name, why in refused.items()]
        odd += beyond_liquidation(
            sim, portfolio, {i: name for i, name in enumerate(names) if name not in refused}
        )
    private, mask = sim.private(), sim.mask()
    made = []
    for i, name in enumerate(names):
        if name in refused:
            continue
        if policy is None:
            decision, offered = Decision(HOLD, np.nan, np.eye(1, N_ACTIONS)[0]), np.array([HOLD])
        else:
            decision = decide(policy, slots[last : last + 1], private[i : i + 1], mask[i : i + 1])
            offered = np.flatnonzero(mask[i])
        choices = [choice_of(market, sim.state, i, last, int(a), decision) for a in offered]
        made.append(
            PresetDecision(
                preset=name,
                config=presets[name],
                decision=choice_of(market, sim.state, i, last, decision.action, decision),
                value=None if policy is None else decision.value,
                equity=float(sim.state.nlv[i]),
                choices=tuple(sorted(choices, key=lambda c: (-c.probability, c.action))),
            )
        )
    return Decided(tuple(made), tuple(odd))


def choice_of(
    market: MarketArrays, state: SimState, env: int, row: int, action: int, decision: Decision
) -> Choice:
    """Name an action.

    Args:
        market: The market.
        state: The books; an exit is named by its position.
        env: Which episode of them.
        row: The hour; an entry is named by what is on offer there.
        action: 0..35.
        decision: How probable the policy finds it.
    """
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
