"""From an action to a fill: accepted at t, filled at t + 1 by default, or void."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl.market.arrays import F64, I64, Bool
from rl.sim import quotes as Q
from rl.sim.books import Books, FillCost, free_cash
from rl.sim.mask import FIRST_EXIT, HOLD, affordable, full_notional, order_quantity, split_action
from rl.sim.state import ENTRIES, ENTRY, EXIT, EXITS, INVALID, NO_ORDER, VOIDS, SimState
from schemas.trading import SIZE_FRACTIONS

FRACTIONS = np.array(SIZE_FRACTIONS)


@dataclass(frozen=True)
class Orders:
    """Accepted orders, at most one an episode.

    Attributes:
        env: (K,) episode.
        kind: (K,) ENTRY or EXIT.
        pair: (K,) pair to enter.
        slot: (K,) position slot to exit.
        serial: (K,) which position was in that slot.
        quantity: (K,) coins to enter, fixed at the decision.
    """

    env: I64
    kind: I64
    pair: I64
    slot: I64
    serial: I64
    quantity: F64


def accept(s: SimState, quotes: Q.Quotes, mask: Bool, action: I64, moved: Bool) -> Orders:
    """Turn actions into orders; an action the mask forbids acts as hold and is counted."""
    known = (action >= 0) & (action < mask.shape[1])
    valid = known & mask[np.arange(action.size), np.where(known, action, HOLD)]
    s.counts[:, INVALID] += moved & ~valid
    env = np.nonzero(valid & moved & (action != HOLD))[0]
    a = action[env]
    is_exit = a >= FIRST_EXIT
    size, offer = split_action(np.where(is_exit, 1, a))
    # Quantity is fixed at the decision, by the decision's quotes; that of an exit is not read.
    price = quotes.offers[s.t[env], offer, Q.P_LONG : Q.P_SHORT + 1]
    slot = np.where(is_exit, a - FIRST_EXIT, 0)
    return Orders(
        env=env,
        kind=np.where(is_exit, EXIT, ENTRY),
        pair=quotes.offer_pair[s.t[env], offer],
        slot=slot,
        serial=s.serial[env, slot],
        quantity=order_quantity(full_notional(s)[env], FRACTIONS[size], price),
    )


def exchange_waiting(s: SimState, orders: Orders) -> Orders:
    """Put this step's orders into the queue and return those that waited (fill delay 2)."""
    env = np.nonzero((s.order_kind != NO_ORDER) & ~s.done)[0]
    due = Orders(
        env=env,
        kind=s.order_kind[env],
        pair=s.order_pair[env],
        slot=s.order_slot[env],
        serial=s.order_serial[env],
        quantity=s.order_quantity[env],
    )
    s.order_kind[:] = NO_ORDER
    s.order_kind[orders.env] = orders.kind
    s.order_pair[orders.env] = orders.pair
    s.order_slot[orders.env] = orders.slot
    s.order_serial[orders.env] = orders.serial
    s.order_quantity[orders.env] = orders.quantity
    return due


def fill(s: SimState, books: Books, orders: Orders) -> None:
    """Fill orders at state.t's quotes, or void them."""
    k = np.nonzero(orders.kind == EXIT)[0]
    if k.size:
        env, slot = orders.env[k], orders.slot[k]
        there = s.active[env, slot] & (s.serial[env, slot] == orders.serial[k])
        np.add.at(s.counts[:, VOIDS], env[~there], 1)
        env, slot = env[there], slot[there]
        np.add.at(s.counts[:, EXITS], env, 1)
        age = books.quotes.legs[s.t[env][:, None], s.leg[env, slot], Q.AGE]
        books.close(s, env, slot, s.mark[env, slot], age, "exit")
    k = np.nonzero(orders.kind == ENTRY)[0]
    if k.size:
        _fill_entries(s, books, orders.env[k], orders.pair[k], orders.quantity[k])


def _fill_entries(s: SimState, books: Books, env: I64, pair: I64, quantity: F64) -> None:
    """Open what still can be: quotes and cash are there, and for orders that waited slot and legs too."""
    quotes = books.quotes
    legs = quotes.pair_legs[pair]
    now = quotes.legs[s.t[env][:, None], legs]
    young = Q.is_fresh(now[:, :, Q.AGE], books.rules)
    fresh = young[:, 0] & young[:, 1]
    price = np.where(fresh[:, None], now[:, :, Q.MARK], 1.0)
    cost = books.pair_cost(quantity, price, s.t[env], pair, legs)
    room = s.active[env].sum(axis=1) < s.max_positions[env]
    same = np.equal(s.leg[env][:, :, :, None], legs[:, None, None, :])
    taken = (s.active[env][:, :, None, None] & same).any(axis=(1, 2, 3))
    ok = fresh & room & ~taken & affordable(quantity, price, s.leverage[env], cost, free_cash(s)[env])
    np.add.at(s.counts[:, VOIDS], env[~ok], 1)
    k = np.nonzero(ok)[0]
    if k.size:
        env = env[k]
        slot = np.argmin(s.active[env], axis=1).astype(np.int64)  # the lowest free one
        s.counts[env, ENTRIES] += 1
        kept = FillCost(fees=cost.fees[k], slippage=cost.slippage[k])
        books.open(s, env, slot, pair[k], quantity[k], price[k], kept)
