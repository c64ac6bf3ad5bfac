"""The winning leg is closed by its venue in an hour that moves far.

When losers cannot pay, a venue closes winners against them ("auto-deleveraging"). The trader keeps the loser.
Here: in an hour in which a held leg gains more than 15 %, mark to mark, it is closed where the gain was 15 %,
with a taker fee, and the other leg is closed at the hour's end, with the usual costs, or lost if its trigger
lies in the hour. A loser whose trigger comes before the 15 % is liquidated in the ordinary way, since both
legs are gone by then. So it never pays to be deleveraged.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rl.market.arrays import F64
from rl.sim import quotes as Q
from rl.sim.books import Books
from rl.sim.env import HourRule
from rl.sim.margin import SIDE, TOLERANCE, liquidation_price
from rl.sim.state import FEE, LIQUIDATION, LIQUIDATIONS, PRICE, SLIPPAGE, SimState

DELEVERAGED: Final = "deleveraged"  # reason of a trade's end
MOVE: Final = 0.15


def deleveraging(move: float = MOVE) -> HourRule:
    """Return what an hour does where winners are closed beyond a gain of `move`, a fraction of price."""

    def hour(books: Books, state: SimState, held: np.ndarray, block: F64) -> None:
        books.fund(state, held, block)
        gain = SIDE * (block[..., Q.MARK] / state.mark - 1.0)  # (N, 5, 2)
        trigger = liquidation_price(
            state.margin, np.where(held, state.quantity, 1.0)[:, :, None], state.entry, SIDE,
            state.maintenance, state.maintenance_amount,
        )  # fmt: skip
        reached = np.stack(
            [
                np.minimum(block[:, :, 0, Q.MARK], block[:, :, 0, Q.LOW]),
                np.maximum(block[:, :, 1, Q.MARK], block[:, :, 1, Q.HIGH]),
            ],
            axis=2,
        )
        lost = SIDE * (trigger - reached) > TOLERANCE * np.abs(trigger)
        room = SIDE * (1.0 - trigger / state.mark)  # how far a leg may move against its holder
        for winner in (0, 1):
            loser = 1 - winner
            far = held & state.active & (gain[:, :, winner] > move * (1.0 + TOLERANCE))
            env, slot = np.nonzero(far & ~(lost[:, :, loser] & (room[:, :, loser] <= move)))
            if env.size:
                _close(books, state, env, slot, block, winner, lost[env, slot, loser], trigger, move)
        books.liquidate(state, held & state.active, block)

    return hour


def _close(
    books: Books,
    state: SimState,
    env: np.ndarray,
    slot: np.ndarray,
    block: F64,
    winner: int,
    lost: np.ndarray,
    trigger: F64,
    move: float,
) -> None:
    loser = 1 - winner
    quantity, legs = state.quantity[env, slot], state.leg[env, slot]
    price = np.empty((env.size, 2))
    price[:, winner] = state.mark[env, slot, winner] * (1.0 + SIDE[winner] * move)
    price[:, loser] = np.where(lost, trigger[env, slot, loser], block[env, slot, loser, Q.MARK])
    cost = books.pair_cost(quantity, price, state.t[env], state.pair[env, slot], legs)
    rate = books.quotes.fee[legs]
    pnl = SIDE * quantity[:, None] * (price - state.entry[env, slot])
    zero = np.zeros(env.size)

    def book(kind: int, leg: int, which: np.ndarray, per_unit: F64, amount: F64) -> None:
        k = np.flatnonzero(which)
        e, s = env[k], slot[k]
        books.book(state, kind, e, s, leg, price[k, leg], per_unit[k], amount[k])
        np.add.at(state.flows, (e, s), amount[k])

    every = np.ones(env.size, np.bool_)
    book(PRICE, winner, every, zero, pnl[:, winner])
    book(FEE, winner, every, rate[:, winner], -cost.fees[:, winner])
    book(LIQUIDATION, loser, lost, zero, -np.maximum(state.margin[env, slot, loser], 0.0))
    book(PRICE, loser, ~lost, zero, pnl[:, loser])
    book(FEE, loser, ~lost, rate[:, loser], -cost.fees[:, loser])
    notional = quantity * price[:, loser]
    book(SLIPPAGE, loser, ~lost, cost.slippage[:, loser] / notional, -cost.slippage[:, loser])
    np.add.at(state.counts[:, LIQUIDATIONS], env[lost], 1)
    books.clear(state, env, slot, DELEVERAGED, price)
