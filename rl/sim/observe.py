"""The 75 private numbers of the observation; the 200 of the market are the scaled slots of the hour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl.market.arrays import F64, SLOT_FEATURES
from rl.sim import quotes as Q
from rl.sim.books import FillCost, fill_cost, sum_slots
from rl.sim.margin import SIDE, liquidation_distance
from rl.sim.state import CLOSED, SimState
from schemas.trading import N_OPPORTUNITY_SLOTS, N_POSITION_FEATURES, N_POSITION_SLOTS, N_PRIVATE

TINY = 1e-9

CONFIG_NAMES = ("leverage", "utilization", "max_positions", "stop_loss", "liquidation_buffer")
PORTFOLIO_NAMES = (
    "nlv", "free_cash", "margin", "positions", "mean_closed_pnl", "drawdown", "max_drawdown", "hour_of_8",
    "nearest_liquidation", "gross_notional",
)  # fmt: skip
POSITION_NAMES = (
    "is_active", "net_pnl", "hours_held", "net_funding", "net_rate_8h", "spread", "trail24", "notional",
    "funding_due", "long_pnl", "short_pnl", "liquidation_distance",
)  # fmt: skip
# What each of the 275 numbers is, for people.
OBSERVATION_NAMES = (
    *CONFIG_NAMES,
    *PORTFOLIO_NAMES,
    *(f"{name} of position slot {i + 1}" for i in range(N_POSITION_SLOTS) for name in POSITION_NAMES),
    *(f"{name} of opportunity slot {i + 1}" for i in range(N_OPPORTUNITY_SLOTS) for name in SLOT_FEATURES),
)


@dataclass(frozen=True)
class Valuation:
    """What open positions are worth at state.t; zeros in empty slots.

    Attributes:
        block: (N, 5, 2, 10) Quotes.legs of the legs.
        pairs: (N, 5, 3) Quotes.pairs of the pairs.
        unrealised: (N, 5) price P&L.
        closing: (N, 5) cost of closing now.
        notional: (N, 5) quantity x sum of entry prices; 1 in empty slots.
        share: (N, 5) the position's share of NLV: price, funding, costs paid and to be paid.
        distance: (N, 5) liquidation distance of the leg nearer to it; 1 in empty slots.
    """

    block: F64
    pairs: F64
    unrealised: F64
    closing: F64
    notional: F64
    share: F64
    distance: F64


def value(state: SimState, quotes: Q.Quotes, impact_k: float) -> Valuation:
    """Mark open positions at state.mark and price their closing."""
    active = state.active
    row = state.t[:, None]
    block = quotes.legs[row[:, :, None], state.leg]
    pairs = quotes.pairs[row, state.pair]
    quantity = state.quantity
    move = state.mark - state.entry
    unrealised = quantity * (move[:, :, 0] - move[:, :, 1])
    cost: FillCost = fill_cost(
        quantity,
        state.mark,
        quotes.fee[state.leg],
        pairs[:, :, Q.HALF_SPREAD],
        pairs[:, :, Q.DEPTH],
        impact_k,
    )
    closing = cost.total
    notional = np.where(active, quantity * (state.entry[:, :, 0] + state.entry[:, :, 1]), 1.0)
    q = np.where(active, quantity, 1.0)[:, :, None]
    legs = liquidation_distance(
        state.margin, q, state.entry, state.mark, SIDE, state.leverage[:, None, None],
        state.maintenance, state.maintenance_amount,
    )  # fmt: skip
    return Valuation(
        block=block,
        pairs=pairs,
        unrealised=unrealised,
        closing=closing,
        notional=notional,
        share=unrealised + state.flows - state.costs - closing,
        distance=np.where(active, np.minimum(legs[:, :, 0], legs[:, :, 1]), 1.0),
    )


def drawdown(state: SimState) -> F64:
    """1 - NLV / running peak, (N,)."""
    return 1.0 - state.nlv / state.peak


def private_observation(state: SimState, val: Valuation, quotes: Q.Quotes, free: F64) -> NDArray[np.float32]:
    """Return (N, 75): config, portfolio and five position slots, computed in float64 and cast once."""
    n = state.t.shape[0]
    out = np.zeros((n, N_PRIVATE), np.float64)
    out[:, 0] = state.leverage / 10.0
    out[:, 1] = state.utilization
    out[:, 2] = state.max_positions / 5.0
    out[:, 3] = state.stop_loss * 10.0
    out[:, 4] = state.buffer * 2.0

    nlv = np.maximum(state.nlv, TINY * state.initial)
    gross = sum_slots(np.where(state.active, val.notional, 0.0))
    out[:, 5] = state.nlv / state.initial
    out[:, 6] = free / nlv
    out[:, 7] = (state.balance - free) / nlv
    out[:, 8] = state.active.sum(axis=1) / np.maximum(state.max_positions, 1)
    out[:, 9] = state.closed_pnl / np.maximum(state.counts[:, CLOSED], 1)
    out[:, 10] = drawdown(state)
    out[:, 11] = state.max_drawdown
    out[:, 12] = (quotes.hour_of_day[state.t] % 8) / 8.0
    nearest = np.where(state.active, val.distance, np.inf).min(axis=1)  # above 1 when every leg gains
    out[:, 13] = np.where(state.active.any(axis=1), nearest, 1.0)
    out[:, 14] = gross / nlv
    out[:, 15:] = _positions(state, val).reshape(n, -1)
    return out.astype(np.float32)


def _positions(state: SimState, val: Valuation) -> F64:
    """The (N, 5, 12) position features; an empty slot is all zeros."""
    n = state.t.shape[0]
    p = np.zeros((n, N_POSITION_SLOTS, N_POSITION_FEATURES), np.float64)
    mark, entry, notional, quantity = state.mark, state.entry, val.notional, state.quantity
    rate, due = val.block[..., Q.RATE_8H], val.block[..., Q.DUE_RATE]
    nlv = np.maximum(state.nlv, TINY * state.initial)[:, None]
    p[:, :, 0] = 1.0
    p[:, :, 1] = val.share / notional
    p[:, :, 2] = (state.t[:, None] - state.opened) / 72.0
    p[:, :, 3] = state.flows / notional
    p[:, :, 4] = rate[:, :, 1] - rate[:, :, 0]
    p[:, :, 5] = (mark[:, :, 1] - mark[:, :, 0]) / ((mark[:, :, 0] + mark[:, :, 1]) / 2.0)
    p[:, :, 6] = val.pairs[:, :, Q.TRAIL_24H]
    p[:, :, 7] = notional / nlv
    p[:, :, 8] = quantity * (mark[:, :, 1] * due[:, :, 1] - mark[:, :, 0] * due[:, :, 0]) / notional
    p[:, :, 9] = quantity * (mark[:, :, 0] - entry[:, :, 0]) / notional
    p[:, :, 10] = quantity * (entry[:, :, 1] - mark[:, :, 1]) / notional
    p[:, :, 11] = val.distance
    return np.where(state.active[:, :, None], p, 0.0)
