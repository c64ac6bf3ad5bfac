"""One position held through a market written row by row, for vectors worked by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rl.market.arrays import MarketArrays
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.replay import Actor, Group, Replay, replay
from schemas.trading import MarketRules, TradingConfig
from tests.rl.market.market_frames import at, offers, stamps

FREE = MarketRules(slippage=False, taker_fee={}, default_taker_fee=0.0)
# At prices of 100, 10,000 / 2 / 100 = 50 coins on each leg.
ONE_TIMES = TradingConfig(leverage=1.0, target_utilization=1.0, max_positions=1, stop_loss=0.0)
ENTER_LARGE, EXIT = 21, 31
DUE = 15 + 8  # of the private observation: funding due in the next step, first position slot


def market_of(rows: Sequence[dict], past: Sequence[dict] = (), rules: MarketRules = FREE) -> MarketArrays:
    """The market of some opportunity rows and history rows."""
    return assemble(list(build_days(offers(*rows), stamps(*past) if past else None)), rules)


def row_of(market: MarketArrays, clock: str) -> int:
    return int((int(at(clock).timestamp() * 1000) - market.start_ms) // 3_600_000)


def by_plan(market: MarketArrays, symbol: str, plan: Mapping[str, str]) -> Actor:
    """Enter a symbol's first offered pair, or exit the first slot, at given hours; else hold."""
    at_row = {row_of(market, clock): what for clock, what in plan.items()}

    def act(t: int, private: np.ndarray, mask: np.ndarray) -> np.ndarray:
        what = at_row.get(t)
        if what is None:
            return np.zeros(len(mask), np.int64)
        if what == "exit":
            return np.full(len(mask), EXIT)
        on_offer = [market.symbols[market.pair_long[p]] if p >= 0 else "" for p in market.slot_pair[t]]
        return np.full(len(mask), ENTER_LARGE + on_offer.index(symbol))

    return act


def hold(
    market: MarketArrays,
    plan: Mapping[str, str],
    rules: MarketRules = FREE,
    config: TradingConfig = ONE_TIMES,
    watch: dict[int, float] | None = None,
) -> Replay:
    """Replay the whole market with a plan; its orders must all have been accepted and filled.

    `watch` gets the number that the observation shows as the first slot's funding due, by row.
    """
    planned = by_plan(market, "AAA", plan)

    def actor(t: int, private: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if watch is not None:
            watch[t] = float(private[0, DUE])
        return planned(t, private, mask)

    told = replay(market, (0, market.n_hours - 1), rules, [Group("one", "agent", config, 1, actor)])
    assert told.state.counts[0, 2:4].tolist() == [0, 0], "an order was void or not valid"
    return told


def booked(told: Replay, kind: str = "funding") -> list[tuple[str, str, float]]:
    """(clock, leg, amount) of the flows of a kind, in the order of time."""
    flows: pd.DataFrame = told.flows[told.flows["kind"] == kind].sort_values("time", kind="stable")
    return [(f"{r.time:%H:%M}", str(r.side), float(r.amount)) for r in flows.itertuples()]


def every_hour(make: Any, first: int, last: int, **values: Any) -> list[dict]:
    """Rows of `offer` or `stamp` at each hour from first to last."""
    return [make(f"{hour:02d}:00", **values) for hour in range(first, last + 1)]
