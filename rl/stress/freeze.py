"""A venue stops for hours: no quote, no offer, no way out but the rule for stale legs.

Chosen is the venue and the hour at which it costs most: venues stop when prices move. Once a leg's quote is
too old the position is closed. The other leg can be closed at once; the one at the venue that stands still
can not, so it is closed at the price at which the venue comes back, and costs the penalty of a stale leg.
What lies between the two is naked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from rl.market.arrays import HOUR_MS, MarketArrays
from rl.sim.margin import SIDE
from rl.sim.quotes import is_stale
from rl.stress.subject import Held
from schemas.trading import MarketRules

HOURS: Final = 6


@dataclass(frozen=True)
class Freeze:
    """When which venue stops.

    Attributes:
        venue: The venue.
        first: First row without its quotes.
        hours: How many rows.
        notional: What was held there when it stopped, quote currency.
    """

    venue: str
    first: int
    hours: int
    notional: float


def worst_freeze(
    held: Sequence[Held], market: MarketArrays, rules: MarketRules, last: int, hours: int = HOURS
) -> Freeze | None:
    """Return the freeze that costs most by the positions of the plain run; None if nothing was held.

    What a position costs: from the hour in which its quote has become stale until the venue is back its leg
    is alone, and it pays the penalty. One that the policy leaves before is closed at the last price.

    Args:
        held: The positions of the plain run.
        market: Its market.
        rules: When a quote is stale, and what that costs.
        last: Last row of the window.
        hours: Length of the freeze.
    """
    found = [frozen for position in held for frozen in _costs(position, market, rules, last, hours)]
    if not found:
        return None
    cost: dict[tuple[str, int], float] = {}
    notional: dict[tuple[str, int], float] = {}
    for where, loss, size in found:
        cost[where] = cost.get(where, 0.0) + loss
        notional[where] = notional.get(where, 0.0) + size
    venue, first = max(cost, key=lambda where: (cost[where], -where[1], where[0]))
    return Freeze(venue, first, hours, notional[venue, first])


def _costs(
    position: Held, market: MarketArrays, rules: MarketRules, last: int, hours: int
) -> list[tuple[tuple[str, int], float, float]]:
    """Return ((venue, first row), cost, notional) of every freeze that meets a position."""
    found = []
    for leg, instrument in enumerate(position.instruments):
        for first in range(position.opened + 1, min(position.closed, last) + 1):
            size = position.quantity * market.mark[first - 1, instrument]
            age = market.age[first - 1, instrument] + np.arange(1, hours + 1)
            stale = np.flatnonzero(is_stale(age, rules))
            out = min(first + (int(stale[0]) if stale.size else hours), last)
            if position.closed < out:
                out, price, fine = position.closed, market.mark[first - 1, instrument], 0.0
            else:
                price, fine = market.mark[_back(market, first, hours), instrument], rules.stale_penalty * size
            missed = SIDE[leg] * position.quantity * (market.mark[out, instrument] - price)
            found.append(((market.venues[instrument], first), float(missed + fine), float(size)))
    return found


def _back(market: MarketArrays, first: int, hours: int) -> int:
    """Return the row in which the venue is back."""
    return min(first + hours, market.n_hours - 1)


def frozen_market(market: MarketArrays, freeze: Freeze, rules: MarketRules) -> MarketArrays:
    """Return the market as it would have been seen and traded.

    In the hours of the freeze the venue's quotes stay what they were before and grow old, its bars are
    missing, its pairs are not on offer, and its settlements are charged on the old marks; a leg that is
    stale by then pays but never earns, as ever. A quote that is stale is the one with which the venue comes
    back: nobody can act on it, since the position that sees it is closed in the same step. Rates and trailing
    features stay: a venue publishes them afterwards.

    Args:
        market: The market.
        freeze: Rows `first` to `first + hours - 1`; `first` is at least 1.
        rules: When a quote is stale.
    """
    rows = np.arange(freeze.first, min(freeze.first + freeze.hours, market.n_hours))
    there = np.flatnonzero(np.array(market.venues) == freeze.venue)
    grid = np.ix_(rows, there)
    mark, age, low, high = (a.copy() for a in (market.mark, market.age, market.low, market.high))
    before = freeze.first - 1
    age[grid] = market.age[before, there] + (rows - before)[:, None]
    back = market.mark[_back(market, freeze.first, freeze.hours), there]
    mark[grid] = np.where(is_stale(age[grid], rules), back, market.mark[before, there])
    low[grid], high[grid] = np.inf, -np.inf

    events = market.settlements
    hit = np.isin(events.row, rows) & np.isin(events.instrument, there)
    since = (events.time_ms - market.hour_ms(before)) / HOUR_MS
    old = market.age[before, events.instrument] + since
    settlements = replace(
        events,
        mark=np.where(hit, market.mark[before, events.instrument], events.mark),
        stale=np.where(hit, is_stale(old, rules), events.stale),
    )

    pair, raw, score = market.slot_pair.copy(), market.slot_raw.copy(), market.slot_score.copy()
    touches = np.isin(market.pair_long, there) | np.isin(market.pair_short, there)
    for row in rows:
        stays = np.flatnonzero((pair[row] >= 0) & ~touches[pair[row]])
        n = len(stays)
        pair[row, :n], raw[row, :n], score[row, :n] = pair[row, stays], raw[row, stays], score[row, stays]
        pair[row, n:], raw[row, n:], score[row, n:] = -1, 0.0, np.nan
    return replace(
        market, mark=mark, age=age, low=low, high=high, settlements=settlements,
        slot_pair=pair, slot_raw=raw, slot_score=score,
    )  # fmt: skip
