"""Size against depth: what the policy's orders are beside the order book, and where impact eats the edge.

Impact is linear in size: an order of a leg's notional moves its price by k x notional / depth. A pair whose
depth is not known has no impact in the simulator, and here that is said and not made up for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from rl.judge.gates import counted
from rl.market.arrays import MarketArrays
from rl.stress.subject import Held
from schemas.stress import Capacity, CapacityPoint

GROWTH: Final = 4.0  # of the capital from one try to the next, until nothing is earned
LARGEST: Final = 1e12  # quote currency: nobody has more
PRECISION: Final = 1.1  # ratio of the capitals that still earn and no longer do


def size_against_depth(held: Sequence[Held], market: MarketArrays) -> tuple[int, list[float]]:
    """Return the number of fills of a run, and notional of a leg over depth of those whose depth is known.

    Args:
        held: Its positions; those open at the end have one fill.
        market: Its market.
    """
    fills, shares = 0, []
    for position in held:
        for row in (position.opened, position.closed)[: 1 if position.reason == "end" else 2]:
            fills += 1
            depth = float(market.depth[row, position.pair])
            if depth > 0:
                price = float(np.max(market.mark[row, list(position.instruments)]))
                shares.append(position.quantity * price / depth)
    return fills, shares


def capacity(
    held: Sequence[Held],
    market: MarketArrays,
    *,
    capital: float,
    impact_k: float,
    return_at: Callable[[float], float],
) -> Capacity:
    """Find the capital from which on the policy earns nothing.

    Args:
        held: The positions of the plain run.
        market: Its market.
        capital: Its initial capital, quote currency.
        impact_k: The k of the impact.
        return_at: Replays the policy at another capital, with impact; its return in percent.
    """
    fills, shares = size_against_depth(held, market)
    found = Capacity(impact_k=impact_k, fills=fills, fills_with_depth=len(shares))
    if not fills:
        return found.model_copy(update={"sentence": "Nothing was traded, so there is no size to speak of."})
    if not shares:
        text = (
            f"The depth of the order book is unknown at all of the {counted(fills, 'fill')}, so nothing can "
            "be said about impact or about how much capital the edge carries."
        )
        return found.model_copy(update={"sentence": text})
    median, largest = float(np.median(shares)), max(shares)
    points = [CapacityPoint(capital=capital, return_pct=return_at(capital))]
    while points[-1].return_pct > 0 and points[-1].capital < LARGEST:
        more = GROWTH * points[-1].capital
        points.append(CapacityPoint(capital=more, return_pct=return_at(more)))
    gone = None
    if points[-1].return_pct <= 0:
        gone = points[-1].capital
        if len(points) > 1:
            earns = points[-2].capital
            while gone / earns > PRECISION:
                middle = float(np.sqrt(gone * earns))
                points.append(CapacityPoint(capital=middle, return_pct=return_at(middle)))
                earns, gone = (middle, gone) if points[-1].return_pct > 0 else (earns, middle)
    text = (
        f"A leg was {100 * median:.3g} % of the book's depth in the median and {100 * largest:.3g} % at most"
    )
    if gone is None:
        text += "; at no capital did impact eat the profit."
    elif gone == capital:
        text += f"; with impact nothing is earned at {capital:,.0f} already."
    else:
        text += f"; with impact nothing is earned any more from a capital of about {_rounded(gone):,.0f} on."
    if len(shares) < fills:
        text += (
            f" The depth is unknown at {fills - len(shares)} of {counted(fills, 'fill')}, which have no "
            "impact here, so the true limit is lower."
        )
    return found.model_copy(
        update={
            "median_of_depth": median,
            "largest_of_depth": largest,
            "points": tuple(sorted(points, key=lambda point: point.capital)),
            "edge_gone_at": gone,
            "sentence": text,
        }
    )


def _rounded(value: float) -> float:
    """Round to two significant digits: more would claim a precision that a linear impact has not."""
    return float(f"{value:.1e}")
