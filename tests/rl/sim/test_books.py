"""The books against arithmetic done by hand, and the conservation of money."""

import numpy as np
import pytest

from rl.sim.env import VectorSim
from rl.sim.record import Recorder
from rl.sim.state import CLOSED, LIQUIDATIONS, STALE_EXITS, VOIDS, ConfigArrays
from schemas.trading import PRESETS, MarketRules, TradingConfig
from tests.rl.sim.markets import Builder, random_market

A, B = ("XUSDT", "binance"), ("XUSDT", "hyperliquid")
FREE_RULES = MarketRules(slippage=False, taker_fee={}, default_taker_fee=0.0)
ONE = TradingConfig(
    leverage=5, target_utilization=1.0, max_positions=1, stop_loss=0.0, liquidation_buffer=0.05
)
ENTER_LARGE, EXIT_0 = 21, 31  # slot 0 is the pair long A, short B


def sim_of(builder: Builder, rules: MarketRules, config: TradingConfig = ONE, n: int = 1) -> VectorSim:
    market = builder.build()
    recorder = Recorder(market, np.ones(n, bool))
    sim = VectorSim(market, market.slot_raw.astype(np.float32), rules, n, recorder)
    end = np.full(n, market.n_hours - 1)
    sim.reset(np.arange(n), np.zeros(n, int), end, ConfigArrays.of([config] * n))
    return sim


def walk(sim: VectorSim, *actions: int) -> list[float]:
    return [float(sim.step(np.array([a])).reward[0]) for a in actions]


def test_an_order_fills_at_the_quotes_of_the_next_hour() -> None:
    sim = sim_of(Builder({A: [100, 110, 110], B: [100, 112, 112]}), FREE_RULES)
    walk(sim, ENTER_LARGE)
    s = sim.state
    # Margin 1.0 x 10,000 / 1; half of it a leg, x 5: 25,000 / 100 at the decision's quotes = 250 coins.
    # They cost 250 x (110 + 112) / 5 = 11,100 an hour later, more than there is: void.
    assert s.counts[0, VOIDS] == 1
    sim = sim_of(Builder({A: [100, 99, 99], B: [100, 98, 98]}), FREE_RULES)
    walk(sim, ENTER_LARGE)
    s = sim.state
    assert s.quantity[0, 0] == pytest.approx(250)
    assert s.entry[0, 0].tolist() == [99, 98]
    assert s.margin[0, 0].tolist() == [250 * 99 / 5, 250 * 98 / 5]


def test_funding_of_a_step_by_hand() -> None:
    # Long pays 0.01 % at A, short receives 0.03 % at B, at row 2, on marks 100 and 102.
    builder = Builder({A: [100] * 4, B: [100, 100, 102, 100]}, events=[(2, A, 1e-4), (2, B, 3e-4)])
    sim = sim_of(builder, FREE_RULES, TradingConfig(**(ONE.model_dump() | {"leverage": 1.0})))
    walk(sim, ENTER_LARGE, 0)
    q = 10_000 / 2 / 100
    assert sim.state.flows[0, 0] == pytest.approx(-q * 100 * 1e-4 + q * 102 * 3e-4)
    assert sim.state.margin[0, 0, 0] == pytest.approx(q * 100 - q * 100 * 1e-4)  # paid out of the margin
    assert sim.state.margin[0, 0, 1] == pytest.approx(q * 100)  # received to free cash


def test_funding_at_the_fill_is_not_due_and_at_the_exit_it_is() -> None:
    events = [(1, A, 1e-3), (2, A, 1e-3), (3, A, 1e-3)]
    sim = sim_of(Builder({A: [100] * 5, B: [100] * 5}, events=events), FREE_RULES)
    walk(sim, ENTER_LARGE, EXIT_0, 0)  # opens at row 1, closes at row 2: (1, 2] holds the event of row 2 only
    assert sim.state.balance[0] == pytest.approx(10_000 - 250 * 100 * 1e-3)


def test_an_untouched_pair_loses_exactly_its_fees() -> None:
    rules = MarketRules(slippage=False)
    config = TradingConfig(**(ONE.model_dump() | {"target_utilization": 0.5}))
    sim = sim_of(Builder({A: [100] * 4, B: [100] * 4}), rules, config)
    walk(sim, ENTER_LARGE)
    notional = 0.5 * 10_000 / 2 * 5
    fees = 2 * notional * (0.0005 + 0.00045)
    # Equity already counts the cost of closing, so closing changes nothing.
    assert sim.state.nlv[0] == pytest.approx(10_000 - fees)
    walk(sim, EXIT_0)
    assert sim.state.nlv[0] == pytest.approx(10_000 - fees)
    assert sim.state.balance[0] == pytest.approx(10_000 - fees)


def test_slippage_is_half_the_spread_of_each_leg_at_each_fill() -> None:
    rules = MarketRules(taker_fee={}, default_taker_fee=0.0)
    config = TradingConfig(**(ONE.model_dump() | {"target_utilization": 0.5}))
    sim = sim_of(Builder({A: [100] * 4, B: [100] * 4}, half_spread=1e-4), rules, config)
    walk(sim, ENTER_LARGE, EXIT_0)
    assert sim.state.nlv[0] == pytest.approx(10_000 - 4 * 12_500 * 1e-4)


def test_a_liquidated_leg_loses_its_margin_and_the_other_closes_where_it_stood() -> None:
    # 5x: W = q E / 5; the long's trigger is E (1 - 0.2) / 0.995 = 80.402. A low of 70 strikes it.
    builder = Builder({A: [100, 100, 90, 90], B: [100, 100, 91, 91]}, low={A: {2: 70.0}})
    sim = sim_of(builder, FREE_RULES)
    walk(sim, ENTER_LARGE, 0)
    trigger = (100 - 20) / 0.995
    gain = 250 * (100 - trigger * 100 / 100)  # the short closes at trigger x its mark / the long's mark at t
    assert sim.state.counts[0, LIQUIDATIONS] == 1
    assert sim.state.balance[0] == pytest.approx(10_000 - 250 * 20 + gain)
    assert not sim.state.active.any()


def test_both_margins_are_lost_when_both_triggers_lie_inside_the_hour() -> None:
    builder = Builder({A: [100] * 4, B: [100] * 4}, low={A: {2: 70.0}}, high={B: {2: 130.0}})
    sim = sim_of(builder, FREE_RULES)
    walk(sim, ENTER_LARGE, 0)
    assert sim.state.balance[0] == pytest.approx(10_000 - 2 * 250 * 20)


def test_a_liquidation_never_pays_more_than_closing_at_the_same_prices() -> None:
    for side, low, high in ((0, {A: {2: 10.0}}, {}), (1, {}, {B: {2: 500.0}})):
        builder = Builder({A: [100] * 4, B: [100] * 4}, low=low, high=high)
        sim = sim_of(builder, MarketRules(slippage=False))
        walk(sim, ENTER_LARGE)
        q, free_before = sim.state.quantity[0, 0], sim.state.balance[0]
        trigger = 80 / 0.995 if side == 0 else 120 / 1.005
        by_hand = q * (trigger - 100) + q * (100 - trigger) - q * trigger * (0.0005 + 0.00045)
        walk(sim, 0)
        assert sim.state.balance[0] - free_before <= by_hand


def test_a_stale_leg_pays_but_never_earns_and_is_closed_with_a_penalty() -> None:
    ages = [0, 0, 1, 2, 3, 4, 5]
    for rate, expected in ((+2e-3, 0.0), (-2e-3, -2e-3)):  # B is short: it earns at positive rates
        builder = Builder({A: [100] * 7, B: [100] * 7}, events=[(5, B, rate)], age={B: ages})
        sim = sim_of(builder, FREE_RULES)
        walk(sim, ENTER_LARGE, 0, 0, 0)
        assert sim.state.active[0, 0]
        walk(sim, 0)  # row 5: four hours old
        assert sim.state.counts[0, STALE_EXITS] == 1
        assert sim.state.balance[0] == pytest.approx(10_000 + 25_000 * expected - 25_000 * 0.005)


def test_stop_loss_and_buffer_close_at_the_marks_they_were_judged_on() -> None:
    stop = TradingConfig(
        leverage=5, target_utilization=1, max_positions=1, stop_loss=-0.02, liquidation_buffer=0.05
    )
    builder = Builder({A: [100, 100, 94, 94], B: [100, 100, 100, 100]})
    sim = sim_of(builder, FREE_RULES, stop)
    walk(sim, ENTER_LARGE, 0)  # loss 6 of 200 notional: 3 % > 2 %
    assert sim.recorder.trades_frame()["reason"].tolist() == ["stop_loss"]
    assert sim.state.balance[0] == pytest.approx(10_000 - 250 * 6)
    near = TradingConfig(
        leverage=5, target_utilization=1, max_positions=1, stop_loss=0.0, liquidation_buffer=0.5
    )
    builder = Builder({A: [100, 100, 88, 88], B: [100, 100, 88, 88]})
    sim = sim_of(builder, FREE_RULES, near)
    walk(sim, ENTER_LARGE, 0)  # long: (20 - 12 - 0.44) / (20 - 0.5) = 0.388 < 0.5
    assert sim.recorder.trades_frame()["reason"].tolist() == ["buffer"]


def test_money_is_conserved_and_rewards_sum_to_the_return_in_random_episodes() -> None:
    rules = MarketRules(impact_k=0.1)
    events = np.zeros(5, int)
    for seed in range(8):
        market = random_market(seed)
        n = 24
        rng = np.random.default_rng(seed)
        recorder = Recorder(market, np.ones(n, bool))
        sim = VectorSim(market, market.slot_raw.astype(np.float32), rules, n, recorder)
        sim.reset(np.arange(n), np.zeros(n, int), np.full(n, market.n_hours - 1), ConfigArrays.sample(n, rng))
        total = np.zeros(n)
        while not sim.state.done.all():
            mask = sim.mask()
            action = np.array([rng.choice(np.nonzero(m)[0]) for m in mask])
            total += sim.step(action).reward
        s, val = sim.state, sim.valuation()
        open_value = (val.unrealised - val.closing).sum(axis=1)
        np.testing.assert_allclose(10_000 + s.booked.sum(axis=1), s.balance, rtol=1e-12)
        np.testing.assert_allclose(s.balance + open_value, s.nlv, rtol=1e-12)
        np.testing.assert_allclose(total, 100 * (s.nlv / 10_000 - 1), atol=1e-9)
        flows = recorder.flows_frame().groupby("env")["amount"].sum().reindex(range(n), fill_value=0.0)
        np.testing.assert_allclose(10_000 + flows.to_numpy(), s.balance, rtol=1e-9)
        recorder.finish(s, val.unrealised, val.closing)
        trades = recorder.trades_frame().groupby("env")["net_pnl"].sum().reindex(range(n), fill_value=0.0)
        np.testing.assert_allclose(10_000 + trades.to_numpy(), s.nlv, rtol=1e-9)
        assert (s.counts[:, CLOSED] > 0).any()
        events += [*s.counts[:, LIQUIDATIONS:CLOSED].sum(axis=0)[:4].tolist(), int(s.counts[:, VOIDS].sum())]
    assert (events > 0).all(), (
        "the random markets must reach liquidations, stale, stop and buffer exits, and voids"
    )


def test_random_episodes_stay_within_their_profile() -> None:
    market = random_market(3)
    sim = VectorSim(market, market.slot_raw.astype(np.float32), MarketRules(), 3)
    sim.reset(np.arange(3), np.zeros(3, int), np.full(3, 119), ConfigArrays.of(list(PRESETS.values())))
    rng = np.random.default_rng(0)
    while not sim.state.done.all():
        sim.step(np.array([rng.choice(np.nonzero(m)[0]) for m in sim.mask()]))
        s = sim.state
        assert (s.active.sum(axis=1) <= s.max_positions).all()
        for env in range(3):
            held = s.leg[env][s.active[env]].ravel()
            assert len(set(held.tolist())) == held.size  # no instrument twice
