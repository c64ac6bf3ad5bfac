"""Days joined into one market."""

import numpy as np
import pytest

from rl.market.assemble import assemble
from rl.market.build import build_days, build_hours
from rl.market.facts import market_facts
from rl.market.rows import history_rows, opportunity_rows
from schemas.errors import ConfigError, DataError
from schemas.trading import MarketRules
from tests.rl.market.market_frames import at, offer, offers, random_history, random_offers, stamp, stamps


def test_shapes_and_types_are_those_of_the_market():
    rng = np.random.default_rng(0)
    market = assemble(list(build_days(random_offers(rng), random_history(rng))), MarketRules())
    t, i, p = market.n_hours, market.n_instruments, len(market.pair_long)
    for name in ("mark", "age", "low", "high", "rate", "interval"):
        assert getattr(market, name).shape == (t, i) and getattr(market, name).dtype == np.float64
    for name in ("half_spread", "depth", "trail24"):
        assert getattr(market, name).shape == (t, p) and getattr(market, name).dtype == np.float64
    assert market.from_history.dtype == market.gap.dtype == bool and market.gap.shape == (t,)
    assert market.slot_pair.shape == (t, 10) and market.slot_pair.dtype == np.int32
    assert market.slot_raw.shape == (t, 10, 20) and market.slot_score.shape == (t, 10)
    assert market.pair_long.dtype == market.pair_short.dtype == np.int32
    s = market.settlements
    assert s.row.dtype == s.time_ms.dtype == s.start.dtype == np.int64 and s.instrument.dtype == np.int32
    assert s.start.shape == (t + 1,) and s.start[0] == 0 and s.start[-1] == len(s.row)
    assert (np.diff(s.start) == np.bincount(s.row, minlength=t)).all()
    assert np.isfinite(s.rate).all() and np.isfinite(s.mark).all()
    assert (
        (s.time_ms <= market.start_ms + s.row * 3_600_000)
        & (s.time_ms > market.start_ms + (s.row - 1) * 3_600_000)
    ).all()


def test_the_market_lasts_from_the_first_offer_to_the_last():
    past = [stamp(f"{hour}:00", rate=1e-4, interval=1.0) for hour in range(24)]
    market = assemble(list(build_days(offers(offer("9:30"), offer("14:00")), stamps(*past))), MarketRules())
    assert market.start_ms == at("10:00").timestamp() * 1000 and market.n_hours == 5
    assert market.from_history[0, 0]  # what came before the first offer is known
    assert market.settlements.start.tolist() == [0, 1, 2, 3, 4, 5]


def test_hours_planned_beyond_the_last_offer_are_left_out():
    rows = opportunity_rows(offers(offer("9:30"), offer("14:00")))
    past = history_rows(stamps(*(stamp(f"{hour}:00", rate=1e-4, interval=1.0) for hour in range(9, 20))))
    start_ms = int(at("9:00").timestamp() * 1000)
    market = assemble([build_hours(rows, past, None, start_ms, 11)], MarketRules())
    assert market.n_hours == 5 and market.hour_ms(4) == at("14:00").timestamp() * 1000
    assert market.settlements.row.tolist() == [0, 1, 2, 3, 4]


def test_instruments_that_nobody_offers_are_left_out():
    past = [
        stamp("10:00", venue="okx", rate=1e-4),
        stamp("10:00", symbol="ZZZ", rate=1e-4),
        stamp("8:00", rate=1e-4),
    ]
    market = assemble(list(build_days(offers(offer("10:00")), stamps(*past))), MarketRules())
    assert list(zip(market.symbols, market.venues, strict=True)) == [("AAA", "binance"), ("AAA", "bybit")]
    assert (market.pair_long.tolist(), market.pair_short.tolist()) == ([1], [0])
    assert len(market.settlements.row) == 0


def test_a_gap_is_an_hour_without_a_fresh_quote_of_anything_offered_so_far():
    rows = [offer("10:00"), offer("14:00:00.000001", "BBB"), offer("19:00", "CCC")]
    past = [stamp("18:00", symbol="CCC")]
    market = assemble(list(build_days(offers(*rows), stamps(*past))), MarketRules())
    #                               10     11     12     13     14    15     16     17     18    19
    assert market.gap.tolist() == [False, False, False, False, True, False, False, False, True, False]


def test_other_rules_give_other_costs_and_staleness_from_the_same_days():
    days = list(build_days(offers(offer("8:00", short_funding_interval_hours=1.0), offer("11:00", "BBB"))))
    strict = assemble(
        days, MarketRules(max_quote_age_hours=1.5, taker_fee={"binance": 0.002}, full_spread_thin=0.01)
    )
    assert strict.settlements.stale[strict.settlements.instrument == 0].tolist() == [False, False, True, True]
    assert strict.slot_raw[0, 0, -1] == pytest.approx(200 * (0.002 + 0.0005 + 0.01))
    assert strict.half_spread[0, 0] == 0.005
    loose = assemble(days, MarketRules())
    assert not loose.settlements.stale.any()


def test_a_quote_age_beyond_the_days_funding_events_is_refused():
    days = list(build_days(offers(offer("8:00"))))
    assemble(days, MarketRules(max_quote_age_hours=23.0))
    with pytest.raises(ConfigError, match="max_quote_age_hours"):
        assemble(days, MarketRules(max_quote_age_hours=23.5))


def test_no_offer_at_all_is_refused():
    with pytest.raises(DataError, match="no hour has an opportunity"):
        assemble([], MarketRules())


def test_facts_count_what_the_market_holds():
    rows = [offer(f"{hour}:00") for hour in range(7, 10)]
    past = [stamp("8:00", rate=1e-4), stamp("9:00", rate=1e-4)]
    facts = market_facts(assemble(list(build_days(offers(*rows), stamps(*past))), MarketRules()))
    assert facts == {
        "first_hour": "2025-03-01T07:00:00+00:00",
        "last_hour": "2025-03-01T09:00:00+00:00",
        "hours": 3,
        "instruments": 2,
        "pairs": 1,
        "venues": "binance, bybit",
        "slots_filled": 0.1,
        "priced_from_history": pytest.approx(2 / 6),
        "settlements": 3,
        "settlements_estimated": 1,
        "settlements_off_boundary": 1,
        "settlements_stale": 0,
        "gap_hours": 0,
    }
