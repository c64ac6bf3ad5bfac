"""The vectorised features agree with their definitions, taken one value at a time."""

import math

import numpy as np
import pytest

from rl.market.assemble import assemble
from rl.market.build import build_days
from schemas.trading import MarketRules
from tests.rl.market.market_frames import random_history, random_offers
from tests.rl.market.naive_market import NaiveMarket

RULES = MarketRules()


def same(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("seed", "with_history"), [(0, True), (1, True), (2, False)])
def test_every_value_is_what_its_definition_says(seed, with_history):
    rng = np.random.default_rng(seed)
    opportunities = random_offers(rng, hours=90, per_hour=12)
    history = random_history(rng, hours=90) if with_history else None
    market = assemble(list(build_days(opportunities, history)), RULES)
    naive = NaiveMarket(opportunities, history, RULES)
    assert list(zip(market.symbols, market.venues, strict=True)) == naive.legs
    assert [
        (market.symbols[a], market.venues[a], market.venues[b])
        for a, b in zip(market.pair_long, market.pair_short, strict=True)
    ] == naive.pairs
    first = min(row["t"] for row in naive.rows + naive.past) // 3_600_000_000 * 3_600_000_000
    for t in [*range(0, 30, 4), *range(38, market.n_hours, 7), market.n_hours - 1]:
        now = market.hour_ms(t) * 1000
        quoted = False
        for i, leg in enumerate(naive.legs):
            quote = naive.quote(leg, now) or (math.nan, math.inf, False)
            assert (market.from_history[t, i]) == quote[2]
            same([market.mark[t, i], market.age[t, i]], quote[:2])
            same(market.rate[t, i], naive.rate(leg, now))
            same(market.interval[t, i] or math.nan, naive.interval(leg, now))
            same([market.low[t, i], market.high[t, i]], naive.extremes(leg, now))
            offered = any(
                leg in ((p[0], p[1]), (p[0], p[2])) and naive.newest_row(p, now) for p in naive.pairs
            )
            quoted |= offered and quote[1] <= RULES.max_quote_age_hours
        assert market.gap[t] == (not quoted)
        for p, pair in enumerate(naive.pairs):
            row = naive.newest_row(pair, now)
            same(market.half_spread[t, p], naive.full_spread(row) / 2 if row else math.nan)
            same(market.depth[t, p], row["orderbook_depth_usd"] if row else math.nan)
            same(market.trail24[t, p], naive.trail24(pair, now))
        slots = naive.slots(now)
        assert market.slot_pair[t].tolist() == [naive.pairs.index(s[1]) for s in slots] + [-1] * (
            10 - len(slots)
        )
        for slot, (score, pair, row) in enumerate(slots):
            same(market.slot_score[t, slot], score)
            same(market.slot_raw[t, slot], naive.features(pair, row, now, first))
        assert not market.slot_raw[t, len(slots) :].any()
        check_events(market, naive, t, now)


def check_events(market, naive, t, now):
    expected = sorted((e[0], i, *e[1:]) for i, leg in enumerate(naive.legs) for e in naive.events(leg, now))
    events = market.settlements
    mine = slice(events.start[t], events.start[t + 1])
    assert (events.row[mine] == t).all()
    assert events.time_ms[mine].tolist() == [-(-e[0] // 1000) for e in expected]
    assert events.instrument[mine].tolist() == [e[1] for e in expected]
    same(events.rate[mine], [e[2] for e in expected])
    same(events.mark[mine], [e[3] for e in expected])
    assert events.stale[mine].tolist() == [e[4] for e in expected]
    assert events.estimated[mine].tolist() == [e[5] for e in expected]
    assert events.off_boundary[mine].tolist() == [e[6] for e in expected]
