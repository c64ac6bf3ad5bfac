"""What must hold of the vectorised simulator whatever the market: properties, on random markets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rl.market.arrays import HOUR_MS, MarketArrays
from schemas.trading import N_ACTIONS, MarketRules
from tests.reference.cases import FLAT, Case, Lane, cases
from tests.reference.markets import random_market
from tests.reference.vectorised import Played, play

ONE_TIER = {"default_margin_tiers": FLAT, "margin_tiers": {}}
NOISE = 1e-13  # of the notional of a leg: what is left of a price difference in float64


def for_all(strategy: st.SearchStrategy, property_: Callable[..., None], examples: int = 12) -> None:
    """Try a property on random values of a strategy, always the same ones."""
    settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(given(strategy)(property_))()


def with_rules(case: Case, **changes: object) -> Case:
    return replace(case, rules=case.rules.model_copy(update=changes))


def with_config(case: Case, **changes: object) -> Case:
    lanes = [replace(lane, config=lane.config.model_copy(update=changes)) for lane in case.lanes]
    return replace(case, lanes=tuple(lanes))


def assert_same(
    one: Played,
    other: Played,
    *,
    flows: float = 1.0,
    quantities: Callable[[pd.DataFrame], np.ndarray] | None = None,
) -> None:
    """The same episode, its flows times a factor."""
    assert one.actions == other.actions
    np.testing.assert_array_equal(one.masks, other.masks)
    assert one.counts == other.counts
    assert (one.terminated, one.truncated) == (other.terminated, other.truncated)
    np.testing.assert_allclose(np.array(one.equity) * flows, other.equity, rtol=1e-9)
    assert_same_flows(one.frame, other.frame, flows, quantities)


def assert_same_flows(
    one: pd.DataFrame,
    other: pd.DataFrame,
    factor: float = 1.0,
    quantities: Callable[[pd.DataFrame], np.ndarray] | None = None,
) -> None:
    """The same bookings; two of one time may stand in another order."""
    key = ["time_ms", "position_id", "kind", "leg"]
    one, other = (f.sort_values(key, kind="stable", ignore_index=True) for f in (one, other))
    pd.testing.assert_frame_equal(one[key], other[key])
    apart = np.abs(one["amount"] * factor - other["amount"])
    notional = factor * one["quantity"] * one["price"]
    assert (apart <= np.maximum(1e-9 * other["amount"].abs(), NOISE * notional)).all()
    expected = one["quantity"] * factor if quantities is None else quantities(one)
    np.testing.assert_allclose(expected, other["quantity"], rtol=1e-9)


# -- units and names -------------------------------------------------------------------------------


def in_other_units(market: MarketArrays, symbol: str, factor: float) -> MarketArrays:
    """The same market with all prices of a coin times a factor."""
    of_coin = np.array([s == symbol for s in market.symbols])
    scale = np.where(of_coin, factor, 1.0)
    events = market.settlements
    return replace(
        market,
        mark=market.mark * scale,
        low=market.low * scale,
        high=market.high * scale,
        settlements=replace(events, mark=events.mark * scale[events.instrument]),
    )


def test_prices_a_thousand_times_as_high_change_nothing_but_quantities() -> None:
    def holds(case: Case) -> None:
        market = random_market(case.traits)
        symbol = market.symbols[0]

        def fewer(frame: pd.DataFrame) -> np.ndarray:
            return np.where(frame["symbol"] == symbol, frame["quantity"] / 1000, frame["quantity"])

        base = play(market, case.rules, case.lanes)
        scaled = in_other_units(market, symbol, 1000.0)
        again = play(scaled, case.rules, case.lanes, [p.actions for p in base])
        for one, other in zip(base, again, strict=True):
            assert_same(one, other, quantities=fewer)
            np.testing.assert_allclose(one.observations, other.observations, rtol=1e-5, atol=1e-9)

    for_all(cases(), holds)


def renamed(
    market: MarketArrays, rules: MarketRules, names: dict[str, str]
) -> tuple[MarketArrays, MarketRules]:
    """The same market and tables with other venue names; instruments and pairs keep their sorted order."""
    venues = [names[v] for v in market.venues]
    order = sorted(range(len(venues)), key=lambda i: (market.symbols[i], venues[i]))
    place = np.argsort(order)

    def pair_key(p: int) -> tuple[str, str, str]:
        long, short = market.pair_long[p], market.pair_short[p]
        return market.symbols[long], venues[long], venues[short]

    pairs = sorted(range(len(market.pair_long)), key=pair_key)
    pair_place = np.append(np.argsort(pairs), -1)  # the last is for -1, an empty slot
    events = market.settlements
    instrument = place[events.instrument].astype(np.int32)
    sequence = np.lexsort((instrument, events.time_ms, events.row))
    per_event = {
        name: getattr(events, name)[sequence]
        for name in ("row", "time_ms", "rate", "mark", "stale", "estimated", "off_boundary")
    }
    columns = ("mark", "age", "low", "high", "rate", "interval", "from_history")
    tables = {name: getattr(market, name)[:, order] for name in columns}
    pair_tables = {name: getattr(market, name)[:, pairs] for name in ("half_spread", "depth", "trail24")}
    other = replace(
        market,
        venues=tuple(venues[i] for i in order),
        symbols=tuple(market.symbols[i] for i in order),
        **tables,
        **pair_tables,
        pair_long=place[market.pair_long[pairs]].astype(np.int32),
        pair_short=place[market.pair_short[pairs]].astype(np.int32),
        slot_pair=pair_place[market.slot_pair].astype(np.int32),
        settlements=replace(events, instrument=instrument[sequence], **per_event),
    )
    changes = {
        "taker_fee": {names[v]: rules.fee(v) for v in names},
        "min_notional": {names[v]: rules.minimum(v) for v in names},
        "margin_tiers": {names[v]: rules.tiers(v) for v in names},
    }
    return other, rules.model_copy(update=changes)


def test_venues_renamed_together_with_their_fee_rows_change_nothing() -> None:
    names = {"binance": "zebra", "bybit": "mango", "hyperliquid": "quartz", "okx": "amber"}

    def holds(case: Case) -> None:
        market = random_market(case.traits)
        base = play(market, case.rules, case.lanes)
        other_market, other_rules = renamed(market, case.rules, names)
        again = play(other_market, other_rules, case.lanes, [p.actions for p in base])
        for one, other in zip(base, again, strict=True):
            assert_same(one, other)
            assert [names[v] for v in one.frame["venue"]] == list(other.frame["venue"])
            np.testing.assert_array_equal(one.observations, other.observations)

    for_all(cases(), holds)


# -- size ------------------------------------------------------------------------------------------

UNBOUND = {
    "impact_k": 0.0,
    "default_min_notional": 0.0,
    "min_notional": {},
    **ONE_TIER,
}


def test_a_position_twice_the_size_has_twice_the_flows() -> None:
    visited = []

    def holds(case: Case) -> None:
        case = with_config(with_rules(case, **UNBOUND, drawdown_limit=1.0), max_positions=1)
        market = random_market(case.traits)
        small = with_config(case, target_utilization=0.2)
        large = with_config(case, target_utilization=0.4)
        base = play(market, small.rules, small.lanes)
        # One position and nothing after it: what comes later is sized by an equity that differs.
        alone = [only_the_first_entry(p, case.rules.fill_delay_steps) for p in base]
        one_by_one = play(market, small.rules, small.lanes, alone)
        doubled = play(market, large.rules, large.lanes, alone)
        for one, other in zip(one_by_one, doubled, strict=True):
            if one.terminated or other.terminated:
                continue
            assert one.counts == other.counts
            assert_same_flows(one.frame, other.frame, 2.0)
            visited.append(len(one.frame))

    for_all(cases(), holds, examples=24)
    assert np.count_nonzero(visited) >= 5


def only_the_first_entry(played: Played, delay: int) -> list[int]:
    """The actions of an episode up to the end of its first position, then hold."""
    actions, entered = [], False
    for k, action in enumerate(played.actions):
        counts = played.counts[max(k - 1, 0)]
        is_entry = 1 <= action <= 30 and bool(played.masks[k][action])
        if counts["closed"] or (is_entry and entered) or (action >= 31 and not counts["entries"]):
            action = 0
        entered = entered or is_entry
        actions.append(action)
    return actions + [0] * 100


def test_twice_the_capital_has_twice_the_flows_and_the_same_rewards() -> None:
    def holds(case: Case) -> None:
        case = with_rules(case, **UNBOUND)
        rich = with_rules(case, initial_capital=2 * case.rules.initial_capital)
        market = random_market(case.traits)
        base = play(market, case.rules, case.lanes)
        again = play(market, rich.rules, rich.lanes, [p.actions for p in base])
        for one, other in zip(base, again, strict=True):
            assert_same(one, other, flows=2.0)
            np.testing.assert_allclose(one.rewards, other.rewards, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(one.observations, other.observations, rtol=1e-5, atol=1e-9)

    for_all(cases(), holds)


# -- equity ----------------------------------------------------------------------------------------


def frozen(market: MarketArrays, row: int) -> MarketArrays:
    """The market in which nothing happens between a row and the next: no new quote, no funding."""
    table = {}
    for name in ("mark", "half_spread", "depth", "rate", "interval"):
        values = getattr(market, name).copy()
        values[row + 1] = values[row]
        table[name] = values
    age = market.age.copy()
    age[row + 1] = np.minimum(age[row], 1.0)
    low, high = market.low.copy(), market.high.copy()
    low[row + 1], high[row + 1] = np.inf, -np.inf
    events = market.settlements
    booked_then = (events.time_ms >= market.hour_ms(row)) & (events.time_ms <= market.hour_ms(row + 1))
    keep = ~booked_then  # by either rule of the boundary
    per_event = {
        name: getattr(events, name)[keep]
        for name in ("row", "time_ms", "instrument", "rate", "mark", "stale", "estimated", "off_boundary")
    }
    start = np.searchsorted(per_event["row"], np.arange(market.n_hours + 1)).astype(np.int64)
    return replace(
        market, **table, age=age, low=low, high=high, settlements=replace(events, **per_event, start=start)
    )


def test_equity_is_unchanged_by_closing_at_the_marks_it_was_valued_at() -> None:
    closed = []

    def holds(case: Case) -> None:
        # Without a stale leg: its penalty is no part of the equity before it is booked.
        case = with_rules(case, fill_delay_steps=0)
        market = random_market(case.traits)
        lane = case.lanes[0]
        row = (lane.start + lane.end) // 2
        market = frozen(market, row)
        base = play(market, case.rules, [lane])[0]
        decision = row - lane.start
        if len(base.actions) <= decision:
            return
        lanes = [replace(lane, end=row + 1)] * 6
        endings = [[*base.actions[:decision], a] for a in (0, 31, 32, 33, 34, 35)]
        for played in play(market, case.rules, lanes, endings):
            last, before = played.counts[-1], played.counts[-2]
            assert last["closed"] - before["closed"] == last["exits"] - before["exits"], (
                "nothing else happened"
            )
            np.testing.assert_allclose(played.equity[-1], played.equity[-2], rtol=1e-12)
            closed.append(last["exits"] - before["exits"])

    for_all(cases(1), holds, examples=100)
    assert sum(closed) >= 10


def test_without_funding_and_with_legs_that_move_together_exactly_the_fees_are_lost() -> None:
    visited = []

    def holds(case: Case) -> None:
        case = with_rules(case, slippage=False)
        quiet = ("jumps", "wicks", "thin", "vanish", "late", "gap")
        market = random_market(replace(case.traits, apart=0.0, **dict.fromkeys(quiet, False)))
        events = market.settlements
        market = replace(market, settlements=replace(events, rate=np.zeros_like(events.rate)))
        for played in play(market, case.rules, case.lanes):
            frame = played.frame
            if (frame["kind"] == "liquidation").any():
                continue
            rates = np.array([case.rules.fee(v) for v in frame["venue"]])
            fees = (rates * frame["quantity"] * frame["price"])[frame["kind"] == "fee"].sum()
            np.testing.assert_allclose(played.balance, case.rules.initial_capital - fees, rtol=1e-11)
            visited.append(len(frame))

    for_all(cases(), holds, examples=24)
    assert np.count_nonzero(visited) >= 8


@dataclass(frozen=True)
class Held:
    """A leg as its entry fee tells it."""

    serial: int
    leg: int
    side: int
    instrument: int
    pair: int
    quantity: float
    entry: float


def legs_of(market: MarketArrays, frame: pd.DataFrame) -> dict[tuple[int, int], Held]:
    """Every leg ever opened, from the recorded entry fees."""
    first = frame[frame["kind"] == "fee"].drop_duplicates(["position_id", "leg"])
    instrument = {n: i for i, n in enumerate(zip(market.symbols, market.venues, strict=True))}
    pair = {p: i for i, p in enumerate(zip(market.pair_long, market.pair_short, strict=True))}
    at = {
        (row.position_id, row.leg): instrument[row.symbol, row.venue] for row in first.itertuples(index=False)
    }
    return {
        (row.position_id, row.leg): Held(
            row.position_id,
            row.leg,
            1 - 2 * row.leg,
            at[row.position_id, row.leg],
            pair[at[row.position_id, 0], at[row.position_id, 1]],
            row.quantity,
            row.price,
        )
        for row in first.itertuples(index=False)
    }


def test_equity_is_capital_plus_flows_plus_price_gains_less_the_costs_of_closing() -> None:
    visited = []

    def holds(case: Case) -> None:
        case = with_rules(case, default_taker_fee=0.0007)
        rules, market = case.rules, random_market(case.traits)
        for lane, played in zip(case.lanes, play(market, case.rules, case.lanes), strict=True):
            frame, row = played.frame, lane.start + len(played.actions)
            ended = set(frame["position_id"][frame["kind"].isin(["price", "liquidation"])])
            equity = rules.initial_capital + frame["amount"].sum()
            held = [leg for leg in legs_of(market, frame).values() if leg.serial not in ended]
            for leg in held:
                mark = market.mark[row, leg.instrument]
                equity += leg.side * leg.quantity * (mark - leg.entry)
                notional = leg.quantity * mark
                cost = rules.fee(market.venues[leg.instrument])
                if rules.slippage:
                    half, depth = market.half_spread[row, leg.pair], market.depth[row, leg.pair]
                    cost += rules.full_spread_thin / 2 if np.isnan(half) else half
                    cost += 0.0 if np.isnan(depth) else rules.impact_k * notional / depth
                equity -= cost * notional
            assert len(held) == 2 * (played.counts[-1]["entries"] - played.counts[-1]["closed"])
            np.testing.assert_allclose(played.equity[-1], equity, rtol=1e-9)
            total = 100 * (played.equity[-1] / played.equity[0] - 1)
            np.testing.assert_allclose(sum(played.rewards), total, rtol=1e-9, atol=1e-9)
            visited.append(len(held))

    for_all(cases(), holds, examples=24)
    assert np.count_nonzero(visited) >= 5


# -- liquidation -----------------------------------------------------------------------------------


def test_no_liquidation_is_worth_more_than_closing_by_hand_at_the_same_two_prices() -> None:
    visited = []

    def holds(case: Case) -> None:
        case = with_rules(case, slippage=False, default_taker_fee=0.0007, **ONE_TIER)
        case = with_config(case, leverage=10.0, stop_loss=0.0, liquidation_buffer=0.05)
        market = random_market(replace(case.traits, jumps=True, wicks=True))
        for lane, played in zip(case.lanes, play(market, case.rules, case.lanes), strict=True):
            frame, legs = played.frame, legs_of(market, played.frame)
            for serial in frame["position_id"][frame["kind"] == "liquidation"].unique():
                of_it = frame[frame["position_id"] == serial]
                booked, by_hand = settle(market, case.rules, lane, of_it, legs)
                assert booked <= by_hand + 1e-9 * abs(by_hand)
                visited.append(serial)

    for_all(cases(), holds, examples=15)
    assert len(visited) >= 20


def settle(
    market: MarketArrays,
    rules: MarketRules,
    lane: Lane,
    frame: pd.DataFrame,
    legs: dict[tuple[int, int], Held],
) -> tuple[float, float]:
    """What a liquidation booked, and what closing both legs at its two prices would have."""
    struck = frame[frame["kind"] == "liquidation"]
    now = struck["time_ms"].iloc[0]
    prices = {}
    for row in struck.itertuples(index=False):
        leg = legs[row.position_id, row.leg]
        paid = frame[(frame["kind"] == "funding") & (frame["leg"] == row.leg) & (frame["amount"] < 0)]
        margin = max(leg.quantity * leg.entry / lane.config.leverage + paid["amount"].sum(), 0.0)
        np.testing.assert_allclose(-row.amount, margin, rtol=1e-9, atol=1e-9)
        room = margin - leg.side * leg.quantity * leg.entry
        prices[row.leg] = room / (leg.quantity * (FLAT[0].rate - leg.side))
    serial = struck["position_id"].iloc[0]
    if len(struck) == 1:
        gone = int(struck["leg"].iloc[0])
        before = market.mark[(now - market.start_ms) // HOUR_MS - 1]
        ratio = before[legs[serial, 1 - gone].instrument] / before[legs[serial, gone].instrument]
        prices[1 - gone] = prices[gone] * ratio
    by_hand = 0.0
    for number, price in prices.items():
        leg = legs[serial, number]
        fee = rules.fee(market.venues[leg.instrument])
        by_hand += leg.side * leg.quantity * (price - leg.entry) - fee * leg.quantity * price
    closing = frame[(frame["time_ms"] == now) & frame["kind"].isin(["liquidation", "price", "fee"])]
    return closing["amount"].sum(), by_hand


# -- the mask --------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 1, 2])
def test_the_mask_says_valid_if_and_only_if_the_order_is_accepted(delay: int) -> None:
    tried = np.zeros(2, int)

    def holds(case: Case) -> None:
        case = with_rules(case, fill_delay_steps=delay)
        market = random_market(case.traits)
        lane = case.lanes[0]
        base = play(market, case.rules, [lane])[0]
        for k in (3, 17, 29):
            if k >= len(base.actions):
                continue
            until = lane.start + k + 1 + delay
            attempts = [[*base.actions[:k], a, *[0] * delay] for a in range(N_ACTIONS)]
            played = play(market, case.rules, [replace(lane, end=until)] * N_ACTIONS, attempts)
            idle = orders(played[0])
            for action in range(1, N_ACTIONS):
                valid = bool(base.masks[k][action])
                out = played[action]
                assert out.counts[k]["invalid"] - played[0].counts[k]["invalid"] == (not valid)
                tried[int(valid)] += 1
                if out.terminated or played[0].terminated:
                    continue
                assert orders(out) - idle == valid
                if delay == 0:
                    assert out.counts[k]["voids"] == 0
                    done = "entries" if action <= 30 else "exits"
                    assert out.counts[k][done] - played[0].counts[k][done] == valid

    for_all(cases(1), holds, examples=12)
    assert tried.min() >= 50


def orders(played: Played) -> int:
    """Orders filled or void so far."""
    return sum(played.counts[-1][name] for name in ("entries", "exits", "voids"))
