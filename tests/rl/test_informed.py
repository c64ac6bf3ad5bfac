"""The informed optimum: nobody does better than the bounce that noise leaves, and no change helps it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from rl.baselines import greedy, greedy_now, hold_until_flip, random_valid
from rl.informed import informed
from rl.market.known import Known, enact, generate
from rl.market.known_rows import BASIS_MOST, Script
from rl.sim.env import VectorSim
from schemas.certify import BARS, Bar
from schemas.trading import PRESETS, TradingConfig
from tests.rl.known_play import RULES, Side, Trade, by_informed, by_plan, side_by_side, trades_of

SEEDS = (1000, 1001, 1002, 1003)
DAYS = 30
by_bar = pytest.mark.parametrize("bar", BARS, ids=lambda bar: f"{bar.market}, {bar.profile}")


@cache
def market_of(name: str, seed: int) -> Known:
    return generate(name, DAYS, seed)


def bounce(config: TradingConfig) -> float:
    """The most that the two fills of one trade can earn by noise, percent of equity."""
    leg = config.target_utilization / config.max_positions / 2.0 * config.leverage
    return 100.0 * 4.0 * BASIS_MOST * leg


def by_rule(rule: str, seed: int = 0) -> Side:
    rng = np.random.default_rng(seed)

    def act(t: int, sim: VectorSim, env: int) -> int:
        mask = sim.mask()[env : env + 1]
        if rule == "random":
            return int(random_valid(mask, rng.random(1))[0])
        told = (sim.market.slot_raw[t], sim.private()[env : env + 1], mask)
        if rule == "hold until flip":
            return int(hold_until_flip(*told, entry_apr=20.0)[0])
        return int((greedy if rule == "greedy" else greedy_now)(*told)[0])

    return act


@pytest.mark.parametrize("seed", SEEDS)
@by_bar
def test_it_beats_every_rule_and_chance_and_is_never_liquidated(bar: Bar, seed: int) -> None:
    known = market_of(bar.market, seed)
    plan = informed(known, known.market.n_hours - 1, bar.config)
    rules = [by_rule(rule) for rule in ("greedy", "greedy now", "hold until flip")]
    chance = [by_rule("random", run) for run in range(20)]
    sides = [by_informed(plan), *rules, *chance]
    told = side_by_side(known, [bar.config] * len(sides), sides)
    assert told.liquidations[0] == 0
    if bar.market == "no edge":
        assert (told.returns[0], told.trades[0]) == (0.0, 0)
        assert (told.returns[1:] <= 0.0).all()
        return
    assert told.returns[0] > 1.0
    assert (told.returns[1:] < told.returns[0] + bounce(bar.config)).all()


@by_bar
def test_no_change_of_one_trade_gains_on_average(bar: Bar) -> None:
    gains: dict[str, list[float]] = {"in late": [], "out early": [], "out late": []}
    for seed in SEEDS:
        known = market_of(bar.market, seed)
        plan = informed(known, known.market.n_hours - 1, bar.config)
        trades = trades_of(known, bar.config, plan)
        changed: list[tuple[str, list[Trade]]] = [("as it is", trades)]
        last = known.market.n_hours - 1
        for at, trade in enumerate(trades):
            out = last if trade.leave is None else trade.leave
            others = {
                "in late": replace(trade, enter=trade.enter + 24),
                "out early": replace(trade, leave=out - 24),
                "out late": replace(trade, leave=None if trade.leave is None else out + 24),
            }
            changed += [(name, [*trades[:at], other, *trades[at + 1 :]]) for name, other in others.items()]
        sides = [by_informed(plan), *(by_plan(each) for _, each in changed)]
        told = side_by_side(known, [bar.config] * len(sides), sides)
        assert told.returns[1] == pytest.approx(told.returns[0], abs=1e-9)  # the plan is what it does
        for (name, _), gain in zip(changed[1:], told.returns[2:] - told.returns[0], strict=True):
            gains[name].append(float(gain))
    if bar.market == "no edge":
        assert not gains["in late"]  # it does nothing, and nothing can be changed
        return
    assert np.mean(gains["in late"]) < 0.0
    assert np.mean(gains["out early"]) < 0.0
    # A pair whose spell is over pays nothing: what is left is noise, a tenth of one bounce at most.
    assert np.mean(gains["out late"]) < bounce(bar.config) / 10.0


def written(*spells: tuple[int, int, int], sign: float = 1.0, safe: float = np.inf) -> Known:
    """Two coins without noise; each spell (coin, from, until) pays 0.08 % per 8 h, 0.01 % an hour.

    It pays who is long in the east; every other spell, if the sign is -1, who is short there.
    """
    carry = np.zeros((360, 2))
    for number, (coin, begin, end) in enumerate(spells):
        carry[begin:end, coin] = 8e-4 * sign**number
    nothing = np.zeros_like(carry)
    script = Script(carry, nothing, nothing, nothing + 4.0, np.full(2, safe))
    return enact(script, np.random.default_rng(0), RULES)


def done(known: Known, config: TradingConfig) -> list[tuple[int, int, int | None]]:
    """(coin, decision to enter, decision to leave) of the informed trades."""
    market = known.market
    plan = informed(known, market.n_hours - 1, config)
    trades = trades_of(known, config, plan)
    return [(int(market.symbols[market.pair_long[x.pair]][-1]), x.enter, x.leave) for x in trades]


ONE = PRESETS["moderate"].model_copy(update={"max_positions": 1})


def test_a_spell_is_traded_if_it_brings_more_than_a_round_trip_and_from_its_first_hour_to_its_last() -> None:
    # 24 hours of 0.01 % are the round trip's 0.24 %. The first settlement is at 100: decided at 98, filled
    # at 99. The last one of 25 is at 124, and whoever closes on it still gets it: decided at 123.
    assert done(written((0, 100, 124)), ONE) == []
    assert done(written((0, 100, 125)), ONE) == [(0, 98, 123)]


def test_a_pause_is_held_through_if_another_coin_brings_less_meanwhile_than_it_costs() -> None:
    both = PRESETS["moderate"]
    for pause in (40, 80):
        spells = ((0, 50, 150), (1, 150, 150 + pause), (0, 150 + pause, 250 + pause))
        # There and back are two round trips, 0.48 % or 48 hours, and an hour each between the fills.
        changes = [(0, 48, 147), (1, 148, 147 + pause), (0, 148 + pause, 248 + pause)]
        assert done(written(*spells), ONE) == ([(0, 48, 248 + pause)] if pause == 40 else changes)
        # With a place for each, a pause costs nothing.
        assert done(written(*spells), both) == [(0, 48, 248 + pause), (1, 148, 148 + pause)]


def test_a_coin_that_turns_is_left_before_it_is_entered_the_other_way_round() -> None:
    spells = ((0, 50, 150), (0, 152, 232), (0, 234, 334))
    in_turn = [(0, 48, 148), (0, 150, 230), (0, 232, 332)]
    known = written(*spells, sign=-1.0)
    assert done(known, PRESETS["moderate"]) == in_turn
    one, two, three = trades_of(known, ONE, informed(known, known.market.n_hours - 1, ONE))
    assert one.pair == three.pair != two.pair


def test_of_two_coins_and_one_place_the_longer_spell_is_taken() -> None:
    assert done(written((0, 50, 100), (1, 60, 160)), ONE) == [(1, 58, 158)]


def test_a_pair_that_the_leverage_does_not_survive_is_left_alone() -> None:
    known = written((0, 100, 300), safe=4.0)
    assert done(known, ONE.model_copy(update={"leverage": 4.0})) == [(0, 98, 298)]
    assert done(known, ONE.model_copy(update={"leverage": 4.1})) == []
