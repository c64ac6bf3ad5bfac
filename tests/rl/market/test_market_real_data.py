"""The features of real market data: sizes, and the same bits in one go as day by day."""

import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rl.market.assemble import assemble
from rl.market.build import build_days, build_hours
from rl.market.rows import history_rows, opportunity_rows
from schemas.trading import MarketRules

FOLDER = Path(os.environ.get("CARRYFLOW_REAL_DATA", "")) / "binance_hyperliquid_2025"
pytestmark = pytest.mark.skipif(
    not os.environ.get("CARRYFLOW_REAL_DATA"),
    reason="CARRYFLOW_REAL_DATA does not name a folder of real data",
)
NAMES = {
    "fundProfit8h24hProj": "fund_profit_24h_proj",
    "fundProfit8h3dProj": "fund_profit_3d_proj",
    "fundApr24hProj": "fund_apr_24h_proj",
    "spread30SampleAvg": "spread_30_sample_avg",
    "priceSpread24hAvg": "price_spread_24h_avg",
    "priceSpread3dAvg": "price_spread_3d_avg",
    "bidAskSpreadPercent": "bid_ask_spread_percent",
    "orderbookDepthUsd": "orderbook_depth_usd",
    "estimatedProfitPercentage": "estimated_profit_percentage",
}


@pytest.fixture(scope="module")
def tables():
    opportunities = pd.read_csv(FOLDER / "opportunities.csv.gz").rename(columns=NAMES)
    for column in ("entry_time", "long_next_funding_time", "short_next_funding_time"):
        opportunities[column] = pd.to_datetime(opportunities[column], utc=True)
    history = pd.read_csv(FOLDER / "market_history.csv.gz")
    return opportunities, history.assign(timestamp=pd.to_datetime(history["timestamp"], utc=True))


@pytest.mark.parametrize("with_history", [True, False])
def test_real_data_day_by_day_is_the_same_as_in_one_go(tables, with_history):
    opportunities, history = tables[0], tables[1] if with_history else None
    days = list(build_days(opportunities, history))
    market = assemble(days, MarketRules())
    assert (market.n_hours, market.n_instruments, len(market.pair_long)) == (2064, 64, 64)
    estimated = int(market.settlements.estimated.sum())
    assert (len(market.settlements.row), estimated) == (72_581, 178 if with_history else 72_581)
    rows, past = opportunity_rows(opportunities), history_rows(history)
    whole = assemble([build_hours(rows, past, None, days[0].start_ms, 2064)], MarketRules())
    for one, other in ((market, whole), (market.settlements, whole.settlements)):
        for field in fields(one):
            value = getattr(one, field.name)
            if isinstance(value, np.ndarray):
                assert value.tobytes() == getattr(other, field.name).tobytes(), field.name
