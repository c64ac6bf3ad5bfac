"""Isolated margin: where a leg is liquidated and how far away that is."""

from __future__ import annotations

import numpy as np

from rl.market.arrays import F64

# +1 for the long leg, -1 for the short one; broadcasts over (..., 2).
SIDE: F64 = np.array([1.0, -1.0])
# Comparisons with a threshold are "allowed, not triggered" within this relative distance.
TOLERANCE = 1e-9


def liquidation_price(
    margin: F64, quantity: F64, entry: F64, side: F64, maintenance: float, amount: float = 0.0
) -> F64:
    """Return the mark at which a leg's margin falls to its maintenance margin.

    P_liq = (W + c - s q E) / (q m - s q), as in the isolated-margin rule of Binance USD-M futures.

    Args:
        margin: W, margin left after funding, quote currency.
        quantity: q, coins.
        entry: E, fill quote.
        side: +1 long, -1 short.
        maintenance: m, maintenance margin over notional.
        amount: c, the tier's maintenance amount, quote currency.

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
    maintenance: float,
    amount: float = 0.0,
) -> F64:
    """Return how much of a leg's room is left: 1 at entry, 0 at liquidation, negative beyond.

    (margin left - m q mark + c) / (q E / L - m q E + c), margin left = W + unrealised P&L of the leg.
    """
    left = margin + side * quantity * (mark - entry)
    return (left - maintenance * quantity * mark + amount) / (
        quantity * entry / leverage - maintenance * quantity * entry + amount
    )
