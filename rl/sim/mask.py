"""Which of the 36 actions would be accepted, exactly; and what an entry would buy."""

from __future__ import annotations

import numpy as np

from rl.market.arrays import F64, I64, Bool
from rl.sim import quotes as Q
from rl.sim.books import FillCost, covers, fill_cost
from rl.sim.margin import TOLERANCE
from rl.sim.state import SimState
from schemas.trading import N_ACTIONS, N_OPPORTUNITY_SLOTS, SIZE_FRACTIONS

HOLD = 0
FIRST_ENTRY = 1
FIRST_EXIT = 1 + 3 * N_OPPORTUNITY_SLOTS


def full_notional(state: SimState) -> F64:
    """Notional of one leg of a large entry, (N,): utilization x NLV / max_positions / 2 x leverage."""
    return state.utilization * state.nlv / np.maximum(state.max_positions, 1) / 2.0 * state.leverage


def order_quantity(full: F64, fraction: F64, price: F64) -> F64:
    """Coins per leg of an entry: its notional over the mean of the two quotes at the decision.

    Args:
        full: Notional of one leg of a large entry.
        fraction: Size of this one.
        price: (..., 2) quotes at the decision.
    """
    return full * fraction / ((price[..., 0] + price[..., 1]) / 2.0)


def affordable(quantity: F64, price: F64, leverage: F64, cost: FillCost, free: F64) -> Bool:
    """Whether free cash covers both margins, fees and slippage."""
    margin = quantity * price[..., 0] / leverage + quantity * price[..., 1] / leverage
    return covers(free, margin + cost.total)


def action_mask(state: SimState, quotes: Q.Quotes, held: Bool, free: F64, impact_k: float) -> Bool:
    """Return (N, 36): whether each action would be accepted at state.t.

    Args:
        state: The books.
        quotes: The market.
        held: (N, I) instruments that are a leg of an open position, in either direction.
        free: (N,) free cash.
        impact_k: Impact coefficient.
    """
    n = state.t.shape[0]
    t = state.t
    offers = quotes.offers[t]  # (N, 10, 9)
    legs = quotes.offer_legs[t]  # (N, 10, 2)
    row = np.arange(n)[:, None]
    conflict = held[row, legs[:, :, 0]] | held[row, legs[:, :, 1]]
    room = state.active.sum(axis=1) < state.max_positions
    open_to = (offers[:, :, Q.FRESH] > 0) & ~conflict & room[:, None]

    price = offers[:, :, None, Q.P_LONG : Q.P_SHORT + 1]  # (N, 10, 1, 2)
    fraction = np.array(SIZE_FRACTIONS)
    quantity = order_quantity(full_notional(state)[:, None, None], fraction, price)  # (N, 10, 3)
    cost = fill_cost(
        quantity, price, offers[:, :, None, Q.FEE_LONG : Q.FEE_SHORT + 1],
        offers[:, :, None, Q.OFFER_HALF], offers[:, :, None, Q.OFFER_DEPTH], impact_k,
    )  # fmt: skip
    ok = affordable(quantity, price, state.leverage[:, None, None], cost, free[:, None, None])
    for leg, minimum in ((0, Q.MIN_LONG), (1, Q.MIN_SHORT)):
        least = offers[:, :, None, minimum]
        ok &= quantity * price[..., leg] >= least * (1 - TOLERANCE)
    ok &= (quantity > 0) & open_to[:, :, None]

    mask = np.empty((n, N_ACTIONS), np.bool_)
    mask[:, HOLD] = True
    mask[:, FIRST_ENTRY:FIRST_EXIT] = ok.transpose(0, 2, 1).reshape(n, -1)  # size-major: small, medium, large
    mask[:, FIRST_EXIT:] = state.active
    return mask


def split_action(action: I64) -> tuple[I64, I64]:
    """Return (size index, opportunity slot) of entry actions 1..30."""
    entry = action - FIRST_ENTRY
    return entry // N_OPPORTUNITY_SLOTS, entry % N_OPPORTUNITY_SLOTS
