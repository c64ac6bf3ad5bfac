"""Isolated margin: what has to be maintained, where a leg is liquidated and how far away that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl.market.arrays import F64, I64
from schemas.trading import MarketRules, maintenance_amounts

# +1 for the long leg, -1 for the short one; broadcasts over (..., 2).
SIDE: F64 = np.array([1.0, -1.0])
# Comparisons with a threshold are "allowed, not triggered" within this relative distance.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class MarginTables:
    """Maintenance margins by instrument and tier, shape (I, K); K is the longest venue's table.

    Attributes:
        above: Notional above which a tier applies, quote currency; inf beyond a table's end.
        rate: m, a fraction of notional.
        amount: c, quote currency: the maintenance margin is m x notional - c.
    """

    above: F64
    rate: F64
    amount: F64

    @classmethod
    def of(cls, rules: MarketRules, venues: tuple[str, ...]) -> MarginTables:
        """Lay out the tables of each instrument's venue."""
        tables = [rules.tiers(venue) for venue in venues]
        shape = (len(venues), max((len(table) for table in tables), default=1))
        above, rate, amount = np.full(shape, np.inf), np.zeros(shape), np.zeros(shape)
        for i, table in enumerate(tables):
            above[i, : len(table)] = [tier.above for tier in table]
            rate[i, : len(table)] = [tier.rate for tier in table]
            amount[i, : len(table)] = maintenance_amounts(table)
        return cls(above, rate, amount)

    def of_legs(self, instrument: I64, notional: F64) -> tuple[F64, F64]:
        """Return m and c of legs by the notional they are entered with; its tier is theirs for good.

        Args:
            instrument: (...,) instruments.
            notional: (...,) q E, quote currency; a tier's upper end belongs to it.
        """
        over = notional[..., None] > self.above[instrument, 1:] * (1.0 + TOLERANCE)
        tier = over.sum(axis=-1)
        return self.rate[instrument, tier], self.amount[instrument, tier]


def liquidation_price(
    margin: F64, quantity: F64, entry: F64, side: F64, maintenance: F64 | float, amount: F64 | float = 0.0
) -> F64:
    """Return the mark at which a leg's margin falls to its maintenance margin.

    P_liq = (W + c - s q E) / (q m - s q), as in the isolated-margin rule of Binance USD-M futures.

    Args:
        margin: W, margin left after funding, quote currency.
        quantity: q, coins.
        entry: E, fill quote.
        side: +1 long, -1 short.
        maintenance: m of the leg's tier, a fraction of notional.
        amount: c of the leg's tier, quote currency.

    Returns:
        Price, quote currency; 0 or below means never for a long leg.
    """
    return (margin + amount - side * quantity * entry) / (quantity * (maintenance - side))


def liquidation_distance(
    margin: F64,
    quantity: F64,
    entry: F64,
    mark: F64,
    side: F64,
    leverage: F64,
    maintenance: F64 | float,
    amount: F64 | float = 0.0,
) -> F64:
    """Return how much of a leg's room is left: 1 at entry, 0 at liquidation, negative beyond.

    (margin left - m q mark + c) / (q E / L - m q E + c), margin left = W + unrealised P&L of the leg.
    """
    left = margin + side * quantity * (mark - entry)
    return (left - maintenance * quantity * mark + amount) / (
        quantity * entry / leverage - maintenance * quantity * entry + amount
    )
