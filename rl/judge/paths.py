"""What happens to one coin held on both legs of a pair, from a fill to every later hour.

By the rules of the simulator's ledger; what depends on a position's size in coins, impact and the tier of its
margin, is taken at its most favourable, and so is every comparison within 1e-6 of its threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from rl.market.arrays import F64, I64, Bool, MarketArrays
from rl.sim import quotes as Q
from schemas.trading import MarketRules, TradingConfig

SLACK: Final = 1e-6  # of a threshold: nothing is closed by force that might not have been


@dataclass(frozen=True)
class Paths:
    """Prices, costs and funding of one coin on both legs of every pair on offer; (H, U), H hours.

    Attributes:
        pair: (U,) pairs.
        column: (P,) where a pair stands in them.
        long: Marks of the long leg; short likewise.
        fresh: Whether both quotes may be entered at.
        stale: Whether a leg has to be closed for its age.
        penalty: What closing costs for it.
        cost: Fees and half spreads of a fill, impact left out.
        funding: Running sum of what is earned less what is paid.
        paid_long: Running sum of what the long leg pays out of its margin; paid_short likewise.
        low: Lowest price of the long leg in the hour.
        high: Highest of the short leg.
        fee: (2, U) taker fees.
        lenient: (2, U) lowest maintenance margin rate of the leg's venue.
        strict: (2, U) highest one.
    """

    pair: I64
    column: I64
    long: F64
    short: F64
    fresh: Bool
    stale: Bool
    penalty: F64
    cost: F64
    funding: F64
    paid_long: F64
    paid_short: F64
    low: F64
    high: F64
    fee: F64
    lenient: F64
    strict: F64

    @classmethod
    def of(cls, market: MarketArrays, quotes: Q.Quotes, rules: MarketRules, window: tuple[int, int]) -> Paths:
        """Gather them for the pairs that are on offer anywhere in a window.

        Args:
            market: The market.
            quotes: The market laid out under the same rules.
            rules: Fees, spreads, staleness, margins.
            window: First and last row, both included.
        """
        rows = slice(window[0], window[1] + 1)
        pair = np.unique(market.slot_pair[rows.start : rows.stop - 1])
        pair = pair[pair >= 0]
        column = np.full(len(market.pair_long), -1, np.int64)
        column[pair] = np.arange(len(pair))
        first, second = quotes.pair_legs[pair, 0], quotes.pair_legs[pair, 1]
        legs = quotes.legs[rows]
        long, short = legs[:, first, Q.MARK], legs[:, second, Q.MARK]
        ages = legs[:, first, Q.AGE], legs[:, second, Q.AGE]
        old = Q.is_stale(ages[0], rules), Q.is_stale(ages[1], rules)
        fee = np.stack([quotes.fee[first], quotes.fee[second]])
        half = quotes.pairs[rows][:, pair, Q.HALF_SPREAD]
        paid = legs[:, first, Q.PAY_LONG], legs[:, second, Q.PAY_SHORT]
        earned = legs[:, first, Q.EARN_LONG] + legs[:, second, Q.EARN_SHORT]
        rates = [
            (min(t.rate for t in rules.tiers(v)), max(t.rate for t in rules.tiers(v))) for v in market.venues
        ]
        tiers = np.array(rates, np.float64).reshape(-1, 2)
        return cls(
            pair=np.asarray(pair, np.int64),
            column=column,
            long=long,
            short=short,
            fresh=Q.is_fresh(ages[0], rules) & Q.is_fresh(ages[1], rules),
            stale=old[0] | old[1],
            penalty=rules.stale_penalty * (np.where(old[0], long, 0.0) + np.where(old[1], short, 0.0)),
            cost=fee[0] * long + fee[1] * short + half * (long + short),
            funding=np.cumsum(earned - paid[0] - paid[1], axis=0),
            paid_long=np.cumsum(paid[0], axis=0),
            paid_short=np.cumsum(paid[1], axis=0),
            low=np.minimum(long, legs[:, first, Q.LOW]),
            high=np.maximum(short, legs[:, second, Q.HIGH]),
            fee=fee,
            lenient=np.stack([tiers[first, 0], tiers[second, 0]]),
            strict=np.stack([tiers[first, 1], tiers[second, 1]]),
        )

    def values(self, cols: I64, filled: int, config: TradingConfig, delay: int) -> tuple[F64, F64]:
        """Return what one coin brings from a fill on, by the row it is left at.

        Args:
            cols: (n,) which pairs.
            filled: Row of the fill.
            config: Leverage, stop-loss and buffer.
            delay: Hours from decision to fill.

        Returns:
            Twice (n, rows from the fill to the window's end), quote currency, -inf where the position
            cannot have lasted so long: all that it brings, and without prices.
        """
        long, short = self.long[filled:, cols].T, self.short[filled:, cols].T
        entry_long, entry_short = long[:, :1], short[:, :1]
        funding = (self.funding[filled:, cols] - self.funding[filled, cols]).T
        carry = funding - (self.cost[filled:, cols] + self.cost[filled, cols]).T
        prices = (long - entry_long) - (short - entry_short)
        margin_long = self._margin(self.paid_long, cols, filled, entry_long, config)
        margin_short = self._margin(self.paid_short, cols, filled, entry_short, config)

        struck, must, gone, gone_carry = self._liquidated(
            cols, filled, (long, short), (margin_long, margin_short)
        )
        before = funding - self.cost[filled, cols][:, None]  # the costs of the entry, none of closing
        gone, gone_carry = before + gone, before + gone_carry

        ends = must | self.stale[filled:, cols].T
        limit = config.stop_loss
        if limit < 0.0:
            ends |= (carry + prices) / (entry_long + entry_short) < limit * (1.0 + SLACK)
        near = config.liquidation_buffer * (1.0 - SLACK)
        for side, mark, entry, margin, k in (
            (1.0, long, entry_long, margin_long, 0),
            (-1.0, short, entry_short, margin_short, 1),
        ):
            m = self.lenient[k, cols][:, None]
            left = margin + side * (mark - entry) - m * mark
            one_tier = m == self.strict[k, cols][:, None]
            ends |= one_tier & (left / (entry / config.leverage - m * entry) < near)
        if delay == 0:
            ends[:, 0] = False  # filled before the step at whose end a position is looked at
        over = np.zeros_like(ends)
        over[:, 1:] = np.logical_or.accumulate(ends, axis=1)[:, :-1]

        penalty = self.penalty[filled:, cols].T
        told = []
        for exits, lost in ((carry + prices - penalty, gone), (carry - penalty, gone_carry)):
            value = np.where(must, -np.inf, exits)
            value = np.where(struck, np.maximum(value, lost), value)
            told.append(np.where(over, -np.inf, value))
        return told[0], told[1]

    @staticmethod
    def _margin(paid: F64, cols: I64, filled: int, entry: F64, config: TradingConfig) -> F64:
        """Isolated margin of one coin, of which funding takes what the leg pays, down to nothing."""
        left: F64 = entry / config.leverage - (paid[filled:, cols] - paid[filled, cols]).T
        return np.maximum(left, 0.0)

    def _liquidated(
        self, cols: I64, filled: int, marks: tuple[F64, F64], margins: tuple[F64, F64]
    ) -> tuple[Bool, Bool, F64, F64]:
        """Return where a leg may be liquidated, where it must be, and what is left of the position at most.

        The trigger is (W + c - s E) / (m - s) per coin. Over the tiers of a venue's table c lies between 0
        and (m - lowest m) E, so the trigger lies between the two that are worked out here; with one tier
        they are the same, and exact.
        """
        (long, short), (margin_long, margin_short) = marks, margins
        entry_long, entry_short = long[:, :1], short[:, :1]
        (m_long, m_short), (top_long, top_short) = self.lenient[:, cols, None], self.strict[:, cols, None]
        room = entry_long * m_long - margin_long
        long_low = entry_long + np.minimum(room / (1.0 - m_long), room / (1.0 - top_long))
        long_high = (entry_long - margin_long) / (1.0 - top_long)
        room = margin_short - entry_short * m_short
        short_low = (entry_short + margin_short) / (1.0 + top_short)
        short_high = entry_short + np.maximum(room / (1.0 + m_short), room / (1.0 + top_short))

        low, high = self.low[filled:, cols].T, self.high[filled:, cols].T
        may = low < long_high * (1.0 + SLACK), high > short_low * (1.0 - SLACK)
        must = low < long_low * (1.0 - SLACK), high > short_high * (1.0 + SLACK)
        for hit in (*may, *must):
            hit[:, 0] = False  # the hour of the fill was over when it filled
        ratio = np.ones_like(long)
        ratio[:, 1:] = short[:, :-1] / long[:, :-1]  # of the marks when the hour began
        # The surviving leg closes at the ratio the two had, with a fee and no slippage.
        closes_short, closes_long = long_low * ratio, short_high / ratio
        fee_long, fee_short = self.fee[0, cols][:, None], self.fee[1, cols][:, None]
        one_long = -margin_long + (entry_short - closes_short) - fee_short * closes_short
        one_short = -margin_short + (closes_long - entry_long) - fee_long * closes_long
        kept_long = np.where(
            m_long == top_long, m_long * long_low, 0.0
        )  # the maintenance margin that is lost
        kept_short = np.where(m_short == top_short, m_short * short_low, 0.0)
        cases = (
            (may[0] & ~must[1], one_long, -kept_long),
            (may[1] & ~must[0], one_short, -kept_short),
            (may[0] & may[1], -margin_long - margin_short, -kept_long - kept_short),
        )
        whole = np.full_like(long, -np.inf)
        carry = np.full_like(long, -np.inf)
        for where, value, common in cases:
            whole = np.where(where, np.maximum(whole, value), whole)
            carry = np.where(where, np.maximum(carry, common), carry)
        return may[0] | may[1], must[0] | must[1], whole, carry
