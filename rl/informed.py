"""The informed optimum of a market with known answers: the best trade of who knows its regimes.

Funding, fees and slippage are linear in size and positions do not disturb each other, so the best trade is
large or nothing and follows from what is held: a dynamic program, backwards over the hours, on the books
that a risk profile allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from rl.baselines import ENTER_LARGE, EXIT, HOLD
from rl.market.arrays import F64, I64, SLOT_FEATURES, Bool, MarketArrays
from rl.market.known import Known
from schemas.trading import TradingConfig

_ROUND_TRIP: Final = SLOT_FEATURES.index("round_trip_cost_percent")
_TIE: Final = 1e-12  # fractions of a leg's notional that make no difference


@dataclass(frozen=True)
class Informed:
    """The decisions of a trader who knows the regimes, those to come too, and nothing of the noise.

    What it knows: `known.carry` of every pair in every hour up to the end of the window, what a round trip
    costs, and the leverage that each pair survives. What it does not know: the noise of settled rates, what
    is on show, prices, when a price jumps, and the bounce between two venues; by chance these may pay
    another trader more, over a window by as much as its bounce at most. It holds a pair through a pause
    where that is cheaper than a round trip; what the program cannot tell apart it leaves rather than holds,
    and holds rather than enters. Sizes are counted as equal: equity grows by a few percent in a window.

    Attributes:
        market: The market.
        books: The B sets of pairs that may be held together -> row.
        value: (T + 1, B) what a book still brings from hour t on, fractions of a leg's notional.
        cost: Of a round trip, a fraction of a leg's notional; all of it is counted at the entry, because
            equity has the costs of closing taken off.
    """

    market: MarketArrays
    books: dict[frozenset[int], int]
    value: F64
    cost: float

    def act(self, t: int, held: I64, active: Bool, mask: Bool) -> int:
        """Return the best action that is valid.

        Args:
            t: Hour of the decision; orders fill an hour later.
            held: (5,) pairs by position slot.
            active: (5,) whether the slot holds one.
            mask: (36,) valid actions.
        """
        book = frozenset(held[active].tolist())
        then = self.value[t + 1]
        best, action = float(then[self.books[book]]), HOLD
        for slot in np.nonzero(active)[0].tolist():
            gain = float(then[self.books[book - {int(held[slot])}]])
            if gain > best + _TIE or (action == HOLD and gain >= best - _TIE):
                best, action = gain, EXIT + slot
        for slot, pair in enumerate(self.market.slot_pair[t].tolist()):
            row = self.books.get(book | {pair})
            if row is not None and mask[ENTER_LARGE + slot]:
                gain = float(then[row]) - self.cost
                if gain > best + _TIE:
                    best, action = gain, ENTER_LARGE + slot
        return action


def informed(known: Known, last: int, config: TradingConfig) -> Informed:
    """Work out the informed optimum of a window that ends at a row.

    The market's rules are taken to be the default ones: orders fill an hour after the decision, and whoever
    closes on a settlement is charged it.

    Args:
        known: The market.
        last: Last row of the window: the last mark, an hour after the last decision.
        config: The risk profile: how many positions, and which pairs its leverage rules out.
    """
    market = known.market
    pays = (known.carry[: last + 1] > 0.0).any(axis=0) & (config.leverage <= known.safe_leverage)
    pairs = np.nonzero(pays)[0].tolist()
    coin = {pair: market.symbols[market.pair_long[pair]] for pair in pairs}
    sets = [
        frozenset(chosen)
        for size in range(config.max_positions + 1)
        for chosen in combinations(pairs, size)
        if len({coin[pair] for pair in chosen}) == size  # an instrument is held once
    ]
    books = {book: row for row, book in enumerate(sets)}
    holds = np.array([[pair in book for pair in pairs] for book in sets], np.float64)
    entered = np.array([[books.get(book | {pair}, -1) for pair in pairs] for book in sets], np.int64)
    left = np.array([[books[book - {pair}] for pair in pairs] for book in sets], np.int64)
    cost = float(np.nanmax(market.slot_raw[..., _ROUND_TRIP])) / 100.0

    value = np.zeros((last + 2, len(sets)))
    for t in range(last - 1, -1, -1):
        then = value[t + 1]
        best = then.copy()
        if pairs:
            best = np.maximum(best, then[left].max(axis=1))
            best = np.maximum(best, np.where(entered >= 0, then[entered] - cost, -np.inf).max(axis=1))
        # What is held at t is paid at t + 1; what fills there is not.
        value[t] = holds @ known.carry[t + 1, pairs] + best
    return Informed(market, books, value, cost)
