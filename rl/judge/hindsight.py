"""What every trade of a window would have brought: each pair, entry hour and exit hour, in hindsight.

Valued by the rules of the simulator's ledger: entered only where the pair was on offer and both quotes were
fresh, filled at the quotes of the fill's hour, charged fees, half spreads and funding, closed by force when
the simulator would have closed it. What depends on a position's size in coins, impact and the tier of its
margin, is taken at its most favourable, and so is every comparison within 1e-6 of its threshold: a value is
never too low.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from rl.judge.packing import Jobs
from rl.market.arrays import F64, I64, Bool, MarketArrays
from rl.sim import quotes as Q
from schemas.trading import MarketRules, TradingConfig

SLACK: Final = 1e-6  # of a threshold: nothing is closed by force that might not have been
WHOLE: Final = 3  # venues up to which any two pairs of a symbol share an instrument


@dataclass(frozen=True)
class Hindsight:
    """The trades worth considering; those that another one beats in less time are left out.

    Attributes:
        jobs: As the packing wants them: hours count from the window's first row, a weight is log(1 + gain),
            the gain being of NLV at the decision, at large size.
        pair: (K,) pair.
        decided: (K,) row of the decision to enter.
        left: (K,) row of the exit's fill.
    """

    jobs: Jobs
    pair: I64
    decided: I64
    left: I64


@dataclass
class _Kept:
    """Trades as they are found, from the last decision to the first."""

    best: F64  # (G, H) the most that a later start brings by an hour
    start: list[I64] = field(default_factory=list)
    end: list[I64] = field(default_factory=list)
    left: list[I64] = field(default_factory=list)
    decided: list[I64] = field(default_factory=list)
    pair: list[I64] = field(default_factory=list)
    weight: list[F64] = field(default_factory=list)

    def offer(self, group: int, pair: int, decided: int, start: int, filled: int, weight: F64) -> None:
        """Keep of a pair's exits from the fill's hour on those that no shorter trade of its group beats."""
        record = np.maximum.accumulate(weight)
        before = np.maximum(self.best[group, filled:], np.append(0.0, record[:-1]))
        kept = np.flatnonzero(weight > before)
        self.best[group, filled:] = np.maximum(self.best[group, filled:], record)
        if len(kept):
            left = filled + kept
            self.start.append(np.full(len(kept), start))
            self.end.append(np.maximum(left, start + 1))
            self.left.append(left)
            self.decided.append(np.full(len(kept), decided))
            self.pair.append(np.full(len(kept), pair))
            self.weight.append(weight[kept])

    def told(self, market: MarketArrays, first: int, group_of: I64, shared: I64) -> Hindsight:
        """Return them by rising start."""
        whole = [self.start, self.end, self.left, self.decided, self.pair]
        columns = [np.concatenate(c[::-1]) if c else np.zeros(0, np.int64) for c in whole]
        start, end, left, decided, pair = columns
        weight = np.concatenate(self.weight[::-1]) if self.weight else np.zeros(0)
        resource = np.column_stack([shared[market.pair_long[pair]], shared[market.pair_short[pair]]])
        jobs = Jobs(start, end, group_of[pair], resource, weight)
        return Hindsight(jobs, pair, first + decided, first + left)


def hindsight(
    market: MarketArrays, quotes: Q.Quotes, rules: MarketRules, config: TradingConfig, window: tuple[int, int]
) -> tuple[Hindsight, Hindsight]:
    """Value every trade of a window under one risk profile.

    Args:
        market: The market.
        quotes: The market laid out under the same rules.
        rules: Fees, spreads, staleness, delay.
        config: The risk profile.
        window: First and last row, both included.

    Returns:
        The trades with all that they bring, and with both legs at a common price: what prices bring left
        out, of a liquidation all but the maintenance margin it takes.
    """
    a, b = window
    group_of, shared = conflicts(market, np.unique(market.slot_pair[a:b]))
    kept = tuple(_Kept(np.zeros((int(group_of.max(initial=-1)) + 1, b - a + 1))) for _ in range(2))
    if config.target_utilization > 0.0:
        per_nlv = config.target_utilization * config.leverage / (2.0 * config.max_positions)
        paths = _Paths.of(market, quotes, rules, (a, b))
        delay = rules.fill_delay_steps
        for d in range(min(b - a - 1, b - a - delay), -1, -1):
            filled = d + delay
            offered = np.unique(market.slot_pair[a + d])
            offered = offered[offered >= 0]
            if not len(offered):
                continue
            cols = paths.column[offered]
            cols = cols[paths.fresh[d, cols] & paths.fresh[filled, cols]]
            if not len(cols):
                continue
            coins = per_nlv / ((paths.long[d, cols] + paths.short[d, cols]) / 2.0)
            for gains, into in zip(paths.values(cols, filled, config, delay), kept, strict=True):
                gain = np.maximum(coins[:, None] * gains, 0.0)
                gain[:, 0] = 0.0  # at the hour of its fill a position has brought nothing but costs
                weight = np.log1p(gain)
                for i in np.flatnonzero(gain.any(axis=1)).tolist():
                    pair = int(paths.pair[cols[i]])
                    # The place has to be free at the decision already; with two hours an order keeps none.
                    start = d if delay == 1 else filled
                    into.offer(int(group_of[pair]), pair, d, start, filled, weight[i])
    return kept[0].told(market, a, group_of, shared), kept[1].told(market, a, group_of, shared)


def conflicts(market: MarketArrays, offered: I64) -> tuple[I64, I64]:
    """Return which pairs exclude each other: the group of each pair, and each instrument's number.

    An instrument is held once. Of a symbol on up to three venues any two pairs share one, so its pairs
    are one group; on more venues each pair is a group and the instruments are shared one by one.

    Args:
        market: The market.
        offered: Pairs that count; -1 among them is none.

    Returns:
        (P,) group, -1 where the pair does not count; (I,) number of a shared instrument, else -1.
    """
    group_of = np.full(len(market.pair_long), -1, np.int64)
    shared = np.full(market.n_instruments, -1, np.int64)
    by_symbol: dict[str, list[int]] = {}
    for pair in offered[offered >= 0].tolist():
        by_symbol.setdefault(market.symbols[market.pair_long[pair]], []).append(pair)
    groups = numbers = 0
    for pairs in by_symbol.values():
        legs = np.unique([market.pair_long[pairs], market.pair_short[pairs]])
        if len(legs) <= WHOLE:
            group_of[pairs] = groups
            groups += 1
        else:
            group_of[pairs] = groups + np.arange(len(pairs))
            shared[legs] = numbers + np.arange(len(legs))
            groups, numbers = groups + len(pairs), numbers + len(legs)
    return group_of, shared


@dataclass(frozen=True)
class _Paths:
    """What happens to one coin on both legs of every pair on offer; (H, U) over the window's hours.

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
    def of(
        cls, market: MarketArrays, quotes: Q.Quotes, rules: MarketRules, window: tuple[int, int]
    ) -> _Paths:
        rows = slice(window[0], window[1] + 1)
        pair = np.unique(market.slot_pair[rows.start : rows.stop - 1])
        pair = pair[pair >= 0].astype(np.int64)
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
            pair=pair,
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
        return np.maximum(entry / config.leverage - (paid[filled:, cols] - paid[filled, cols]).T, 0.0)

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
