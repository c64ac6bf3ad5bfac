"""A venue that stands still: its quotes grow old, its pairs are not on offer, and the way out costs."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from rl.replay import Group, replay
from rl.stress.freeze import Freeze, frozen_market, worst_freeze
from rl.stress.subject import Held
from schemas.trading import MarketRules
from tests.rl.market.market_frames import offer, stamp
from tests.rl.sim.held import FREE, ONE_TIMES, by_plan, market_of, row_of
from tests.rl.sim.markets import random_market

PENALTY = 0.005


def two_venues(price: dict[int, float], rate: float = 0.0):
    """Bybit long, binance short, from 6:00 to 22:00; binance settles every hour. A second pair beside it."""
    rows, past = [], []
    for hour in range(6, 23):
        now = price[max((h for h in price if h <= hour), default=min(price))] if hour >= min(price) else 100.0
        for symbol, venues in (("AAA", ("bybit", "binance")), ("BBB", ("bybit", "okx"))):
            rows.append(
                offer(f"{hour:02d}:00", symbol, *venues, entry_long_price=now, entry_short_price=now,
                      long_funding_interval_hours=1.0, short_funding_interval_hours=1.0)
            )  # fmt: skip
            for venue in venues:
                settles = rate if venue == "binance" else 0.0
                past.append(stamp(f"{hour:02d}:00", venue, symbol, now, settles, 1.0))
    return market_of(rows, past)


def held_through(arrays, plan=None):
    actor = by_plan(arrays, "AAA", plan or {"08:00": "enter"})
    group = Group("one", "agent", ONE_TIMES, 1, actor)
    return replay(arrays, (0, arrays.n_hours - 1), FREE, [group])


def stopped(arrays, venue: str = "binance", clock: str = "11:00") -> Freeze:
    return Freeze(venue, row_of(arrays, clock), 6, 0.0)


def test_a_frozen_leg_is_closed_at_the_price_at_which_the_venue_is_back_and_pays_the_penalty() -> None:
    # Quotes of binance end at 10:00, are stale at 14:00, and are back at 17:00.
    arrays = two_venues({12: 101.0, 14: 102.0, 15: 106.0, 17: 107.0, 18: 120.0})
    told = held_through(frozen_market(arrays, stopped(arrays), FREE))
    trade = told.trades.iloc[0]
    assert trade["reason"] == "stale"
    assert f"{trade['closed']:%H:%M}" == "14:00"
    assert (trade["exit_long"], trade["exit_short"]) == (102.0, 107.0)
    assert trade["penalty"] == pytest.approx(-PENALTY * 50 * 107)
    assert told.curves.nlv[-1, 0] == pytest.approx(10_000 + 50 * (2 - 7) - PENALTY * 50 * 107)


def test_until_the_quote_is_stale_the_leg_is_marked_at_its_last_price() -> None:
    arrays = two_venues({12: 101.0})
    frozen = frozen_market(arrays, stopped(arrays), FREE)
    at, leg = row_of(arrays, "13:00"), arrays.venues.index("binance")
    assert (frozen.mark[at, leg], frozen.age[at, leg]) == (100.0, 3.0)
    assert (frozen.mark[at + 1, leg], frozen.age[at + 1, leg]) == (101.0, 4.0)
    back = row_of(arrays, "17:00")
    assert (frozen.mark[back, leg], frozen.age[back, leg]) == (101.0, 0.0)


def test_nothing_of_the_venue_is_on_offer_and_everything_else_stays() -> None:
    arrays = two_venues({12: 101.0})
    frozen = frozen_market(arrays, stopped(arrays), FREE)
    names = [[arrays.symbols[arrays.pair_long[p]] for p in row if p >= 0] for row in frozen.slot_pair]
    rows = slice(row_of(arrays, "11:00"), row_of(arrays, "17:00"))
    assert all(row == ["BBB"] for row in names[rows])
    assert names[rows.start - 1] == names[rows.stop] == ["AAA", "BBB"]
    assert (frozen.slot_raw[rows, 1:] == 0).all()
    moved = np.flatnonzero(arrays.slot_pair[rows.start] >= 0)[-1]
    np.testing.assert_array_equal(frozen.slot_raw[rows, 0], arrays.slot_raw[rows, moved])


def test_a_stale_leg_at_the_venue_pays_and_never_earns() -> None:
    arrays = two_venues({12: 100.0}, rate=0.001)  # the short earns 5 an hour
    told = held_through(frozen_market(arrays, stopped(arrays), FREE))
    paid = told.flows[told.flows["kind"] == "funding"]
    earned = {f"{r.time:%H:%M}": r.amount for r in paid.itertuples() if r.side == "short"}
    assert earned == pytest.approx({"10:00": 5, "11:00": 5, "12:00": 5, "13:00": 5, "14:00": 0})


@pytest.mark.parametrize("seed", range(3))
def test_other_venues_and_other_hours_are_untouched(seed: int) -> None:
    arrays = random_market(seed)
    freeze = Freeze("binance", 50, 6, 0.0)
    frozen = frozen_market(arrays, freeze, MarketRules())
    there = np.array(arrays.venues) == "binance"
    rows = np.arange(arrays.n_hours)
    hit = (rows >= 50) & (rows < 56)
    for name in ("mark", "age", "low", "high"):
        before, after = getattr(arrays, name), getattr(frozen, name)
        changed = before != after
        assert not changed[~hit].any() and not changed[:, ~there].any()
        assert changed[np.ix_(hit, there)].any()
    events, other = arrays.settlements, frozen.settlements
    for field in fields(events):
        same = getattr(events, field.name) == getattr(other, field.name)
        if field.name in ("mark", "stale"):
            assert same[~(np.isin(events.row, rows[hit]) & there[events.instrument])].all()
        else:
            assert same.all()


def test_the_worst_freeze_is_where_the_lone_leg_loses_most() -> None:
    # The rise from 15:00 to 16:00 hurts a short that is alone then: quotes end at 11:00 or 12:00 at the
    # latest, so that it is alone from 15:00 on; the long beside it would gain.
    arrays = two_venues({16: 108.0})
    legs = (arrays.venues.index("bybit"), arrays.venues.index("binance"))
    position = Held(row_of(arrays, "09:00"), arrays.n_hours - 1, legs, 0, 50.0, (100.0, 100.0), "end")
    worst = worst_freeze([position], arrays, FREE, arrays.n_hours - 1)
    assert worst is not None
    assert worst.venue == "binance"
    assert row_of(arrays, "10:00") <= worst.first <= row_of(arrays, "12:00")
    assert worst.notional == 5_000.0
    told = held_through(frozen_market(arrays, worst, FREE))
    every = [
        held_through(frozen_market(arrays, Freeze(venue, first, 6, 0.0), FREE)).curves.nlv[-1, 0]
        for venue in ("binance", "bybit")
        for first in range(position.opened + 1, arrays.n_hours)
    ]
    assert told.curves.nlv[-1, 0] == pytest.approx(min(every))
    assert told.curves.nlv[-1, 0] == pytest.approx(10_000 - 50 * 8 - PENALTY * 50 * 108)


def test_a_freeze_shorter_than_a_quote_may_be_old_closes_nothing() -> None:
    arrays = two_venues({12: 101.0})
    frozen = frozen_market(arrays, Freeze("binance", row_of(arrays, "11:00"), 3, 0.0), FREE)
    told = held_through(frozen)
    assert told.trades.iloc[0]["reason"] == "end"
    assert told.curves.nlv[-1, 0] == pytest.approx(10_000)


def test_who_holds_nothing_has_nothing_to_freeze() -> None:
    arrays = two_venues({12: 101.0})
    assert worst_freeze([], arrays, FREE, arrays.n_hours - 1) is None
