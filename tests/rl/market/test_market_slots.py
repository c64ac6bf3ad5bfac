"""Opportunity slots, by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from rl.market.arrays import SLOT_FEATURES
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.market.rows import opportunity_rows
from rl.market.slots import score
from schemas.trading import MarketRules
from tests.rl.market.market_frames import at, offer, offers, stamp, stamps

GOOD = {"volume_24h": 1e6, "bid_ask_spread_percent": 0.05}


def build(rows, past=()):
    return assemble(list(build_days(offers(*rows), stamps(*past) if past else None)), MarketRules())


def feature(market, name, t=-1, slot=0):
    return market.slot_raw[t, slot, SLOT_FEATURES.index(name)]


def pair_names(market):
    names = list(zip(market.symbols, market.venues, strict=True))
    return [(*names[a], names[b][1]) for a, b in zip(market.pair_long, market.pair_short, strict=True)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (GOOD | {"fund_apr_24h_proj": 40.0}, 40.0),
        (GOOD | {"fund_apr_24h_proj": 40.0, "volume_24h": 999_999.0}, 20.0),
        (GOOD | {"fund_apr_24h_proj": 40.0, "volume_24h": np.nan}, 20.0),
        (GOOD | {"fund_apr_24h_proj": 40.0, "bid_ask_spread_percent": 0.1}, 20.0),
        (GOOD | {"fund_apr_24h_proj": 40.0, "bid_ask_spread_percent": np.nan}, 20.0),
        ({"fund_apr_24h_proj": 40.0}, 10.0),
        ({"fund_apr_24h_proj": -40.0}, -160.0),
        (GOOD | {"fund_apr_24h_proj": -40.0}, -40.0),
        (GOOD | {"fund_apr_24h_proj": 0.0, "fund_apr": 9.0}, 0.0),
        (GOOD | {"fund_apr": 9.0}, 9.0),
        (GOOD, (0.0003 / 8 - 0.0001 / 8) * 800 * 1095),
    ],
)
def test_score(values, expected):
    assert score(opportunity_rows(offers(offer("10:00", **values))))[0] == pytest.approx(expected, rel=1e-12)


def test_the_ten_best_pairs_stand_in_order_and_ties_go_by_name():
    rows = [offer("10:00", f"S{i:02d}", **GOOD, fund_apr_24h_proj=float(i % 4)) for i in range(12)]
    rows += [offer("10:00", "S03", long="binance", short="bybit", **GOOD, fund_apr_24h_proj=3.0)]
    market = build(rows[::-1])
    names = pair_names(market)
    assert [names[pair][0] for pair in market.slot_pair[0]] == [
        "S03", "S03", "S07", "S11", "S02", "S06", "S10", "S01", "S05", "S09",
    ]  # fmt: skip
    assert [names[pair][1] for pair in market.slot_pair[0, :2]] == ["binance", "bybit"]
    assert market.slot_score[0].tolist() == [3.0] * 4 + [2.0] * 3 + [1.0] * 3


def test_a_pair_is_offered_by_its_newest_row_of_the_hour_and_the_last_of_equal_times():
    rows = [
        offer("10:40", fund_apr_24h_proj=3.0),
        offer("10:10", fund_apr_24h_proj=1.0),
        offer("10:40", fund_apr_24h_proj=2.0),
        offer("10:20", long="binance", short="bybit", fund_apr_24h_proj=9.0),
    ]
    market = build(rows)
    assert market.slot_score[0, :3].tolist()[:2] == [9.0 / 4, 2.0 / 4]
    assert market.slot_pair[0].tolist() == [0, 1] + [-1] * 8


def test_a_row_exactly_one_hour_old_is_no_longer_on_offer():
    market = build([offer("10:00"), offer("11:00", "BBB"), offer("10:00:00.000001", "CCC")])
    assert [names[0] for names in (pair_names(market)[p] for p in market.slot_pair[1] if p >= 0)] == [
        "BBB",
        "CCC",
    ]


def test_empty_slots_are_all_zeros_and_marked_by_their_interval():
    market = build([offer("10:00")])
    assert not market.slot_raw[0, 1:].any() and np.isnan(market.slot_score[0, 1:]).all()
    assert feature(market, "long_interval_8") == 1.0


def test_the_features_of_a_row_stand_in_their_places():
    row = offer(
        "10:30",
        long_funding_rate=-0.0004,
        short_funding_rate=0.0006,
        long_funding_interval_hours=1.0,
        short_funding_interval_hours=4.0,
        long_next_funding_time=at("10:45"),
        short_next_funding_time=at("12:00"),
        fund_profit_8h=0.44,
        fund_profit_24h_proj=0.3,
        fund_profit_3d_proj=0.2,
        spread_30_sample_avg=-0.001,
        price_spread_24h_avg=0.11,
        price_spread_3d_avg=0.12,
        spread_volatility_stddev=0.0005,
        volume_24h=1e7,
        bid_ask_spread_percent=0.08,
        orderbook_depth_usd=1e4,
        estimated_profit_percentage=0.7,
    )
    values = build([row]).slot_raw[0, 0]
    expected = [
        -0.0032, 0.0012, 0.125, 0.5, 0.44, 0.3, 0.2, 0.0, 1.0 / 8, np.nan, np.nan,
        -0.001, 0.11, 0.12, 0.0005, 7.0, 0.08, 4.0, 0.7, 200 * (0.00055 + 0.0005 + 0.0008),
    ]  # fmt: skip
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_nulls_stay_null_and_a_volume_of_nothing_is_a_number():
    market = build([offer("10:00")])
    null = [name for i, name in enumerate(SLOT_FEATURES) if math.isnan(market.slot_raw[0, 0, i])]
    assert {
        "profit_8h",
        "profit_24h_proj",
        "log10_volume",
        "hours_to_long_settlement_8",
        "return_std_24h",
    } <= set(null)
    assert feature(build([offer("10:00", volume_24h=0.0)]), "log10_volume") == 0.0


@pytest.mark.parametrize(
    ("values", "full_spread"),
    [
        ({"bid_ask_spread_percent": 0.3, "volume_24h": 1e9}, 0.003),
        ({"volume_24h": 1e7}, 0.0002),
        ({"volume_24h": 9_999_999.0}, 0.0005),
        ({"volume_24h": 1e6}, 0.0005),
        ({"volume_24h": 999_999.0}, 0.001),
        ({}, 0.001),
    ],
)
def test_half_spread_and_round_trip_cost(values, full_spread):
    market = build([offer("10:00", long="kraken", short="hyperliquid", **values)])
    assert market.half_spread[0, 0] == pytest.approx(full_spread / 2, rel=1e-12)
    cost = 200 * (0.0005 + 0.00045 + full_spread)
    assert feature(market, "round_trip_cost_percent") == pytest.approx(cost, rel=1e-12)


def test_the_order_book_of_a_pair_is_that_of_its_newest_row_even_when_that_row_lacks_it():
    rows = [
        offer("10:00", bid_ask_spread_percent=0.3, orderbook_depth_usd=5e4),
        offer("11:00", "BBB"),
        offer("12:30", volume_24h=1e8),
        offer("13:00", "BBB"),
    ]
    market = build(rows)
    assert market.half_spread[:, 0].tolist() == [0.0015, 0.0015, 0.0015, 0.0001]
    assert market.depth[:3, 0].tolist() == [5e4] * 3 and math.isnan(market.depth[3, 0])


def test_return_deviation_is_of_the_last_24_hourly_returns_of_the_larger_leg():
    prices = np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, 40)))
    rows = [
        offer(at("00:00") + pd.Timedelta(hours=h), entry_short_price=price, entry_long_price=50.0)
        for h, price in enumerate(prices)
    ]
    market = build(rows)
    returns = np.diff(np.log(prices))
    assert math.isnan(feature(market, "return_std_24h", 1))
    assert feature(market, "return_std_24h", 2) == pytest.approx(np.std(returns[:2]))
    assert feature(market, "return_std_24h", 24) == pytest.approx(np.std(returns[:24]))
    assert feature(market, "return_std_24h", 39) == pytest.approx(np.std(returns[15:39]))


def test_net_rate_deviation_is_of_the_last_72_hourly_settled_net_rates():
    rng = np.random.default_rng(0)
    settled = {h: rng.normal(0, 1e-3) for h in range(0, 100, 8)}
    rows = [offer(at("00:00") + pd.Timedelta(hours=h), long_funding_rate=2e-4 * (h // 5)) for h in range(100)]
    past = [stamp(at("00:00") + pd.Timedelta(hours=h), rate=settled.get(h, np.nan)) for h in range(100)]
    market = build(rows, past)
    net = [settled[h // 8 * 8] - 2e-4 * (h // 5) for h in range(100)]
    assert math.isnan(feature(market, "net_rate_std_72h", 0))
    for t in (1, 30, 71, 72, 99):
        assert feature(market, "net_rate_std_72h", t) == pytest.approx(np.std(net[max(0, t - 71) : t + 1]))


def test_deviations_of_what_never_moves_are_exactly_zero():
    rows = [offer(at("00:00") + pd.Timedelta(hours=h), short_funding_rate=1e-4 / 3) for h in range(80)]
    market = build(rows)
    for name in ("return_std_24h", "net_rate_std_72h"):
        assert (market.slot_raw[2:, 0, SLOT_FEATURES.index(name)] == 0.0).all()


def test_trailing_rate_comes_from_both_legs_settlements_of_24_hours():
    hours = range(60)
    rows = [offer(at("00:00") + pd.Timedelta(hours=h), fund_profit_24h_proj=5.0) for h in hours]
    short = {8 * k: 0.001 * (k + 1) for k in range(8)}
    long = dict.fromkeys(hours, 0.0001)
    past = [stamp(at("00:00") + pd.Timedelta(hours=h), rate=short.get(h, np.nan)) for h in hours]
    past += [
        stamp(at("00:00") + pd.Timedelta(hours=h), "bybit", rate=long[h], interval=1.0)
        for h in hours
        if h >= 3
    ]
    market = build(rows, past)
    assert market.trail24[2, 0] == pytest.approx(0.05)  # the long leg has no history yet: the newest row's
    assert market.trail24[3, 0] == pytest.approx(0.001 - 8e-4)
    # At 40:00 the settlements at 24, 32, 40 are in (16:00, 40:00]; that at 16:00 is just outside.
    assert market.trail24[40, 0] == pytest.approx((0.004 + 0.005 + 0.006) / 24 * 8 - 8e-4)


def test_trailing_rate_is_null_where_neither_history_nor_row_knows_it():
    market = build([offer("10:00"), offer("11:00", "BBB", fund_profit_24h_proj=0.2)])
    assert math.isnan(market.trail24[1, 0])
    assert market.trail24[1, 1] == pytest.approx(0.002) and math.isnan(market.trail24[0, 1])
