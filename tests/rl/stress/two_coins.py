"""Two coins at two venues, held by plan for thirty hours: a calm run that each test disturbs in one place.

Binance pays its shorts every hour, bybit nothing. Orders for AAA and BBB are decided at 8:00 and 9:00 and
fill at 9:00 and 10:00; both are left after a day and a half. 20 coins on each leg at prices of 100.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from rl.market.arrays import MarketArrays
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.replay import Actor
from rl.stress.run import run_stress
from rl.stress.subject import Subject
from schemas.backtest import BacktestSummary
from schemas.stress import StressReport, StressSettings
from schemas.trading import MarketRules, TradingConfig
from tests.rl.market.market_frames import DAY, offer, offers, stamp, stamps
from tests.rl.sim.held import row_of

LAST = 44
CONFIG = TradingConfig(leverage=1.0, target_utilization=0.8, max_positions=2, stop_loss=0.0)
RULES = MarketRules()
RATE = 0.0003  # an hour, of a notional of 4,000 in all: 1.2 an hour, 36 in thirty hours

Price = Callable[[str, str, int], float]  # symbol, venue, hour -> quote
Rate = Callable[[str, str, int], float]


def flat(symbol: str, venue: str, hour: int) -> float:
    return 100.0


def paying(symbol: str, venue: str, hour: int) -> float:
    return RATE if venue == "binance" else 0.0


def tables(
    price: Price = flat, rate: Rate = paying, depth: float = float("nan")
) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, past = [], []
    for hour in range(LAST + 1):
        time = DAY + pd.Timedelta(hours=hour)
        for symbol in ("AAA", "BBB"):
            rows.append(
                offer(
                    time, symbol, entry_long_price=price(symbol, "bybit", hour),
                    entry_short_price=price(symbol, "binance", hour), long_funding_interval_hours=1.0,
                    short_funding_interval_hours=1.0, bid_ask_spread_percent=0.02, volume_24h=1e8,
                    orderbook_depth_usd=depth, fund_apr_24h_proj=10.0,
                )
            )  # fmt: skip
            for venue in ("binance", "bybit"):
                past.append(
                    stamp(
                        time, venue, symbol, price(symbol, venue, hour), rate(symbol, venue, hour),
                        interval=1.0,
                    )
                )  # fmt: skip
    return offers(*rows), stamps(*past)


def planned(market: MarketArrays) -> Actor:
    """Enter AAA and BBB, leave both; a plan looks at nothing."""
    plan = {"08:00": "AAA", "09:00": "BBB", "1d 14:00": 31, "1d 15:00": 32}
    at_row = {row_of(market, clock): what for clock, what in plan.items()}

    def act(t: int, private: np.ndarray, mask: np.ndarray) -> np.ndarray:
        what = at_row.get(t, 0)
        if isinstance(what, int):
            return np.full(len(mask), what)
        on_offer = [market.symbols[market.pair_long[p]] if p >= 0 else "" for p in market.slot_pair[t]]
        return np.full(len(mask), 21 + on_offer.index(what) if what in on_offer else 0)

    return act


def stressed(
    price: Price = flat, rate: Rate = paying, depth: float = float("nan"), rules: MarketRules = RULES
) -> StressReport:
    opportunities, history = tables(price, rate, depth)
    market = assemble(list(build_days(opportunities, history)), rules)
    subject = Subject(market, (0, market.n_hours - 1), rules, "one", CONFIG, planned)
    return run_stress(subject, opportunities, history, StressSettings(), version="v1", data_hash="d")


def backtest_of(report: StressReport) -> BacktestSummary:
    """What a gate compares a report with: the backtest of the same run, without its results."""
    return BacktestSummary(
        version="v1", data_hash="d", start=report.start, end=report.end, hours=LAST,
        initial_capital=report.initial_capital, in_sample=False, overlap_hours=0, seed=0, random_runs=0,
        presets={"one": CONFIG}, rules=RULES, results=(),
    )  # fmt: skip
