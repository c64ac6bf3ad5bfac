"""Maintenance margins and liquidation prices by hand."""

import numpy as np
import pytest

from rl.sim.env import VectorSim
from rl.sim.margin import SIDE, MarginTables, liquidation_distance, liquidation_price
from rl.sim.state import ConfigArrays
from schemas.trading import MarginTier, MarketRules, TradingConfig, maintenance_amounts
from tests.rl.sim.markets import Builder, random_market

TWO_TIERS = (MarginTier(above=0, rate=0.005), MarginTier(above=20_000, rate=0.01))


def test_liquidation_prices_of_the_published_vector() -> None:
    # E = 20,000, q = 1, L = 50: W = 400. Long (400 - 20000) / (0.005 - 1), short (400 + 20000) / 1.005.
    price = liquidation_price(
        np.array([400.0, 400.0]), np.array([1.0]), np.array([20_000.0] * 2), SIDE, 0.005
    )
    assert price[0] == pytest.approx(19_698.492462, abs=1e-6)
    assert price[1] == pytest.approx(20_298.507463, abs=1e-6)


def test_distance_is_one_at_entry_zero_at_liquidation_and_negative_beyond() -> None:
    q, entry, margin = np.array([1.0]), np.array([20_000.0] * 2), np.array([400.0] * 2)
    trigger = liquidation_price(margin, q, entry, SIDE, 0.005)

    def at(mark: np.ndarray) -> np.ndarray:
        return liquidation_distance(margin, q, entry, mark, SIDE, np.array([50.0]), 0.005)

    assert at(entry) == pytest.approx([1.0, 1.0])
    assert at(trigger) == pytest.approx([0.0, 0.0], abs=1e-9)
    assert (at(trigger - SIDE * 100) < 0).all()


def test_margin_eaten_by_funding_moves_the_trigger_closer() -> None:
    q, entry = np.array([1.0]), np.array([20_000.0] * 2)
    full = liquidation_price(np.array([400.0] * 2), q, entry, SIDE, 0.005)
    eaten = liquidation_price(np.array([200.0] * 2), q, entry, SIDE, 0.005)
    assert eaten[0] > full[0]
    assert eaten[1] < full[1]


def tables(**venues: tuple[MarginTier, ...]) -> MarginTables:
    names = tuple(venues)
    return MarginTables.of(MarketRules(margin_tiers=venues, default_margin_tiers=TWO_TIERS), (*names, "else"))


def test_the_published_vector_on_the_edge_of_a_tier_and_just_beyond_it() -> None:
    # c of the second tier: 0 + 20,000 x (0.01 - 0.005) = 100. On 20,000 the first tier still applies:
    # (400 - 20,000) / -0.995 and 20,400 / 1.005. Beyond: (400 + 100 - 20,000) / -0.99 = 19,696.97 and
    # (400 + 100 + 20,000) / 1.01 = 20,297.03.
    assert maintenance_amounts(TWO_TIERS) == (0.0, pytest.approx(100.0))
    entry = np.array([20_000.0] * 2)
    for quantity, expected in (
        (1.0, (19_698.492462, 20_298.507463)),
        (1.0000001, (19_696.969697, 20_297.029703)),
    ):
        m, c = tables().of_legs(np.array([0, 0]), quantity * entry)
        price = liquidation_price(quantity * entry / 50, np.array([quantity] * 2), entry, SIDE, m, c)
        assert price.tolist() == pytest.approx(expected, abs=2e-5)


def test_the_maintenance_margin_does_not_jump_where_a_tier_begins() -> None:
    three = (
        MarginTier(above=0, rate=0.004),
        MarginTier(above=5_000, rate=0.01),
        MarginTier(above=9_000, rate=0.05),
    )
    # By hand: 5,000 x 0.006 = 30, and 30 + 9,000 x 0.04 = 390.
    assert maintenance_amounts(three) == pytest.approx((0.0, 30.0, 390.0))
    for edge, margin in ((5_000, 20.0), (9_000, 60.0)):
        for notional in (edge * (1 - 1e-6), edge * (1 + 1e-6)):
            m, c = tables(x=three).of_legs(np.array(0), np.array(notional))
            assert m * notional - c == pytest.approx(margin, rel=1e-4)


def test_each_venue_has_its_own_table_and_others_the_default() -> None:
    own = tables(x=(MarginTier(above=0, rate=0.02),))
    m, c = own.of_legs(np.array([[0, 1], [0, 1]]), np.array([[1e6, 1e6], [1.0, 1.0]]))
    assert m.tolist() == [[0.02, 0.01], [0.02, 0.005]]
    assert c.tolist() == [[0.0, pytest.approx(100.0)], [0.0, 0.0]]


def test_a_legs_tier_is_that_of_its_notional_at_entry_and_stays_it() -> None:
    # 5x of 10,000, all of it: 250 coins at 100 and 101: 25,000 and 25,250, on both sides of 25,100.
    tiers = (MarginTier(above=0, rate=0.005), MarginTier(above=25_100, rate=0.01))
    builder = Builder({("X", "a"): [100, 100, 103, 103], ("X", "b"): [100, 101, 98, 98]})
    market = builder.build()
    rules = MarketRules(slippage=False, default_taker_fee=0.0, default_margin_tiers=tiers, drawdown_limit=1.0)
    config = TradingConfig(leverage=5, target_utilization=0.9, max_positions=1, stop_loss=0)
    sim = VectorSim(market, market.slot_raw.astype(np.float32), rules, 1)
    sim.reset(np.array([0]), np.array([0]), np.array([3]), ConfigArrays.of([config]))
    state = sim.state
    for action in (21, 0):
        sim.step(np.array([action]))
        q = 0.9 * 10_000 / 2 * 5 / 100
        assert state.quantity[0, 0] == q == 225
        assert state.maintenance[0, 0].tolist() == [0.005, 0.005]  # 22,500 and 22,725
    sim.reset(
        np.array([0]),
        np.array([0]),
        np.array([3]),
        ConfigArrays.of([config.model_copy(update={"target_utilization": 0.995})]),
    )
    for action in (21, 0):
        sim.step(np.array([action]))
        # 248.75 coins: 24,875 long and 25,123.75 short at entry; 25,621.25 and 24,377.50 an hour later.
        assert sim.state.maintenance[0, 0].tolist() == [0.005, 0.01]
        assert sim.state.maintenance_amount[0, 0].tolist() == [0.0, pytest.approx(125.5)]


def test_a_table_of_equal_rates_is_the_flat_rate_bit_for_bit() -> None:
    market = random_market(2)
    flat, cut = (
        MarketRules(),
        MarketRules(default_margin_tiers=tuple(MarginTier(above=a, rate=0.005) for a in (0, 500, 5_000))),
    )
    n, ends = 16, []
    for rules in (flat, cut):
        rng = np.random.default_rng(0)
        sim = VectorSim(market, market.slot_raw.astype(np.float32), rules, n)
        sim.reset(np.arange(n), np.zeros(n, int), np.full(n, 119), ConfigArrays.sample(n, rng))
        seen = []
        while not sim.state.done.all():
            sim.step(np.array([rng.choice(np.nonzero(row)[0]) for row in sim.mask()]))
            seen.append(sim.private())
        ends.append(
            (np.array(seen).tobytes(), sim.state.balance.tobytes(), int(sim.state.counts[:, 4].sum()))
        )
    assert ends[0] == ends[1]
    assert ends[0][2] > 0, "liquidations must occur"
