"""Liquidations by hand: 250 coins on each leg at 5x, entered at 100, no fees unless said."""

import numpy as np
import pytest

from rl.sim.env import VectorSim
from rl.sim.state import LIQUIDATIONS, ConfigArrays
from schemas.trading import MarginTier, MarketRules, TradingConfig
from tests.rl.sim.markets import Builder

A, B = ("XUSDT", "binance"), ("XUSDT", "hyperliquid")  # slot 0 is long A, short B
FREE = MarketRules(slippage=False, taker_fee={}, default_taker_fee=0.0)
FIVE = TradingConfig(
    leverage=5, target_utilization=1.0, max_positions=1, stop_loss=0, liquidation_buffer=0.05
)
Q = 250.0


def after(builder: Builder, rules: MarketRules = FREE, config: TradingConfig = FIVE) -> VectorSim:
    """Enter in the first hour and hold to the end."""
    market = builder.build()
    sim = VectorSim(market, market.slot_raw.astype(np.float32), rules, 1)
    last = market.n_hours - 1
    sim.reset(np.array([0]), np.array([0]), np.array([last]), ConfigArrays.of([config]))
    for step in range(last):
        sim.step(np.array([21 if step == 0 else 0]))
    return sim


def flat(**bars: dict) -> Builder:
    return Builder({A: [100.0] * 4, B: [100.0] * 4}, **bars)


@pytest.mark.parametrize(("low", "struck"), [(80.5, 0), (80.4, 1)])
def test_a_low_beyond_the_longs_trigger_liquidates_it(low: float, struck: int) -> None:
    # W = 100 / 5 = 20 a coin: (20 - 100) / (0.005 - 1) = 80.402.
    assert after(flat(low={A: {2: low}})).state.counts[0, LIQUIDATIONS] == struck


@pytest.mark.parametrize(("high", "struck"), [(119.4, 0), (119.41, 1)])
def test_a_high_beyond_the_shorts_trigger_liquidates_it(high: float, struck: int) -> None:
    # (20 + 100) / (0.005 + 1) = 119.403.
    assert after(flat(high={B: {2: high}})).state.counts[0, LIQUIDATIONS] == struck


def test_lows_of_the_short_leg_and_highs_of_the_long_one_harm_nobody() -> None:
    sim = after(flat(low={B: {2: 1.0}}, high={A: {2: 1e4}}))
    assert sim.state.counts[0, LIQUIDATIONS] == 0
    assert sim.state.balance[0] == 10_000


def test_the_mark_at_the_end_of_the_hour_is_a_trigger_too() -> None:
    sim = after(Builder({A: [100, 100, 79, 79], B: [100, 100, 79, 79]}))
    assert sim.state.counts[0, LIQUIDATIONS] == 1


def test_the_surviving_leg_closes_at_the_price_it_had_then_with_a_fee() -> None:
    # Marks at t: 100 and 98. The long is struck at 80.402; the short stood at 80.402 x 98 / 100 = 78.794
    # and earns 250 x (100 - 78.794), less 0.1 % of what it closes; where it went later is nobody's.
    rules = FREE.model_copy(update={"default_taker_fee": 0.001})
    config = FIVE.model_copy(update={"target_utilization": 0.5})  # 125 coins: the entry's fees are paid too
    builder = Builder({A: [100, 100, 100, 60], B: [100, 100, 98, 59]}, low={A: {3: 50.0}})
    sim = after(builder, rules, config)
    q, trigger = 125.0, 80 / 0.995
    other = trigger * 98 / 100
    fees = q * 200 * 0.001 + q * other * 0.001
    assert sim.state.balance[0] == pytest.approx(10_000 - q * 20 + q * (100 - other) - fees)


def test_a_struck_short_closes_the_long_by_the_same_proportion() -> None:
    # Marks at t: 102 long, 100 short. The short is struck at 119.403; the long stood at 119.403 x 1.02.
    sim = after(Builder({A: [100, 100, 102, 102], B: [100, 100, 100, 100]}, high={B: {3: 200.0}}))
    trigger = 120 / 1.005
    assert sim.state.balance[0] == pytest.approx(10_000 - Q * 20 + Q * (trigger * 1.02 - 100))


def test_both_legs_struck_in_one_hour_lose_both_margins_and_nothing_else() -> None:
    sim = after(flat(low={A: {2: 70.0}}, high={B: {2: 130.0}}))
    assert sim.state.balance[0] == pytest.approx(10_000 - 2 * Q * 20)
    assert sim.state.counts[0, LIQUIDATIONS] == 1


@pytest.mark.parametrize(("rate", "struck"), [(0.0, 0), (0.05, 1)])
def test_funding_paid_in_the_hour_brings_the_trigger_closer_in_that_hour(rate: float, struck: int) -> None:
    # The long pays 5 of its 20 a coin: (15 - 100) / -0.995 = 85.427 instead of 80.402. A low of 85.4.
    sim = after(flat(low={A: {2: 85.4}}, events=[(2, A, rate)]))
    assert sim.state.counts[0, LIQUIDATIONS] == struck
    if struck:
        # 15 of margin is left to lose, and the short stood at 85.427 too.
        gain = 100 - 85 / 0.995
        assert sim.state.balance[0] == pytest.approx(10_000 + Q * (-5 - 15 + gain))


def test_funding_beyond_the_margin_comes_out_of_free_cash_and_the_margin_is_lost_only_once() -> None:
    # Half of the capital at 10x: 250 coins, W = 10 a coin. The long pays 12: 10 from W, 2 from free cash.
    # Its trigger is 100 / 0.995 = 100.503, above the mark: liquidated, with nothing left to lose. The
    # short closes at 100.503.
    config = FIVE.model_copy(update={"leverage": 10.0, "target_utilization": 0.5})
    sim = after(flat(events=[(2, A, 0.12)]), config=config)
    assert sim.state.counts[0, LIQUIDATIONS] == 1
    assert sim.state.balance[0] == pytest.approx(10_000 + Q * (-12 + 100 - 100 / 0.995))
    assert sim.free[0] == sim.state.balance[0]


def test_a_higher_tier_liquidates_earlier() -> None:
    # 25,000 a leg. Above 10,000 m = 5 %, c = 10,000 x 0.045 = 450, 1.80 a coin:
    # (20 + 1.80 - 100) / (0.05 - 1) = 82.316 instead of 80.402.
    tiers = (MarginTier(above=0, rate=0.005), MarginTier(above=10_000, rate=0.05))
    steep = FREE.model_copy(update={"default_margin_tiers": tiers})
    for low, struck in ((82.32, 0), (82.31, 1)):
        sim = after(flat(low={A: {2: low}}), steep)
        assert sim.state.counts[0, LIQUIDATIONS] == struck
        assert after(flat(low={A: {2: low}})).state.counts[0, LIQUIDATIONS] == 0
    # All of the margin goes, whatever the tier; the short stood at the trigger.
    assert sim.state.balance[0] == pytest.approx(10_000 + Q * (-20 + 100 - 78.2 / 0.95))
