"""An hour without one leg, and one in which a venue closes the winner: by hand, 50 coins at 100."""

from __future__ import annotations

import numpy as np
import pytest

from rl.replay import Group, Replay, replay
from rl.sim.env import HourRule, VectorSim, ordinary_hour
from rl.sim.state import KINDS, LIQUIDATIONS, ConfigArrays
from rl.stress.deleverage import DELEVERAGED, deleveraging
from rl.stress.late_leg import LateLeg, naked_hour, worst_late_leg
from rl.stress.subject import positions
from schemas.trading import MarketRules, TradingConfig
from tests.rl.market.market_frames import offer, stamp
from tests.rl.sim.held import FREE, ONE_TIMES, by_plan, market_of, row_of
from tests.rl.sim.markets import random_market

LONG_LATE, SHORT_LATE = 0, 1
FROM_9 = {"08:00": "enter"}  # decided at 8, filled at 9
Quotes = dict[int, float]  # by hour; holds until the next one


def market(long: Quotes, short: Quotes, long_pays: float = 0.0, short_pays: float = 0.0, **bars: Quotes):
    """Bybit (long) and binance (short) every hour from 6 to 14; funding every hour, bars where given."""
    rows, past = [], []
    for hour in range(6, 15):
        prices = [
            100.0 if hour < min(q, default=99) else q[max(h for h in q if h <= hour)] for q in (long, short)
        ]
        rows.append(
            offer(f"{hour:02d}:00", entry_long_price=prices[0], entry_short_price=prices[1],
                  long_funding_interval_hours=1.0, short_funding_interval_hours=1.0)
        )  # fmt: skip
        for venue, price, rate in (("bybit", prices[0], long_pays), ("binance", prices[1], short_pays)):
            low, high = (bars.get(f"{venue}_{end}", {}).get(hour, float("nan")) for end in ("low", "high"))
            past.append(
                stamp(f"{hour:02d}:00", venue, price=price, rate=rate, interval=1.0, low=low, high=high)
            )
    return market_of(rows, past)


def held(
    arrays, hour: HourRule, config: TradingConfig = ONE_TIMES, rules: MarketRules = FREE, plan=FROM_9
) -> Replay:
    actor = by_plan(arrays, "AAA", plan)
    told = replay(
        arrays, (0, arrays.n_hours - 1), rules, [Group("one", "agent", config, 1, actor)], hour=hour
    )
    booked = told.state.booked[0].sum()
    assert told.state.balance[0] == pytest.approx(10_000 + booked, abs=1e-9)
    assert told.flows["amount"].sum() == pytest.approx(booked, abs=1e-9)
    nlv = told.curves.balance + told.curves.unrealised - told.curves.closing_costs
    np.testing.assert_allclose(nlv, told.curves.nlv, atol=1e-9)
    assert told.trades["net_pnl"].sum() == pytest.approx(told.curves.nlv[-1, 0] - 10_000, abs=1e-9)
    return told


def late(arrays, leg: int) -> LateLeg:
    venue = ("bybit", "binance")[leg]
    return LateLeg(row_of(arrays, "09:00"), leg, arrays.venues.index(venue), 0.0)


def nlv_at(told: Replay, arrays, clock: str) -> float:
    return float(told.curves.nlv[row_of(arrays, clock), 0])


# -- a leg that is late --------------------------------------------------------------------------------


@pytest.mark.parametrize(("leg", "change"), [(LONG_LATE, -50 * 4.0), (SHORT_LATE, +50 * 4.0)])
def test_a_late_leg_misses_the_move_of_its_hour_and_no_other(leg: int, change: float) -> None:
    """Up 4 from 9 to 10: who has no long leg yet misses it, who has no short leg yet keeps it."""
    arrays = market({10: 104.0, 12: 90.0}, {10: 104.0, 12: 90.0})
    told = held(arrays, naked_hour(late(arrays, leg)))
    assert nlv_at(told, arrays, "09:00") == pytest.approx(10_000)
    assert nlv_at(told, arrays, "10:00") == pytest.approx(10_000 + change)
    assert nlv_at(told, arrays, "14:00") == pytest.approx(10_000 + change)
    assert told.state.entry[0, 0].tolist() == ([104.0, 100.0] if leg == LONG_LATE else [100.0, 104.0])


def test_a_late_leg_takes_no_part_in_the_funding_of_its_hour() -> None:
    # The short earns 50 x 100 x 0.001 = 5 an hour, the long pays 50 x 100 x 0.0004 = 2: five hours 10 to 14.
    arrays = market({}, {}, long_pays=0.0004, short_pays=0.001)
    whole = held(arrays, ordinary_hour)
    assert whole.curves.nlv[-1, 0] == pytest.approx(10_000 + 5 * (5 - 2))
    assert held(arrays, naked_hour(late(arrays, SHORT_LATE))).curves.nlv[-1, 0] == pytest.approx(10_010)
    assert held(arrays, naked_hour(late(arrays, LONG_LATE))).curves.nlv[-1, 0] == pytest.approx(10_017)


def test_the_margin_of_a_late_leg_is_that_of_its_own_entry() -> None:
    arrays = market({10: 104.0}, {10: 104.0})
    told = held(arrays, naked_hour(late(arrays, SHORT_LATE)))
    assert told.state.margin[0, 0].tolist() == [5_000.0, 5_200.0]


def test_a_leg_that_is_alone_can_be_liquidated_and_nothing_makes_up_for_it() -> None:
    # At 5x: 250 coins, margins of 5,000. The long is liquidated at 80.4; the low of the hour says 79.
    five = ONE_TIMES.model_copy(update={"leverage": 5.0})
    arrays = market({}, {}, bybit_low={10: 79.0})
    told = held(arrays, naked_hour(late(arrays, SHORT_LATE)), five)
    assert told.curves.nlv[-1, 0] == pytest.approx(10_000 - 5_000)
    assert told.state.counts[0, LIQUIDATIONS] == 1
    assert told.flows["kind"].tolist().count("liquidation") == 1
    # The same wick where the long is the leg that is not there yet.
    told = held(arrays, naked_hour(late(arrays, LONG_LATE)), five)
    assert told.curves.nlv[-1, 0] == pytest.approx(10_000)
    # With both legs in place the short closes at the long's price, so that little is lost.
    whole = held(arrays, ordinary_hour, five)
    assert 9_850 < whole.curves.nlv[-1, 0] < 10_000


def test_the_worst_leg_is_the_one_that_the_price_runs_away_from() -> None:
    arrays = market({10: 97.0, 11: 110.0}, {10: 96.0, 11: 110.0})
    told = held(arrays, ordinary_hour)
    worst = worst_late_leg(positions(told, arrays), arrays)
    assert worst is not None
    assert (worst.row, worst.leg) == (row_of(arrays, "09:00"), SHORT_LATE)
    assert worst.cost == pytest.approx(50 * 4.0)  # the price it would be sold at has fallen by 4
    told = held(arrays, naked_hour(worst))
    # Down 3 and up 13 on the long; the short only from 96 up to 110.
    assert told.curves.nlv[-1, 0] == pytest.approx(10_000 + 50 * (10 - 14))


def test_who_never_holds_anything_has_no_late_leg() -> None:
    arrays = market({}, {})
    told = held(arrays, ordinary_hour, plan={})
    assert worst_late_leg(positions(told, arrays), arrays) is None


# -- a winner that is closed by its venue ----------------------------------------------------------------


def test_the_winner_is_closed_at_fifteen_percent_and_the_loser_at_the_end_of_the_hour() -> None:
    arrays = market({12: 120.0}, {12: 121.0})
    told = held(arrays, deleveraging())
    trade = told.trades.iloc[0]
    assert trade["reason"] == DELEVERAGED
    assert (trade["exit_long"], trade["exit_short"]) == pytest.approx((115.0, 121.0))
    assert told.curves.nlv[-1, 0] == pytest.approx(10_000 + 50 * (15 - 21))
    falls = market({12: 80.0}, {12: 79.0})
    told = held(falls, deleveraging())
    assert told.curves.nlv[-1, 0] == pytest.approx(10_000 + 50 * (15 - 20))


def test_an_hour_of_exactly_fifteen_percent_deleverages_nobody() -> None:
    arrays = market({12: 115.0}, {12: 115.0})
    assert held(arrays, deleveraging()).trades.iloc[0]["reason"] == "end"


def test_the_move_is_that_of_one_hour_and_not_since_the_entry() -> None:
    arrays = market({10: 110.0, 11: 121.0, 12: 133.0}, {10: 110.0, 11: 121.0, 12: 133.0})
    assert held(arrays, deleveraging()).trades.iloc[0]["reason"] == "end"


def test_costs_are_a_fee_for_each_leg_and_slippage_for_the_one_that_is_sold() -> None:
    rules = FREE.model_copy(update={"default_taker_fee": 0.001, "slippage": True})
    arrays = market({12: 120.0}, {12: 120.0})
    told = held(arrays, deleveraging(), ONE_TIMES.model_copy(update={"target_utilization": 0.9}), rules)
    last = told.flows[told.flows["time"] == told.flows["time"].max()]
    by_leg = {(r.kind, r.side): r.amount for r in last.itertuples()}
    q = told.trades.iloc[0]["quantity"]
    assert by_leg["fee", "long"] == pytest.approx(-q * 115 * 0.001)
    assert by_leg["fee", "short"] == pytest.approx(-q * 120 * 0.001)
    assert by_leg["slippage", "short"] == pytest.approx(-q * 120 * 0.0005)  # a thin pair: 0.10 % in all
    assert ("slippage", "long") not in by_leg


def test_a_loser_that_is_liquidated_after_the_winner_was_closed_loses_its_whole_margin() -> None:
    # At 4x the short is liquidated at 125 / 1.005 = 124.4; the winner was closed at 115 before that.
    four = ONE_TIMES.model_copy(update={"leverage": 4.0})
    arrays = market({12: 130.0}, {12: 130.0})
    told = held(arrays, deleveraging(), four)
    assert told.curves.nlv[-1, 0] == pytest.approx(10_000 + 200 * 15 - 5_000)
    assert told.state.counts[0, LIQUIDATIONS] == 1


def test_a_wick_liquidates_the_loser_too() -> None:
    # At 4x the long is liquidated at 75 / 0.995 = 75.4; the hour ends at 80, and its low says 74.
    four = ONE_TIMES.model_copy(update={"leverage": 4.0})
    arrays = market({12: 80.0}, {12: 80.0}, bybit_low={12: 74.0})
    told = held(arrays, deleveraging(), four)
    assert told.curves.nlv[-1, 0] == pytest.approx(10_000 + 200 * 15 - 5_000)


def test_a_loser_that_is_liquidated_before_takes_the_winner_along_as_ever() -> None:
    # At 10x the short's trigger is 109.5: both legs are gone before the winner has gained 15 %.
    ten = ONE_TIMES.model_copy(update={"leverage": 10.0})
    arrays = market({12: 130.0}, {12: 130.0})
    told, whole = held(arrays, deleveraging(), ten), held(arrays, ordinary_hour, ten)
    assert told.curves.nlv.tolist() == whole.curves.nlv.tolist()
    assert told.trades.iloc[0]["reason"] == "liquidation"


@pytest.mark.parametrize("leverage", [1.0, 3.0, 5.0, 10.0])
@pytest.mark.parametrize("move", [0.7, 0.82, 1.18, 1.35])
def test_to_be_deleveraged_never_pays(leverage: float, move: float) -> None:
    config = ONE_TIMES.model_copy(update={"leverage": leverage})
    arrays = market({12: 100 * move}, {12: 100 * move})
    worse, whole = held(arrays, deleveraging(), config), held(arrays, ordinary_hour, config)
    assert worse.curves.nlv[-1, 0] <= whole.curves.nlv[-1, 0] + 1e-9


# -- many episodes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hour", [deleveraging(0.02), naked_hour(LateLeg(40, 0, 3, 0.0))], ids=["deleveraging", "naked"]
)
def test_capital_and_flows_and_what_is_open_give_the_nlv_in_many_random_episodes(hour: HourRule) -> None:
    arrays, n = random_market(5), 64
    rng = np.random.default_rng(0)
    sim = VectorSim(arrays, np.zeros((120, 10, 20), np.float32), MarketRules(), n, hour=hour)
    sim.reset(np.arange(n), np.zeros(n, int), np.full(n, 119), ConfigArrays.sample(n, rng))
    for _ in range(119):
        mask = sim.mask()
        sim.step(np.array([rng.choice(np.flatnonzero(m)) for m in mask]))
        s, val = sim.state, sim.valuation()
        nlv = 10_000 + s.booked.sum(axis=1) + val.unrealised.sum(axis=1) - val.closing.sum(axis=1)
        np.testing.assert_allclose(nlv, s.nlv, atol=1e-6)
        assert (s.margin >= -1e-9).all()
    assert (s.booked[:, KINDS.index("price")] != 0).all()


def test_an_hour_rule_that_meets_nothing_is_the_ordinary_hour_bit_for_bit() -> None:
    arrays = random_market(5)

    def run(hour: HourRule) -> np.ndarray:
        rng = np.random.default_rng(1)
        sim = VectorSim(arrays, np.zeros((120, 10, 20), np.float32), MarketRules(), 16, hour=hour)
        sim.reset(np.arange(16), np.zeros(16, int), np.full(16, 119), ConfigArrays.sample(16, rng))
        for _ in range(119):
            sim.step(np.array([rng.choice(np.flatnonzero(m)) for m in sim.mask()]))
        return sim.state.booked

    plain = run(ordinary_hour)
    assert run(deleveraging(10.0)).tolist() == plain.tolist()
    assert run(naked_hour(LateLeg(-5, 0, 0, 0.0))).tolist() == plain.tolist()
