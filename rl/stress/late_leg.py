"""One leg of an entry fills an hour after the other, at the worst entry of the run.

A leg is not filled because the price has run away from it, so which leg is late, and at which entry, is
chosen by what it costs. Until that entry the run is the plain one, so the entry is there to be late at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rl.market.arrays import F64, MarketArrays
from rl.sim import quotes as Q
from rl.sim.books import Books
from rl.sim.env import HourRule
from rl.sim.margin import SIDE, TOLERANCE, liquidation_price
from rl.sim.state import FUNDING, LIQUIDATION, LIQUIDATIONS, SimState
from rl.stress.subject import Held


@dataclass(frozen=True)
class LateLeg:
    """The leg that is late.

    Attributes:
        row: Row at which the other leg fills.
        leg: 0 long, 1 short.
        instrument: Its instrument.
        cost: What the naked hour costs before funding, quote currency.
    """

    row: int
    leg: int
    instrument: int
    cost: float


def worst_late_leg(held: Sequence[Held], market: MarketArrays) -> LateLeg | None:
    """Return the leg whose lateness costs most; None where no position was held for an hour.

    A leg that comes an hour late misses the hour's price move: a long one costs what the price has risen by.

    Args:
        held: The positions of the plain run.
        market: Its market.
    """
    worst: LateLeg | None = None
    for position in held:
        if position.closed <= position.opened:
            continue
        for leg, instrument in enumerate(position.instruments):
            before, after = market.mark[position.opened : position.opened + 2, instrument]
            cost = float(SIDE[leg] * position.quantity * (after - before))
            if worst is None or cost > worst.cost:
                worst = LateLeg(position.opened, leg, instrument, cost)
    return worst


def naked_hour(late: LateLeg) -> HourRule:
    """Return what an hour does where this leg is not there yet.

    In its first hour the position is one leg: the late one has no price move, no funding and no trigger, and
    is entered at the hour's end, at the quotes of then. Its fee and slippage are those of the hour in which
    it was ordered. If the leg that is there is liquidated meanwhile, the order of the late one is pointless:
    the margin is lost and nothing makes up for it.
    """

    def hour(books: Books, state: SimState, held: np.ndarray, block: F64) -> None:
        books.fund(state, held, block)
        first_hour = held & (state.opened == late.row) & (state.t[:, None] == late.row + 1)
        first_hour &= state.leg[:, :, late.leg] == late.instrument
        env, slot = np.nonzero(first_hour)
        if env.size:
            _without(books, state, env, slot, block, late.leg)
        books.liquidate(state, held & state.active, block)

    return hour


def _without(books: Books, state: SimState, env: np.ndarray, slot: np.ndarray, block: F64, late: int) -> None:
    """Take the late leg out of the hour of some positions, and enter it at the hour's end."""
    there = 1 - late
    zero = np.zeros(env.size)
    quantity = state.quantity[env, slot]
    paid = (Q.PAY_LONG, Q.PAY_SHORT)[late]
    earned = (Q.EARN_LONG, Q.EARN_SHORT)[late]
    mark = block[env, slot, late, Q.MARK]
    funded = quantity * (block[env, slot, late, earned] - block[env, slot, late, paid])
    k = np.flatnonzero(funded)
    books.book(state, FUNDING, env[k], slot[k], late, mark[k], zero[k], -funded[k])
    state.flows[env, slot] -= funded

    trigger = liquidation_price(
        state.margin[env, slot, there], quantity, state.entry[env, slot, there], SIDE[there],
        state.maintenance[env, slot, there], state.maintenance_amount[env, slot, there],
    )  # fmt: skip
    now = block[env, slot, there]
    reached = (
        np.minimum(now[:, Q.MARK], now[:, Q.LOW])
        if there == 0
        else np.maximum(now[:, Q.MARK], now[:, Q.HIGH])
    )
    struck = SIDE[there] * (trigger - reached) > TOLERANCE * np.abs(trigger)
    e, s = env[struck], slot[struck]
    if e.size:
        loss = -np.maximum(state.margin[e, s, there], 0.0)
        books.book(state, LIQUIDATION, e, s, there, trigger[struck], zero[struck], loss)
        state.flows[e, s] += loss
        np.add.at(state.counts[:, LIQUIDATIONS], e, 1)
        price = state.entry[e, s].copy()
        price[:, there] = trigger[struck]
        books.clear(state, e, s, "liquidation", price)

    e, s = env[~struck], slot[~struck]
    state.entry[e, s, late] = mark[~struck]
    state.margin[e, s, late] = quantity[~struck] * mark[~struck] / state.leverage[e]
    block[e, s, late, Q.LOW], block[e, s, late, Q.HIGH] = np.inf, -np.inf
