"""The books: what opening, closing, funding and liquidation do to balance and margin.

Every function changes a SimState in place for the (episode, slot) pairs it is given, and tells the
recorder, where there is one, of each flow. Free cash = balance - margins; equity (NLV) = balance +
unrealised price P&L - the cost of closing now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rl.market.arrays import F64, I64, Bool, Settlements
from rl.sim import quotes as Q
from rl.sim.margin import SIDE, TOLERANCE, liquidation_price
from rl.sim.state import (
    CLOSED,
    FEE,
    FUNDING,
    LIQUIDATION,
    LIQUIDATIONS,
    PENALTY,
    PRICE,
    SLIPPAGE,
    SimState,
)
from schemas.trading import MarketRules


class FlowRecorder(Protocol):
    """Hears of every flow and of positions that open and close."""

    def flow(
        self,
        kind: int,
        env: I64,
        slot: I64,
        leg: int,
        state: SimState,
        price: F64,
        rate: F64,
        amount: F64,
    ) -> None:
        """Flows of one kind on one leg (0 long, 1 short) of the given positions."""
        ...

    def funding(self, state: SimState, held: Bool, events: Settlements) -> None:
        """The settlements booked in row state.t, for held positions, before they are booked."""
        ...

    def opened(self, env: I64, slot: I64, state: SimState) -> None:
        """Positions that have just been opened at state.t."""
        ...

    def closed(self, env: I64, slot: I64, state: SimState, reason: str, price: F64) -> None:
        """Positions about to be cleared, at prices (K, 2)."""
        ...

    def hour(self, state: SimState, moved: Bool, free: F64, gross: F64) -> None:
        """The end of a step, for the episodes that moved."""
        ...


@dataclass(frozen=True)
class FillCost:
    """What a fill costs: fees (K, 2) and slippage (K, 2) per leg, quote currency."""

    fees: F64
    slippage: F64

    @property
    def total(self) -> F64:
        """Sum over legs and kinds, (K,)."""
        return (self.fees[..., 0] + self.fees[..., 1]) + (self.slippage[..., 0] + self.slippage[..., 1])


def fill_cost(quantity: F64, price: F64, fee: F64, half: F64, depth: F64, impact_k: float) -> FillCost:
    """Fees, half-spread and impact of filling both legs.

    Args:
        quantity: (...,) coins.
        price: (..., 2) quotes without slippage.
        fee: (..., 2) taker fees.
        half: (...,) half spread, a fraction.
        depth: (...,) quote currency; inf where unknown, which means no impact.
        impact_k: k of impact = notional x k x notional / depth.
    """
    notional = quantity[..., None] * price
    slippage = notional * half[..., None]
    if impact_k > 0.0:
        slippage = slippage + notional * impact_k * notional / depth[..., None]
    return FillCost(fees=notional * fee, slippage=slippage)


def free_cash(state: SimState) -> F64:
    """Balance not locked as margin, (N,); margins of empty slots are 0."""
    m = state.margin
    locked = m[:, :, 0] + m[:, :, 1]
    return state.balance - sum_slots(locked)


def sum_slots(x: F64) -> F64:
    """Add up five slots in a fixed order, so that one episode and many give the same bits."""
    return (((x[:, 0] + x[:, 1]) + x[:, 2]) + x[:, 3]) + x[:, 4]


def covers(free: F64, need: F64) -> Bool:
    """Whether free cash covers a need, within the tolerance of thresholds."""
    return free >= need - TOLERANCE * np.abs(need)


class Books:
    """The rules applied to the arrays; holds no state of its own."""

    def __init__(self, quotes: Q.Quotes, rules: MarketRules, recorder: FlowRecorder | None) -> None:
        self.quotes = quotes
        self.rules = rules
        self.recorder = recorder
        self.impact_k = rules.impact_k if rules.slippage else 0.0

    def book(
        self, state: SimState, kind: int, env: I64, slot: I64, leg: int, price: F64, rate: F64, amount: F64
    ) -> None:
        """Add flows to the balance; an episode may be named more than once."""
        np.add.at(state.balance, env, amount)
        np.add.at(state.booked[:, kind], env, amount)
        if self.recorder is not None:
            self.recorder.flow(kind, env, slot, leg, state, price, rate, amount)

    def pair_cost(self, quantity: F64, price: F64, row: NDArray, pair: NDArray, legs: NDArray) -> FillCost:
        """Cost of filling both legs of pairs at the given rows and prices."""
        block = self.quotes.pairs[row, pair]
        return fill_cost(
            quantity,
            price,
            self.quotes.fee[legs],
            block[..., Q.HALF_SPREAD],
            block[..., Q.DEPTH],
            self.impact_k,
        )

    # -- funding -----------------------------------------------------------------------------------

    def fund(self, state: SimState, held: Bool, block: F64) -> None:
        """Book the settlements of the hour: paid out of the leg's margin, received to free cash.

        Args:
            state: The books.
            held: (N, 5) positions that were held through the hour.
            block: (N, 5, 2, 10) Quotes.legs of their legs at the hour's end.
        """
        if self.recorder is not None:
            self.recorder.funding(state, held, self.quotes.settlements)
        pay, earn = np.empty_like(state.margin), np.empty_like(state.margin)
        pay[:, :, 0], pay[:, :, 1] = block[:, :, 0, Q.PAY_LONG], block[:, :, 1, Q.PAY_SHORT]
        earn[:, :, 0], earn[:, :, 1] = block[:, :, 0, Q.EARN_LONG], block[:, :, 1, Q.EARN_SHORT]
        quantity = np.where(held, state.quantity, 0.0)[:, :, None]
        pay *= quantity
        earn *= quantity
        net = earn - pay
        state.margin -= np.minimum(pay, np.maximum(state.margin, 0.0))
        per_position = net[:, :, 0] + net[:, :, 1]
        state.flows += per_position
        total = sum_slots(per_position)
        state.balance += total
        state.booked[:, FUNDING] += total

    # -- liquidation -------------------------------------------------------------------------------

    def liquidate(self, state: SimState, held: Bool, block: F64) -> None:
        """Close positions of which a leg's trigger lies inside the hour; never worth more than the margin."""
        quantity = np.where(held, state.quantity, 1.0)[:, :, None]
        trigger = liquidation_price(
            state.margin,
            quantity,
            state.entry,
            SIDE,
            state.maintenance,
            state.maintenance_amount,
        )
        mark = block[:, :, :, Q.MARK]
        low = np.minimum(mark[:, :, 0], block[:, :, 0, Q.LOW])
        high = np.maximum(mark[:, :, 1], block[:, :, 1, Q.HIGH])
        hit = np.empty(trigger.shape, np.bool_)
        hit[:, :, 0] = low < trigger[:, :, 0] - TOLERANCE * np.abs(trigger[:, :, 0])
        hit[:, :, 1] = high > trigger[:, :, 1] + TOLERANCE * np.abs(trigger[:, :, 1])
        hit &= held[:, :, None]
        env, slot = np.nonzero(hit[:, :, 0] | hit[:, :, 1])
        if env.size == 0:
            return
        before = state.mark[env, slot]  # marks at t, when the hour began
        prices = trigger[env, slot].copy()
        struck = hit[env, slot]
        zero = np.zeros(env.size)
        for leg in (0, 1):
            # The surviving leg closes at the price it had when the other one hit its trigger.
            other = ~struck[:, leg]
            ratio = before[:, leg] / before[:, 1 - leg]
            prices[:, leg] = np.where(other, prices[:, 1 - leg] * ratio, prices[:, leg])
        for leg in (0, 1):
            k = np.nonzero(struck[:, leg])[0]
            loss = -np.maximum(state.margin[env[k], slot[k], leg], 0.0)
            self.book(state, LIQUIDATION, env[k], slot[k], leg, prices[k, leg], zero[k], loss)
            np.add.at(state.flows, (env[k], slot[k]), loss)
            k = np.nonzero(~struck[:, leg])[0]
            e, s = env[k], slot[k]
            q = state.quantity[e, s]
            gain = SIDE[leg] * q * (prices[k, leg] - state.entry[e, s, leg])
            fee = self.quotes.fee[state.leg[e, s, leg]]
            paid = -fee * q * prices[k, leg]
            self.book(state, PRICE, e, s, leg, prices[k, leg], zero[k], gain)
            self.book(state, FEE, e, s, leg, prices[k, leg], fee, paid)
            np.add.at(state.flows, (e, s), gain + paid)
        np.add.at(state.counts[:, LIQUIDATIONS], env, 1)
        self.clear(state, env, slot, "liquidation", prices)

    # -- opening and closing -----------------------------------------------------------------------

    def open(
        self, state: SimState, env: I64, slot: I64, pair: I64, quantity: F64, price: F64, cost: FillCost
    ) -> None:
        """Open positions at quotes (K, 2); margin and cash were checked by the caller."""
        legs = self.quotes.pair_legs[pair]
        state.active[env, slot] = True
        state.pair[env, slot] = pair
        state.leg[env, slot] = legs
        state.serial[env, slot] = state.serials[env]
        state.serials[env] += 1
        state.opened[env, slot] = state.t[env]
        state.quantity[env, slot] = quantity
        state.entry[env, slot] = price
        state.mark[env, slot] = price
        state.margin[env, slot] = quantity[:, None] * price / state.leverage[env][:, None]
        tier = self.quotes.margins.of_legs(legs, quantity[:, None] * price)
        state.maintenance[env, slot], state.maintenance_amount[env, slot] = tier
        state.flows[env, slot] = 0.0
        state.costs[env, slot] = cost.total
        if self.recorder is not None:
            self.recorder.opened(env, slot, state)
        self._book_costs(state, env, slot, price, cost)

    def close(self, state: SimState, env: I64, slot: I64, price: F64, age: F64, reason: str) -> None:
        """Close positions at quotes (K, 2) of the given ages in hours; a stale leg costs its penalty."""
        quantity = state.quantity[env, slot]
        cost = self.pair_cost(quantity, price, state.t[env], state.pair[env, slot], state.leg[env, slot])
        zero = np.zeros(env.size)
        for leg in (0, 1):
            gain = SIDE[leg] * quantity * (price[:, leg] - state.entry[env, slot, leg])
            self.book(state, PRICE, env, slot, leg, price[:, leg], zero, gain)
            np.add.at(state.flows, (env, slot), gain)
            k = np.nonzero(Q.is_stale(age[:, leg], self.rules))[0]
            if k.size:
                fine = -self.rules.stale_penalty * quantity[k] * price[k, leg]
                rate = np.full(k.size, self.rules.stale_penalty)
                self.book(state, PENALTY, env[k], slot[k], leg, price[k, leg], rate, fine)
                np.add.at(state.flows, (env[k], slot[k]), fine)
        np.add.at(state.flows, (env, slot), -cost.total)
        self._book_costs(state, env, slot, price, cost)
        self.clear(state, env, slot, reason, price)

    def _book_costs(self, state: SimState, env: I64, slot: I64, price: F64, cost: FillCost) -> None:
        for leg in (0, 1):
            fee = self.quotes.fee[state.leg[env, slot, leg]]
            self.book(state, FEE, env, slot, leg, price[:, leg], fee, -cost.fees[:, leg])
            notional = state.quantity[env, slot] * price[:, leg]
            self.book(
                state,
                SLIPPAGE,
                env,
                slot,
                leg,
                price[:, leg],
                cost.slippage[:, leg] / notional,
                -cost.slippage[:, leg],
            )

    def clear(self, state: SimState, env: I64, slot: I64, reason: str, price: F64) -> None:
        """Count a closed position and free its slot; its flows are complete by now."""
        if self.recorder is not None:
            self.recorder.closed(env, slot, state, reason, price)
        notional = state.quantity[env, slot] * (state.entry[env, slot, 0] + state.entry[env, slot, 1])
        net = (state.flows[env, slot] - state.costs[env, slot]) / notional
        np.add.at(state.closed_pnl, env, net)
        np.add.at(state.counts[:, CLOSED], env, 1)
        state.active[env, slot] = False
        state.quantity[env, slot] = 0.0
        state.margin[env, slot] = 0.0
        state.maintenance[env, slot] = 0.0
        state.maintenance_amount[env, slot] = 0.0
        state.leg[env, slot] = 0
        state.pair[env, slot] = 0
        state.entry[env, slot] = 1.0
        state.mark[env, slot] = 1.0
        state.flows[env, slot] = 0.0
        state.costs[env, slot] = 0.0
