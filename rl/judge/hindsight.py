"""What every trade of a window would have brought: each pair, entry hour and exit hour, in hindsight.

Valued by the rules of the simulator's ledger: entered only where the pair was on offer and both quotes were
fresh, filled at the quotes of the fill's hour, charged fees, half spreads and funding, closed by force when
the simulator would have closed it (`paths`). A value is never too low.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from rl.judge.packing import Jobs
from rl.judge.paths import Paths
from rl.market.arrays import F64, I64, MarketArrays
from rl.sim import quotes as Q
from schemas.trading import MarketRules, TradingConfig

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
        paths = Paths.of(market, quotes, rules, (a, b))
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
