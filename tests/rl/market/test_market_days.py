"""Days: any grouping of the hours gives the same bits, and a day's tables give them back."""

import io
import zipfile
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from rl.market.assemble import assemble
from rl.market.build import build_days, build_hours
from rl.market.days import read_closing, read_day, write_day
from rl.market.offered import day_offers, offered
from rl.market.plan import plan_days
from rl.market.rows import history_rows, opportunity_rows, read_history, read_opportunities, take
from rl.market.tables import read_tables
from schemas.errors import ArtifactError, ConfigError, DataError
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


def build_day(plan, opportunities, history, closing):
    """Build the hours of a plan's day from frames."""
    rows, past = opportunity_rows(opportunities), history_rows(history)
    return build_hours(rows, past, closing, plan.start_ms, plan.n_hours)


def test_a_day_written_and_read_is_the_same_bit_for_bit(by_day, tmp_path):
    files = [tmp_path / f"{i}.zip" for i in range(len(by_day))]
    for path, day in zip(files, by_day, strict=True):
        write_day(day, path)
        assert bits(read_day(path)) == bits(day)
        assert bits(read_closing(path)) == bits(day.closing)
        bare = read_day(path, closing=False).closing
        assert (bare.end_us, len(bare.pairs.symbols)) == (day.closing.end_us, 0)
    assert bits(assemble(files, RULES)) == bits(assemble(by_day, RULES))


def test_a_day_built_on_a_closing_state_read_back_is_the_same(data, by_day, tmp_path):
    write_day(by_day[0], tmp_path / "day.zip")
    day = data[0][data[0].entry_time.dt.floor("D") == at("1d 00:00")]
    past = None if data[1] is None else data[1][data[1].timestamp.dt.floor("D") == at("1d 00:00")]
    plan = plan_days(at("00:00"), data[0].entry_time.max())[1]
    closing = read_closing(tmp_path / "day.zip")
    assert closing.digest() == by_day[0].closing.digest()
    assert bits(build_day(plan, day, past, closing)) == bits(by_day[1])


def test_equal_days_give_equal_bytes(data, by_day, tmp_path):
    contents = []
    for days in (by_day, list(build_days(*data))):
        write_day(days[2], tmp_path / "day.zip")
        contents.append((tmp_path / "day.zip").read_bytes())
    assert contents[0] == contents[1]
    assert [path.name for path in tmp_path.iterdir()] == ["day.zip"]  # no partial file is left


def test_others_read_a_table_of_a_day_without_this_program(by_day, tmp_path):
    write_day(by_day[1], tmp_path / "day.zip")
    with zipfile.ZipFile(tmp_path / "day.zip") as archive:
        slots = pd.read_feather(io.BytesIO(archive.read("slots.arrow")))
        assert {name.partition(".")[0] for name in archive.namelist()} >= {"panel", "pairs", "settlements"}
    hour, slot = np.nonzero(by_day[1].slots.pair >= 0)
    assert len(slots) == len(hour) > 0 and slots["slot"].tolist() == slot.tolist()
    assert np.array_equal(slots["score"], by_day[1].slots.score[hour, slot])
    symbols = np.array(by_day[1].symbols, dtype=object)
    pair = by_day[1].slots.pair[hour, slot]
    assert slots["symbol"].tolist() == symbols[by_day[1].pair_long[pair]].tolist()


def test_days_as_another_version_wrote_them_are_refused_in_words(by_day, tmp_path):
    write_day(by_day[0], tmp_path / "2025-03-01.zip")
    (tmp_path / "2025-03-02").mkdir()
    with pytest.raises(ArtifactError, match=r"another version of carryflow wrote them.*run the step"):
        assemble(sorted(tmp_path.iterdir()), RULES)
    for content in (b"", b"no archive", (tmp_path / "2025-03-01.zip").read_bytes()[:-200]):
        (tmp_path / "cut.zip").write_bytes(content)
        with pytest.raises(OSError, match=r"cut\.zip does not hold such tables"):
            read_day(tmp_path / "cut.zip")


@pytest.mark.parametrize("leave_out", [0, 1], ids=["all days", "from the second on"])
def test_the_slots_alone_are_those_of_the_whole_market(by_day, leave_out):
    fees = RULES.model_copy(update={"full_spread_thin": 0.003})
    days = by_day[leave_out:]
    slots, market = offered([day_offers(day) for day in days], fees), assemble(days, fees)
    assert bits(slots.slot_raw) == bits(market.slot_raw)
    assert (slots.start_ms, slots.n_hours) == (market.start_ms, market.n_hours)
    assert (slots.n_instruments, slots.n_pairs) == (market.n_instruments, len(market.pair_long))


def test_what_the_whole_market_refuses_its_slots_refuse(by_day):
    days = [day_offers(day) for day in by_day]
    with pytest.raises(ValueError, match="not consecutive"):
        offered([days[0], days[2]], RULES)
    with pytest.raises(ConfigError, match="23 hours old at most"):
        offered(days, RULES.model_copy(update={"max_quote_age_hours": 30.0}))
    silent = [replace(day, filled=np.zeros_like(day.filled)) for day in days]
    with pytest.raises(DataError, match="no hour has an opportunity on offer"):
        offered(silent, RULES)


def test_rows_read_from_a_file_are_those_of_the_frame_in_it(data, tmp_path):
    for frame, of_frame, of_file in (
        (data[0], opportunity_rows, read_opportunities),
        (data[1], history_rows, read_history),
    ):
        if frame is None:
            continue
        for part in (frame, frame.iloc[:0]):
            part.to_parquet(tmp_path / "day.parquet")
            assert bits(of_file(tmp_path / "day.parquet")) == bits(of_frame(part))
    data[0].drop(columns="volume_24h").to_parquet(tmp_path / "day.parquet")
    assert np.isnan(read_opportunities(tmp_path / "day.parquet").volume).all()
    data[0].drop(columns="symbol").to_parquet(tmp_path / "day.parquet")
    with pytest.raises(ValueError, match="a clean table lacks the column 'symbol'"):
        read_opportunities(tmp_path / "day.parquet")


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
        next(build_days(offers(offer("07:00", long_funding_interval_hours=4.0), offer("08:00")))),
        tmp_path / "day.zip",
    )
    panel = pd.DataFrame(read_tables(tmp_path / "day.zip", ["panel"])["panel"][0])
    for time in ("hour", "next_settlement"):
        panel[time] = panel[time].dt.tz_localize("UTC")
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
