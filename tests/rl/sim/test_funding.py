"""Funding by hand: who pays what, when, at which rate. 50 coins on each leg, prices about 100."""

import pytest

from schemas.trading import MarketRules
from tests.rl.market.market_frames import offer, stamp
from tests.rl.sim.held import FREE, booked, every_hour, hold, market_of

FROM_9 = {"08:00": "enter"}  # decided at 8, filled at 9
EVEN = {"entry_short_price": 100.0}


def quiet(venue: str, first: int, last: int, interval: float = 8.0) -> list[dict]:
    """A venue that quotes 100 every hour and settles nothing itself."""
    return every_hour(stamp, first, last, venue=venue, interval=interval)


def settling(venue: str, rates: dict[str, float], **values: float) -> list[dict]:
    return [stamp(clock, venue=venue, rate=rate, **values) for clock, rate in rates.items()]


def without(rows: list[dict], *settled: list[dict]) -> list[dict]:
    """Rows and settlements together; a settlement's row stands for the plain one of its time."""
    times = {(row["timestamp"], row["exchange"]) for part in settled for row in part}
    plain = [row for row in rows if (row["timestamp"], row["exchange"]) not in times]
    return plain + [row for part in settled for row in part]


def test_each_leg_pays_on_its_own_interval_and_on_the_new_one_once_it_changes() -> None:
    # Held (09:00, 17:00]. The long leg's venue settles every 8 hours until 8:00, then every 4: 12:00 and
    # 16:00 are due. The short leg's settles every hour: 10:00 to 17:00, eight times.
    long = [
        stamp(
            f"{h:02d}:00",
            venue="bybit",
            interval=8.0 if h <= 8 else 4.0,
            rate={8: 0.001, 12: 0.002, 16: 0.003}.get(h, float("nan")),
        )
        for h in range(6, 18)
    ]
    short = every_hour(stamp, 6, 17, venue="binance", interval=1.0, rate=0.0001)
    told = hold(market_of(every_hour(offer, 6, 17, **EVEN), long + short), FROM_9)
    paid = [flow for flow in booked(told) if flow[1] == "long"]
    # 50 x 100 x 0.002 and 50 x 100 x 0.003.
    assert paid == [("12:00", "long", pytest.approx(-10.0)), ("16:00", "long", pytest.approx(-15.0))]
    earned = [flow for flow in booked(told) if flow[1] == "short"]
    assert [flow[0] for flow in earned] == [f"{h}:00" for h in range(10, 18)]
    assert [flow[2] for flow in earned] == pytest.approx([50 * 100 * 0.0001] * 8)
    assert told.state.balance[0] == pytest.approx(10_000 - 25 + 4)
    assert (told.estimated[0], told.off_boundary[0]) == (0, 0)


def test_without_a_history_the_interval_of_the_newest_row_says_when_funding_is_due() -> None:
    # Rows say 8 hours for the long leg until 9:00, then 4: 12:00 and 16:00 are due, 50 x 100 x 0.0001
    # each; the short leg stays at 8 hours: 16:00, 50 x 100 x 0.0003.
    rows = [
        *every_hour(offer, 6, 9, **EVEN),
        *every_hour(offer, 10, 17, **EVEN, long_funding_interval_hours=4.0),
    ]
    told = hold(market_of(rows), FROM_9)
    assert booked(told) == [
        ("12:00", "long", pytest.approx(-0.5)),
        ("16:00", "long", pytest.approx(-0.5)),
        ("16:00", "short", pytest.approx(1.5)),
    ]


def test_a_rate_settled_off_its_boundary_is_booked_and_counted() -> None:
    # An 8-hour venue that settles at 11:00: nobody expects it, and it is charged.
    short = without(quiet("binance", 8, 13), settling("binance", {"11:00": 0.004}))
    told = hold(market_of(every_hour(offer, 8, 13, **EVEN), short + quiet("bybit", 8, 13)), FROM_9)
    assert booked(told) == [("11:00", "short", pytest.approx(50 * 100 * 0.004))]
    assert (told.estimated[0], told.off_boundary[0]) == (0, 1)


def test_several_settlements_of_one_step_are_each_booked_at_the_mark_of_their_own_time() -> None:
    short = [
        *quiet("binance", 8, 9, interval=1.0),
        stamp("09:20", venue="binance", price=100.0, rate=0.001, interval=1.0),
        stamp("09:40", venue="binance", price=102.0, rate=0.002, interval=1.0),
        stamp("10:00", venue="binance", price=104.0, rate=-0.003, interval=1.0),
    ]
    rows = every_hour(offer, 8, 10, **EVEN)
    told = hold(market_of(rows, short + quiet("bybit", 8, 10)), FROM_9)
    # 50 x 100 x 0.001 = 5; 50 x 102 x 0.002 = 10.20; the short pays 50 x 104 x 0.003 = 15.60.
    assert booked(told) == [
        ("09:20", "short", pytest.approx(5.0)),
        ("09:40", "short", pytest.approx(10.2)),
        ("10:00", "short", pytest.approx(-15.6)),
    ]
    assert told.state.balance[0] == pytest.approx(10_000 + 5 + 10.2 - 15.6)
    # What is earned does not fill up what is paid: the margin of 5,000 lost the 15.60 alone.
    assert told.state.margin[0, 0, 1] == pytest.approx(5_000 - 15.6)
    assert told.off_boundary[0] == 2


@pytest.mark.parametrize("known_to_history", [True, False])
def test_a_rate_the_history_lacks_is_the_newest_known_one_and_counted_and_never_nothing(
    known_to_history: bool,
) -> None:
    # Due at 16:00 on both legs. Nothing was settled there; a row of 15:00 says 0.0007 for the short leg
    # and 0.0002 for the long one, and the history said 0.0005 for the short leg at 8:00.
    rows = [
        *every_hour(offer, 8, 14, **EVEN, short_funding_rate=0.0009),
        offer("15:00", **EVEN, short_funding_rate=0.0007, long_funding_rate=0.0002),
        offer("16:30", symbol="BBB"),
    ]
    past = without(quiet("binance", 8, 17), settling("binance", {"08:00": 0.0005})) + quiet("bybit", 8, 17)
    told = hold(market_of(rows, past if known_to_history else ()), FROM_9)
    assert booked(told) == [
        ("16:00", "long", pytest.approx(-50 * 100 * 0.0002)),
        ("16:00", "short", pytest.approx(50 * 100 * 0.0007)),
    ]
    assert told.estimated[0] == 2


def test_a_settlement_on_a_fill_belongs_to_the_close_or_by_the_other_rule_to_the_open() -> None:
    # In at 9:00, out at 10:00. The short leg settles 0.001 at 9:00, 0.002 at 9:20 and 0.004 at 10:00.
    short = without(
        quiet("binance", 8, 13, interval=1.0),
        settling("binance", {"09:00": 0.001, "09:20": 0.002, "10:00": 0.004}, interval=1.0),
    )
    market = market_of(every_hour(offer, 8, 13, **EVEN), short + quiet("bybit", 8, 13))
    plan = FROM_9 | {"09:00": "exit"}

    def clocks(rules: MarketRules) -> dict[str, float]:
        return {clock: amount for clock, _, amount in booked(hold(market, plan, rules))}

    # 50 x 100 x rate. (9:00, 10:00] has 9:20 and 10:00; [9:00, 10:00) has 9:00 and 9:20.
    assert clocks(FREE) == pytest.approx({"09:20": 10.0, "10:00": 20.0})
    opened = FREE.model_copy(update={"funding_boundary": "open"})
    assert clocks(opened) == pytest.approx({"09:00": 5.0, "09:20": 10.0})
    # Filled in the hour of the decision it is held from 8:00 to 9:00: by either rule one end of it.
    assert list(clocks(FREE.model_copy(update={"fill_delay_steps": 0}))) == ["09:00"]
    assert set(clocks(opened.model_copy(update={"fill_delay_steps": 0}))) == {"08:00"}


def test_the_funding_seen_as_due_is_what_the_next_step_books() -> None:
    # The short leg's venue settles every 4 hours, at 12:00 among others, always 0.001. By (open, close]
    # the step from 11:00 books it, by [open, close) the step from 12:00.
    short = every_hour(stamp, 8, 14, venue="binance", interval=4.0, rate=float("nan"))
    past = without(short, settling("binance", {"08:00": 0.001, "12:00": 0.001}, interval=4.0))
    rows = every_hour(offer, 8, 14, **EVEN, short_funding_rate=0.001)
    market = market_of(rows, past + quiet("bybit", 8, 14))
    for boundary, hour in (("close", 11), ("open", 12)):
        rules = FREE.model_copy(update={"funding_boundary": boundary})
        seen: dict[int, float] = {}
        told = hold(market, FROM_9, rules, watch=seen)
        due = {8 + t for t, value in seen.items() if value}
        assert due == {hour}
        assert seen[hour - 8] == pytest.approx(50 * 100 * 0.001 / (50 * 200))
        balance = told.curves.balance[:, 0]
        assert [8 + t for t in range(6) if balance[t + 1] != balance[t]] == [hour]
