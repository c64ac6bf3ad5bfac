"""Days: any grouping of the hours gives the same bits, and a day's tables give them back."""

import hashlib
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from rl.market.assemble import assemble
from rl.market.build import build_day, build_days, build_hours
from rl.market.days import read_closing, read_day, write_day
from rl.market.plan import plan_days
from rl.market.rows import history_rows, opportunity_rows, take
from schemas.errors import DataError
from schemas.trading import MarketRules
from tests.rl.market.market_frames import at, offer, offers, random_history, random_offers, stamp, stamps

RULES = MarketRules()


def bits(value):
    """Everything inside nested dataclasses, as something to compare bit by bit."""
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: bits(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value.tolist()
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, np.ascontiguousarray(value).tobytes()
    return value


@pytest.fixture(scope="module", params=[True, False], ids=["history", "rows alone"])
def data(request):
    rng = np.random.default_rng(7)
    opportunities = random_offers(rng, hours=130, per_hour=10)
    return opportunities, random_history(rng, hours=130) if request.param else None


@pytest.fixture(scope="module")
def by_day(data):
    return list(build_days(*data))


def regrouped(data, lengths):
    """Build the same hours in stretches of other lengths."""
    rows, past = opportunity_rows(data[0]), history_rows(data[1])
    plans = plan_days(
        pd.Timestamp(min(rows.time.min(), past.time.min(initial=rows.time.min())), unit="us"),
        data[0].entry_time.max(),
    )
    start, left, closing, built = plans[0].start_ms, sum(plan.n_hours for plan in plans), None, []
    done_us = -1
    for length in lengths:
        length = min(length, left)
        end_us = (start + (length - 1) * 3_600_000) * 1000
        mine, past_mine = ((r.time > done_us) & (r.time <= end_us) for r in (rows, past))
        stretch = build_hours(take(rows, mine), take(past, past_mine), closing, start, length)
        built.append(stretch)
        start, left, closing, done_us = start + length * 3_600_000, left - length, stretch.closing, end_us
        if not left:
            return built
    raise AssertionError("the lengths do not cover the hours")


@pytest.mark.parametrize(
    "lengths", [[1000], [1] * 300, [5, 90, 3, 77, 1000]], ids=["one go", "hourly", "mixed"]
)
def test_any_grouping_of_the_hours_gives_the_same_bits(data, by_day, lengths):
    other = regrouped(data, lengths)
    assert bits(assemble(by_day, RULES)) == bits(assemble(other, RULES))
    assert bits(by_day[-1].closing) == bits(other[-1].closing)
    assert by_day[-1].closing.digest() == other[-1].closing.digest()


def test_rows_handed_over_early_wait_for_their_hour(data, by_day):
    rows, past = opportunity_rows(data[0]), history_rows(data[1])
    start, n_hours = by_day[0].start_ms, sum(day.n_hours for day in by_day)
    first = build_hours(rows, past, None, start, 50)
    second = build_hours(
        take(rows, slice(0)), take(past, slice(0)), first.closing, start + 50 * 3_600_000, n_hours - 50
    )
    assert bits(assemble([first, second], RULES)) == bits(assemble(by_day, RULES))


def test_a_day_written_and_read_is_the_same_bit_for_bit(by_day, tmp_path):
    for i, day in enumerate(by_day):
        write_day(day, tmp_path / str(i))
        assert bits(read_day(tmp_path / str(i))) == bits(day)
        assert bits(read_closing(tmp_path / str(i))) == bits(day.closing)
        bare = read_day(tmp_path / str(i), closing=False).closing
        assert (bare.end_us, len(bare.pairs.symbols)) == (day.closing.end_us, 0)
    folders = [tmp_path / str(i) for i in range(len(by_day))]
    assert bits(assemble(folders, RULES)) == bits(assemble(by_day, RULES))


def test_a_day_built_on_a_closing_state_read_back_is_the_same(data, by_day, tmp_path):
    write_day(by_day[0], tmp_path)
    day = data[0][data[0].entry_time.dt.floor("D") == at("1d 00:00")]
    past = None if data[1] is None else data[1][data[1].timestamp.dt.floor("D") == at("1d 00:00")]
    plan = plan_days(at("00:00"), data[0].entry_time.max())[1]
    assert bits(build_day(plan, day, past, read_closing(tmp_path))) == bits(by_day[1])


def test_equal_days_give_equal_bytes(data, by_day, tmp_path):
    digests = []
    for name, days in (("a", by_day), ("b", list(build_days(*data)))):
        write_day(days[2], tmp_path / name)
        digests.append(
            {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in (tmp_path / name).iterdir()}
        )
    assert digests[0] == digests[1]
    assert len(digests[0]) == 8  # no partial file is left


def test_the_closing_state_forgets_what_no_later_hour_asks_for():
    rows = [offer(f"{hour}:00") for hour in range(12) if hour != 4]
    wider = offer("3:30", bid_ask_spread_percent=0.2)
    one, other = (next(build_days(offers(*chosen))) for chosen in ([*rows, wider], rows))
    assert bits(one.pairs) != bits(other.pairs)
    assert one.closing.digest() == other.closing.digest()
    asked = next(build_days(offers(*rows[:-1], rows[-1] | {"bid_ask_spread_percent": 0.2})))
    assert other.closing.digest() != asked.closing.digest()


def test_next_settlement_stands_in_the_panel_table(tmp_path):
    write_day(
        next(build_days(offers(offer("07:00", long_funding_interval_hours=4.0), offer("08:00")))), tmp_path
    )
    panel = pd.read_parquet(tmp_path / "panel.parquet")
    found = {
        (h.hour, venue): due
        for h, venue, due in zip(panel.hour, panel.venue, panel.next_settlement, strict=True)
    }
    assert found[7, "bybit"] == at("08:00") and found[8, "bybit"] == at("16:00")
    assert found[7, "binance"] == at("08:00") and found[8, "binance"] == at("16:00")


def test_a_plan_covers_every_hour_from_the_first_row_to_the_hour_after_the_last():
    plans = plan_days("2025-03-01T22:30:00Z", "2025-03-03 23:00:00.000001")
    assert [(plan.day, plan.n_hours) for plan in plans] == [
        ("2025-03-01", 2),
        ("2025-03-02", 24),
        ("2025-03-03", 24),
        ("2025-03-04", 1),
    ]
    assert plans[0].start_ms == pd.Timestamp("2025-03-01T22:00Z").timestamp() * 1000
    assert [plan.n_hours for plan in plan_days("2025-03-01T00:00Z", "2025-03-01T23:00Z")] == [24]


def test_a_row_with_a_wrong_year_is_named_and_not_planned():
    with pytest.raises(DataError, match="cannot be one data set"):
        plan_days("1970-01-01T00:00Z", "2025-03-01T00:00Z")


def test_days_without_rows_are_bridged():
    market = assemble(list(build_days(offers(offer("10:00"), offer("3d 10:30")))), RULES)
    assert market.n_hours == 74
    assert market.mark[0].tolist() == market.mark[72].tolist() == [101.0, 100.0]
    assert market.age[:, 0].tolist() == [*range(73), 0.5]
    assert (market.slot_pair[1:73] == -1).all()
    assert market.gap.tolist() == [False] * 4 + [True] * 69 + [False]


def test_a_closing_state_of_another_hour_is_refused():
    first, second = build_days(offers(offer("10:00"), offer("1d 10:00")), stamps(stamp("10:00")))
    plan = plan_days(at("10:00"), at("3d 10:00"))[2]
    with pytest.raises(ValueError, match="right before the first hour"):
        build_day(plan, offers(), None, first.closing)
    assert second.closing.end_us == int(at("1d 10:00").timestamp() * 1e6)
    late = plan_days(at("1d 11:00"), at("1d 12:00"))[0]
    with pytest.raises(ValueError, match="older than the hour before"):
        build_day(late, offers(offer("1d 10:00")), None, second.closing)


def test_days_with_a_hole_between_them_are_refused():
    days = list(build_days(offers(offer("10:00"), offer("3d 10:00"))))
    with pytest.raises(ValueError, match="not consecutive"):
        assemble([days[0], days[2]], RULES)


def test_a_data_set_without_an_offer_is_refused_in_a_sentence():
    with pytest.raises(DataError, match="no opportunity row"):
        list(build_days(offers()))
