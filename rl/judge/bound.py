"""What nobody could have beaten: the bound on a window's return, and the funding bound.

The bound. A policy's trades i are decided at d_i with NLV N(d_i); until t trade i has changed the NLV by
f_i N(d_i) g_i(t), f_i <= 1 being its size over large and g_i(t) what `hindsight` says a large one would have
brought per unit of NLV if left at t, the cost of closing included, as it is in NLV. Hence
N(t) = N(0) + sum over d_i < t of f_i N(d_i) g_i(t). Let h_i be the highest g_i(t) of its life, or 0 if that
is below. By induction over the trades by decision, N(d_k) <= N(0) x product over i < k of (1 + h_i): the sum
is at most N(0) + sum of N(0) product(j < i)(1 + h_j) h_i, which telescopes to the product. So

    N(end) / N(0) <= product of (1 + h_i),

whatever was gained and lost in between. Trade i cut off at its peak takes a place for no longer than it did.
At most max_positions positions and each instrument once are held at a time, and at the decision the place
and the instruments have to be free already, so [d_i, left_i) are intervals that fit into max_positions
places with no instrument used twice. The logarithm of the bound is the most that a packing of such intervals
weighs, log(1 + h) being the weight (`packing`): above it by any choice of prices, and by no more than the
prices are bad. Left out, which only raises the bound: cash and minimum notionals, one order an hour, impact,
the drawdown limit, and that sizes are of NLV at its decision and not of the highest one.

The funding bound. The same with both legs at a common price, so that bounce between the venues, and prices
at all, pay nobody: g counts funding, fees, slippage and penalties, of a liquidation the maintenance margin
it takes; when a position is closed by force is told by the real prices. By the same argument it bounds the
carry of every policy, each trade's in units of NLV at its decision, compounded. It does not bound returns:
who is lucky with prices may be above it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rl.judge.hindsight import Hindsight, hindsight
from rl.judge.packing import pack
from rl.market.arrays import I64, MarketArrays
from rl.sim.quotes import Quotes, lay_out
from schemas.trading import MarketRules, TradingConfig


@dataclass(frozen=True)
class Plan:
    """Trades known in hindsight that keep every limit of the bound, by rising decision.

    Attributes:
        pair: (K,) pair.
        decided: (K,) row of the decision to enter.
        left: (K,) row of the exit's fill.
    """

    pair: I64
    decided: I64
    left: I64


@dataclass(frozen=True)
class Ceiling:
    """A bound, and how far below it something is known to be.

    Attributes:
        bound_pct: Nobody returns more, percent of the initial capital.
        plan_pct: What the plan brings, compounded; the best packing lies between the two.
        plan: Trades that fit.
    """

    bound_pct: float
    plan_pct: float
    plan: Plan


@dataclass(frozen=True)
class Bounds:
    """Both bounds of one window under one risk profile."""

    whole: Ceiling
    funding: Ceiling


def bounds(
    market: MarketArrays,
    window: tuple[int, int],
    rules: MarketRules,
    config: TradingConfig,
    quotes: Quotes | None = None,
) -> Bounds:
    """Bound what a policy can return in a window, starting flat, under one risk profile.

    Args:
        market: The market.
        window: First and last row, both included.
        rules: What venues charge and how orders fill.
        config: The risk profile.
        quotes: The market laid out under the same rules, where that was done already.
    """
    laid = quotes if quotes is not None else lay_out(market, rules)
    whole, funding = hindsight(market, laid, rules, config, window)
    hours = window[1] - window[0] + 1
    return Bounds(_ceiling(whole, config, hours), _ceiling(funding, config, hours))


def _ceiling(trades: Hindsight, config: TradingConfig, hours: int) -> Ceiling:
    packed = pack(trades.jobs, config.max_positions, hours)
    order = packed.chosen[np.argsort(trades.decided[packed.chosen], kind="stable")]
    plan = Plan(trades.pair[order], trades.decided[order], trades.left[order])
    return Ceiling(100.0 * math.expm1(packed.bound), 100.0 * math.expm1(packed.weight), plan)
