"""Quotes, rates and funding events, by hand."""

import math

import numpy as np
import pytest

from rl.market.assemble import assemble
from rl.market.build import build_days
from schemas.trading import MarketRules
from tests.rl.market.market_frames import at, offer, offers, stamp, stamps

BINANCE, BYBIT = 0, 1  # of symbol AAA: instruments are sorted by venue within a symbol


def build(rows, past=()):
    return assemble(list(build_days(offers(*rows), stamps(*past) if past else None)), MarketRules())


def row_of(market, time):
    return (int(at(time).timestamp() * 1000) - market.start_ms) // 3_600_000


def events(market, instrument):
    """{hour text: (rate, mark, stale, estimated, off boundary)} of one instrument."""
    s = market.settlements
    mine = np.flatnonzero(s.instrument == instrument)
    start = int(at("00:00").timestamp() * 1000)
    return {
        (int(s.time_ms[e]) - start) / 3_600_000: (
            s.rate[e],
            s.mark[e],
            bool(s.stale[e]),
            bool(s.estimated[e]),
            bool(s.off_boundary[e]),
        )
        for e in mine
    }


def test_a_row_of_13_20_is_seen_at_14_00_and_a_row_of_an_hour_at_that_hour():
    market = build(
        [offer("12:00", entry_short_price=1.0), offer("13:20", entry_short_price=2.0), offer("15:00")]
    )
    at_13, at_14 = row_of(market, "13:00"), row_of(market, "14:00")
    assert market.mark[at_13, BINANCE] == 1.0 and market.slot_pair[at_13, 0] == -1
    assert market.mark[at_14, BINANCE] == 2.0 and market.slot_pair[at_14, 0] == 0
    assert market.age[at_14, BINANCE] == pytest.approx(40 / 60)
    assert market.start_ms == at("12:00").timestamp() * 1000 and market.age[0, BINANCE] == 0.0


def test_a_row_one_microsecond_late_waits_for_the_next_hour():
    market = build([offer("12:00"), offer("13:00:00.000001", entry_short_price=7.0)])
    assert market.mark[:, BINANCE].tolist() == [101.0, 101.0, 7.0]


def test_the_newest_row_shows_an_instrument_on_either_side_and_the_last_one_wins_ties():
    market = build(
        [
            offer("12:00", entry_short_price=1.0),
            offer("12:00", long="binance", short="kraken", entry_long_price=2.0),
            offer("13:00", long="binance", short="kraken", entry_long_price=3.0),
            offer("13:00", entry_short_price=4.0),
            offer("11:30", entry_short_price=5.0),
        ]
    )
    assert market.mark[:, BINANCE].tolist() == [2.0, 4.0]


def test_history_prices_an_instrument_alone_once_it_has_a_row():
    rows = [offer(f"{hour}:00", entry_short_price=200.0 + hour) for hour in range(10, 15)]
    market = build(rows, [stamp("12:00", price=50.0)])
    assert market.mark[:, BINANCE].tolist() == [210.0, 211.0, 50.0, 50.0, 50.0]
    assert market.age[:, BINANCE].tolist() == [0.0, 0.0, 0.0, 1.0, 2.0]
    assert market.from_history[:, BINANCE].tolist() == [False, False, True, True, True]
    assert not market.from_history[:, BYBIT].any()


def test_before_the_first_quote_there_is_none():
    market = build([offer("10:00", symbol="BBB"), offer("11:00")])
    assert math.isnan(market.mark[0, BINANCE]) and market.age[0, BINANCE] == math.inf
    assert math.isnan(market.rate[0, BINANCE]) and market.interval[0, BINANCE] == 0.0
    assert math.isnan(market.half_spread[0, 0]) and math.isnan(market.trail24[0, 0])


def test_lows_and_highs_are_those_stamped_within_the_hour():
    past = [
        stamp("10:00", low=9.0, high=110.0),
        stamp("11:00", low=8.0, high=120.0),
        stamp("11:15", low=7.0, high=115.0),
        stamp("11:45", low=7.5, high=130.0),
        stamp("13:00"),
    ]
    market = build([offer(f"{hour}:00") for hour in range(10, 15)], past)
    assert market.low[:, BINANCE].tolist() == [9.0, 8.0, 7.0, math.inf, math.inf]
    assert market.high[:, BINANCE].tolist() == [110.0, 120.0, 130.0, -math.inf, -math.inf]
    assert (market.low[:, BYBIT] == math.inf).all()


def test_the_newest_rate_and_interval_win_and_the_history_wins_ties():
    rows = [
        offer("10:00", short_funding_rate=0.001, short_funding_interval_hours=1.0),
        offer("11:00", short_funding_rate=0.002, short_funding_interval_hours=2.0),
        offer("12:10", short_funding_rate=0.003, short_funding_interval_hours=8.0),
        offer("14:00", symbol="BBB"),
    ]
    past = [stamp("11:00", rate=0.009, interval=4.0), stamp("12:00", rate=np.nan, interval=4.0)]
    market = build(rows, past)
    assert market.rate[:, BINANCE].tolist() == [0.001, 0.009, 0.009, 0.003, 0.003]
    assert market.interval[:, BINANCE].tolist() == [1.0, 4.0, 4.0, 8.0, 8.0]


def test_funding_falls_due_at_hours_that_the_newest_interval_divides():
    rows = [
        offer(f"{hour}:00", short_funding_interval_hours=8.0 if hour < 6 else 4.0 if hour < 13 else 1.0)
        for hour in range(17)
    ]
    market = build(rows)
    assert list(events(market, BINANCE)) == [0, 8, 12, 13, 14, 15, 16]
    assert list(events(market, BYBIT)) == [0, 8, 16]


def test_an_interval_change_stamped_at_the_boundary_counts_at_the_boundary():
    rows = [offer("3:00", short_funding_interval_hours=8.0), offer("4:00", short_funding_interval_hours=4.0)]
    assert list(events(build(rows), BINANCE)) == [4]
    rows[1] = offer("4:00:00.000001", short_funding_interval_hours=4.0)
    assert list(events(build(rows), BINANCE)) == []


def test_a_settled_rate_is_used_where_it_stands_and_estimated_where_it_lacks():
    rows = [offer(f"{hour}:00", short_funding_rate=0.01 * hour) for hour in range(1, 18)]
    past = [stamp(f"{hour}:00", price=50.0 + hour) for hour in range(1, 8)]
    past += [stamp("8:00", price=58.0, rate=0.0007), stamp("15:30", price=65.5)]
    found = events(build(rows, past), BINANCE)
    assert found[8] == (0.0007, 58.0, False, False, False)
    assert found[16] == (0.16, 65.5, False, True, False)
    assert list(found) == [8, 16]


def test_a_rate_settled_off_the_boundary_is_an_event_of_the_hour_that_sees_it():
    rows = [offer(f"{hour}:00") for hour in range(3, 8)]
    past = [
        stamp("3:00", price=50.0),
        stamp("4:20", price=51.0, rate=0.001),
        stamp("5:00", price=52.0, rate=0.002),
    ]
    market = build(rows, past)
    found = events(market, BINANCE)
    assert found[4 + 1 / 3] == (0.001, 51.0, False, False, True)
    assert found[5] == (0.002, 52.0, False, False, True)
    s = market.settlements
    assert s.row.tolist() == [2, 2] and s.start.tolist() == [0, 0, 0, 2, 2, 2]


def test_an_event_less_than_a_millisecond_after_an_hour_stays_after_it():
    rows = [offer(f"{hour}:00") for hour in range(3, 6)]
    s = build(rows, [stamp("3:00"), stamp("4:00:00.000400", rate=0.001)]).settlements
    assert s.row.tolist() == [2] and s.time_ms.tolist() == [int(at("4:00").timestamp() * 1000) + 1]


def test_the_last_of_two_rates_settled_at_one_time_stands():
    rows = [offer("7:00"), offer("16:00")]
    past = [stamp("8:00", rate=0.001, price=5.0), stamp("8:00", rate=0.002, price=6.0)]
    past += [stamp("8:00", price=7.0), stamp("16:00", rate=0.003, price=8.0)]
    assert events(build(rows, past), BINANCE) == {
        8: (0.002, 7.0, False, False, False),
        16: (0.003, 8.0, False, False, False),
    }


def test_nothing_is_due_before_a_quote_and_a_rate_are_known():
    rows = [offer("9:00", symbol="BBB"), offer("17:00")]
    past = [stamp("10:00", price=np.nan, rate=0.001, interval=1.0), stamp("11:00", price=5.0, interval=1.0)]
    found = events(build(rows, past), BINANCE)
    assert list(found) == [11, 12, 13, 14, 15, 16]  # due each hour, but not quoted before 11:00
    unrated = [stamp("10:00", price=5.0, interval=1.0)]
    assert list(events(build(rows, unrated), BINANCE)) == []


def test_a_quote_older_than_three_hours_is_stale_and_one_of_three_hours_is_not():
    rows = [offer("1:00", short_funding_interval_hours=1.0), offer("7:00", symbol="BBB")]
    found = events(build(rows), BINANCE)
    assert {hour: event[2] for hour, event in found.items()} == {
        1: False, 2: False, 3: False, 4: False, 5: True, 6: True, 7: True,
    }  # fmt: skip


def test_an_instrument_not_quoted_for_a_day_falls_due_no_more():
    rows = [offer("1:00", short_funding_interval_hours=1.0), offer("3d 7:00", symbol="BBB")]
    found = events(build(rows), BINANCE)
    assert list(found) == list(range(1, 26))


def test_events_are_sorted_by_row_time_and_instrument():
    rows = [offer(f"{hour}:00", symbol) for hour in range(7, 18) for symbol in ("BBB", "AAA")]
    past = [stamp("7:40", symbol="BBB", rate=1e-3), stamp("7:20", venue="bybit", symbol="BBB", rate=2e-3)]
    day = next(build_days(offers(*rows), stamps(*past))).events
    stamped = list(zip(day.time_us.tolist(), day.instrument.tolist(), strict=True))
    assert stamped == sorted(stamped)
    s = build(rows, past).settlements
    keys = list(zip(s.row.tolist(), s.time_ms.tolist(), s.instrument.tolist(), strict=True))
    assert keys == sorted(keys)
    assert [key[2] for key in keys] == [3, 2, 0, 1, 2, 3, 0, 1, 2, 3]
    assert s.start.tolist() == [0, 0, 6, 6, 6, 6, 6, 6, 6, 6, 10, 10]
