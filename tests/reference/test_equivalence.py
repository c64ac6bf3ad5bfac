"""The vectorised simulator agrees with the one written a second time, in decimals, on everything it books."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from rl.market.arrays import MarketArrays
from schemas.trading import MarketRules, TradingConfig
from tests.reference import adapter
from tests.reference.cases import Lane
from tests.reference.compare import Tally, compare_on, run
from tests.reference.markets import random_market, tame
from tests.reference.model import Replay
from tests.reference.simulator import Episode

VISITED = [
    "buffer_exits",
    "episodes that settle at the close",
    "episodes that settle at the open",
    "flows of funding",
    "flows of penalty",
    "funding estimated",
    "funding off the hour",
    "invalid",
    "legs_in_a_higher_tier",
    "liquidations",
    "margin wholly eaten by funding",
    "settlements on the closing fill",
    "settlements on the opening fill",
    "several settlements of a leg in one step",
    "stale_exits",
    "stop_exits",
    "terminated",
    "truncated",
]
VISITED_SELDOM = ["both_legs", "funding of a stale leg", "legs_liquidated_in_a_higher_tier"]
VISITED_WITH_A_DELAY = ["void entry, quote", "void exit, gone", "closed in the step of the fill"]
CASES = {0: 25, 1: 50, 2: 25}  # by delay, of two episodes each


def agree(delay: int, cases: int) -> None:
    tally = Tally()
    run(cases, delay, tally)
    print(f"\n{tally}")
    assert tally.episodes >= 2 * cases
    expected = VISITED + (VISITED_WITH_A_DELAY if delay else [])
    for name in expected + (VISITED_SELDOM if tally.episodes >= 100 else []):
        assert tally.visited[name], f"{name} never happened"


@pytest.mark.parametrize("delay", CASES)
def test_every_flow_mask_and_observation_agrees_with_the_reference(delay: int) -> None:
    agree(delay, CASES[delay])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("delay", CASES)
def test_two_thousand_episodes_agree_with_the_reference(delay: int) -> None:
    agree(delay, 10 * CASES[delay])


# -- thresholds ------------------------------------------------------------------------------------

ENTER, HOURS = 21, 60  # the large size of the first slot; decided in the first hour, filled in the second
WITHIN, BEYOND = 0.4e-9, 3e-9
CONFIG = TradingConfig(
    leverage=5.0, target_utilization=0.5, max_positions=1, stop_loss=0.0, liquidation_buffer=0.05
)


def wandering() -> MarketArrays:
    """Two venues of one coin that drift apart a little; no funding to speak of."""
    return random_market(tame(seed=4, volatility=0.01, apart=0.004))


def one_position(
    market: MarketArrays, rules: MarketRules, config: TradingConfig, end: int = HOURS - 1
) -> Replay:
    """Both simulators, which agree, enter the first offer at once and hold."""
    lane = Lane(config, 0, end, {})
    return compare_on(market, rules, [lane], Tally(), [[ENTER] + [0] * HOURS])[0]


def lowest(replay: Replay, index: int) -> tuple[int, float]:
    """Where a number of the observation is lowest while the position is held, and how low."""
    values = [o[index] if o[15] else np.inf for o in replay.observations]
    return int(np.argmin(values)), float(np.min(values))


@pytest.mark.parametrize(("apart", "closed"), [(WITHIN, 0), (BEYOND, 1)])
def test_a_stop_loss_within_a_billionth_is_allowed_and_beyond_it_triggers(apart: float, closed: int) -> None:
    market, rules = wandering(), MarketRules()
    _, share = lowest(one_position(market, rules, CONFIG), 16)
    stop = CONFIG.model_copy(update={"stop_loss": share * (1 - apart)})
    assert one_position(market, rules, stop).final.get("stop_exits", 0) == closed


@pytest.mark.parametrize(("apart", "closed"), [(WITHIN, 0), (BEYOND, 1)])
def test_a_buffer_within_a_billionth_is_allowed_and_beyond_it_triggers(apart: float, closed: int) -> None:
    market, rules = wandering(), MarketRules()
    _, distance = lowest(one_position(market, rules, CONFIG), 26)
    assert 0.05 < distance < 1
    buffer = CONFIG.model_copy(update={"liquidation_buffer": distance * (1 + apart)})
    assert one_position(market, rules, buffer).final.get("buffer_exits", 0) == closed


@pytest.mark.parametrize(("apart", "terminated"), [(WITHIN, False), (BEYOND, True)])
def test_a_drawdown_within_a_billionth_is_allowed_and_in_the_last_hour_it_is_no_truncation(
    apart: float, terminated: bool
) -> None:
    market, rules = wandering(), MarketRules()
    worst = one_position(market, rules, CONFIG).observations[-1][11]
    drawdowns = [o[10] for o in one_position(market, rules, CONFIG).observations]
    limited = MarketRules(drawdown_limit=worst * (1 - apart))
    replay = one_position(market, limited, CONFIG, end=drawdowns.index(worst))
    assert (replay.terminated, replay.truncated) == (terminated, not terminated)


@pytest.mark.parametrize("side", ["low", "high"])
@pytest.mark.parametrize(("apart", "struck"), [(-WITHIN, 0), (0.0, 0), (WITHIN, 0), (BEYOND, 1)])
def test_a_bar_within_a_billionth_of_the_trigger_is_allowed_and_beyond_it_liquidates(
    side: str, apart: float, struck: int
) -> None:
    market, rules = wandering(), MarketRules()
    episode = Episode(
        adapter.market_of(market), adapter.profile_of(CONFIG), adapter.rules_of(rules, market.venues), 0, 59
    )
    row = 6
    for action in [ENTER] + [0] * (row - 1):
        episode.step(action)
    position = episode.slots[0]
    assert position is not None
    leg = position.long if side == "low" else position.short
    trigger = float(episode._liquidation_price(position, leg))
    bars = getattr(market, side).copy()
    bars[row, leg.instrument] = trigger * (1 - leg.side * apart)
    replay = one_position(replace(market, **{side: bars}), rules, CONFIG)
    assert replay.final.get("liquidations", 0) == struck


@pytest.mark.parametrize(("apart", "valid"), [(WITHIN, True), (BEYOND, False)])
def test_a_notional_within_a_billionth_of_the_minimum_is_allowed(apart: float, valid: bool) -> None:
    market = random_market(tame())  # both legs at one price: half the margin, times the leverage
    notional = 0.5 * 10_000 / 2 * 5
    rules = MarketRules(default_min_notional=notional * (1 + apart))
    assert one_position(market, rules, CONFIG).masks[0][ENTER] == valid


@pytest.mark.parametrize(("apart", "valid"), [(WITHIN, True), (BEYOND, False)])
def test_an_order_within_a_billionth_of_the_free_cash_is_allowed(apart: float, valid: bool) -> None:
    market = random_market(tame())
    pair = market.slot_pair[0, 0]
    rules = MarketRules()
    venues = (market.venues[market.pair_long[pair]], market.venues[market.pair_short[pair]])
    costs = sum(rules.fee(v) + market.half_spread[0, pair] for v in venues)
    whole = 1 / (1 + CONFIG.leverage * costs / 2)  # of the capital, as margin
    config = CONFIG.model_copy(update={"target_utilization": whole * (1 + apart)})
    assert one_position(market, rules, config).masks[0][ENTER] == valid


@pytest.mark.parametrize(("apart", "valid"), [(0.0, True), (WITHIN, True), (BEYOND, False)])
def test_a_quote_within_a_billionth_of_an_hour_old_may_be_entered(apart: float, valid: bool) -> None:
    market = random_market(tame())
    age = market.age.copy()
    age[0] = 1 + apart
    assert one_position(replace(market, age=age), MarketRules(), CONFIG).masks[0][ENTER] == valid


@pytest.mark.parametrize(("apart", "stale"), [(0.0, 0), (WITHIN, 0), (BEYOND, 1)])
def test_a_quote_within_a_billionth_of_three_hours_old_is_not_stale(apart: float, stale: int) -> None:
    market = random_market(tame())
    age = market.age.copy()
    age[8, 0] = 3 * (1 + apart)
    replay = one_position(replace(market, age=age), MarketRules(), CONFIG)
    assert replay.final.get("stale_exits", 0) == stale


# -- what random play seldom meets -----------------------------------------------------------------


def test_a_waiting_exit_does_not_close_another_position_that_took_its_slot() -> None:
    """Two hours of delay: a position is liquidated, an entry takes its slot, its exit still waits."""
    market = random_market(tame(coins=2, steady=True))
    held, other = (
        int(np.nonzero([market.symbols[i] == c for i in market.pair_long[market.slot_pair[0]]])[0][0])
        for c in ("C0USDT", "C1USDT")
    )
    struck = 6
    low, high = market.low.copy(), market.high.copy()
    coin = [i for i, s in enumerate(market.symbols) if s == "C0USDT"]
    low[struck, coin], high[struck, coin] = market.mark[struck, coin] * 0.1, market.mark[struck, coin] * 5
    actions = [0] * HOURS
    actions[0] = 21 + held
    actions[struck - 2] = 21 + other  # fills in the hour of the liquidation, in the slot that it leaves
    actions[struck - 1] = 31  # waits for the position that is gone an hour later
    config = CONFIG.model_copy(update={"max_positions": 2, "target_utilization": 0.8})
    replay = compare_on(
        replace(market, low=low, high=high),
        MarketRules(fill_delay_steps=2, drawdown_limit=1.0),
        [Lane(config, 0, HOURS - 1, {})],
        Tally(),
        [actions],
    )[0]
    assert replay.final == {"entries": 2, "liquidations": 1, "both_legs": 1, "closed": 1, "voids": 1}
    assert replay.voids == [(struck + 1, "exit", "gone")]


def test_the_reference_gives_the_liquidation_prices_worked_by_hand() -> None:
    """E = 20,000, q = 1, L = 50, m = 0.5 %: (400 - 20,000) / (0.005 - 1) and (400 + 20,000) / (0.005 + 1)."""
    market = random_market(tame())
    flat = replace(market, mark=np.full_like(market.mark, 20_000.0))
    profile = replace(adapter.profile_of(CONFIG), leverage=Decimal(50), utilization=Decimal("0.08"))
    rules = adapter.rules_of(MarketRules(), market.venues)
    episode = Episode(adapter.market_of(flat), profile, rules, 0, 59)
    episode.step(ENTER)
    position = episode.slots[0]
    assert position is not None
    prices = [float(episode._liquidation_price(position, leg)) for leg in position.legs]
    np.testing.assert_allclose(prices, [19_698.49, 20_298.51], atol=0.005)
