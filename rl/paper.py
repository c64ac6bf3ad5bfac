"""Paper trading, an hour at a time: the simulator taken up where the hour before left it.

A late row may have changed the hour that was decided. So an order is kept as what was accepted and not as an
action, and nothing of a decided hour is worked out again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from rl.decide import HOLD, Decision, decide
from rl.market.arrays import HOUR_MS
from rl.market.scaler import Scaler
from rl.paper_books import (
    Desk,
    Passed,
    books_of,
    figures_of,
    milliseconds,
    named,
    orders_of,
    place,
)
from rl.policy import Policy
from rl.predict import choice_of
from rl.sim.books import sum_slots
from rl.sim.state import COUNTERS, KINDS, VOIDS
from schemas.paper import PaperBooks, PaperOrder
from schemas.prediction import Choice
from schemas.trading import N_ACTIONS, TradingConfig


@dataclass(frozen=True)
class Follower:
    """A version that decides."""

    policy: Policy
    scaler: Scaler


@dataclass(frozen=True)
class Decided:
    """What was decided at an hour; `held` says why nobody was asked."""

    choice: Choice
    value: float | None
    held: str | None
    order: PaperOrder | None


def begin_flat(desk: Desk, hour: datetime) -> PaperBooks:
    """Return the books of a portfolio that begins at an hour."""
    capital = desk.rules.initial_capital
    return PaperBooks(
        hour=hour,
        ended=False,
        balance=capital,
        initial=capital,
        nlv=capital,
        peak=capital,
        max_drawdown=0.0,
        closed_pnl=0.0,
        booked=dict.fromkeys(KINDS, 0.0),
        counts=dict.fromkeys(COUNTERS, 0),
        serials=0,
    )


def advance(
    desk: Desk, config: TradingConfig, books: PaperBooks, order: PaperOrder | None
) -> tuple[PaperBooks, Passed]:
    """Let one hour pass.

    Args:
        desk: The market; it reaches the hour after the books'.
        config: The portfolio's risk profile.
        books: At an hour.
        order: What was ordered then.

    Raises:
        DataError: A pair held is not in the data any more.
    """
    sim, recorder = place(desk, config, books)
    if books.ended:
        later = datetime.fromtimestamp((milliseconds(books.hour) + HOUR_MS) / 1000, UTC)
        return books.model_copy(update={"hour": later}), recorder.passed(0)
    sim.advance(orders_of(desk, () if order is None else (order,)))
    now = books_of(desk, sim, recorder)
    return now, recorder.passed(now.counts[COUNTERS[VOIDS]] - books.counts[COUNTERS[VOIDS]])


def decide_hour(
    desk: Desk, config: TradingConfig, books: PaperBooks, follower: Follower | None
) -> tuple[PaperBooks, Decided]:
    """Decide at the books' hour, as `rl.backtest.agent_actor` does.

    Args:
        desk: The market.
        config: The portfolio's risk profile.
        books: At an hour.
        follower: Who decides; None holds.

    Returns:
        The books with the order counted, and the decision.
    """
    sim, recorder = place(desk, config, books)
    t = desk.row(books.hour)
    mask = sim.mask()
    decision, value = Decision(HOLD, np.nan, np.eye(1, N_ACTIONS)[0]), None
    held = None
    if books.ended:
        held = f"the drawdown limit of {desk.rules.drawdown_limit:.0%} ended this portfolio"
    elif follower is None:
        held = "no version is followed"
    elif not desk.market.arrived[t]:
        held = "no fresh data: nothing arrived in this hour"
    elif mask.sum() > 1:
        slots = follower.scaler.scale(desk.market.slot_raw[t : t + 1])
        decision = decide(follower.policy, slots, sim.private(), mask)
        value = decision.value
    else:
        held = "nothing but holding was possible"
    choice = choice_of(desk.market, sim.state, 0, t, decision.action, decision)
    accepted = sim.accept(np.array([decision.action]))
    orders = named(desk, sim.state, accepted)
    now = books_of(desk, sim, recorder)
    return now, Decided(choice, value, held, orders[0] if orders else None)


def begin_again(books: PaperBooks) -> PaperBooks:
    """Return the books of a portfolio that the drawdown limit had ended, with what is left as its capital."""
    return books.model_copy(
        update={"ended": False, "initial": books.nlv, "peak": books.nlv, "max_drawdown": 0.0}
    )


def revalue(desk: Desk, config: TradingConfig, books: PaperBooks) -> PaperBooks:
    """Return the books valued under other rules: what closing costs is part of the NLV."""
    sim, _ = place(desk, config, books)
    worth = sim.valuation()
    nlv = float((sim.state.balance + sum_slots(worth.unrealised - worth.closing))[0])
    return books.model_copy(update={"nlv": nlv, "peak": max(books.peak, nlv)})


def figures(desk: Desk, config: TradingConfig, books: PaperBooks) -> dict[str, Any]:
    """Return the columns of a backtest's equity table at the books' hour."""
    sim, _ = place(desk, config, books)
    return figures_of(sim)
