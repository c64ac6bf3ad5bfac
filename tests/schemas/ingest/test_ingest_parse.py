import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.ingest.parse import NULL_TEXTS, read_numbers, read_times


def times(*texts):
    values, bad = read_times(pa.array(texts, pa.string()))
    return [None if np.isnat(v) else str(v) for v in values], bad.tolist()


def test_times_of_every_form_may_be_mixed_in_one_column():
    written = [
        "2025-10-03T16:00:00Z", "2025-10-03 16:00:00+00:00", "2025-10-03 16:00:00",
        "2025-10-03T18:00:00+02:00",
        "2025-10-03T12:00:00-0400", "2025-10-03T16:00", "2025-10-03 16:00:00 UTC", "2025-10-03t16:00:00z",
        "20251003T160000Z", "1759507200", "1759507200.0", "1.7595072e9", "1759507200000", "1759507200000000",
        "1759507200000000000",
    ]  # fmt: skip
    values, bad = times(*written)
    assert values == ["2025-10-03T16:00:00.000000"] * len(written)
    assert not any(bad)


def test_a_date_alone_is_its_midnight_in_utc():
    assert times("2025-10-03")[0] == ["2025-10-03T00:00:00.000000"]


def test_fractions_of_a_second_survive_to_the_microsecond():
    written = ["2025-10-03T16:00:00.001Z", "2025-10-03T16:00:00,001Z", "1759507200.001", "1759507200001",
               "1759507200001000999", "2025-10-03 16:00:00.001000999"]  # fmt: skip
    assert times(*written)[0] == ["2025-10-03T16:00:00.001000"] * len(written)


@pytest.mark.parametrize(
    "text",
    ["yesterday", "now", "today", "2025-10", "03/10/2025", "2025/10/03", "10-03-2025", "2025-13-03",
     "2025-10-03T25:00:00Z",
     "16:00:00", "2025-W40-5", "1e30", "inf", "2025-10-03T16:00:00Z extra", "१२३"],
)  # fmt: skip
def test_what_is_not_a_time_is_marked_and_not_guessed(text):
    values, bad = times("2025-10-03T16:00:00Z", text, None)
    assert values == ["2025-10-03T16:00:00.000000", None, None]
    assert bad == [False, True, False]


@settings(max_examples=60, deadline=None)
@given(
    st.datetimes(dt.datetime(2010, 1, 1), dt.datetime(2099, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
)
def test_a_time_reads_the_same_in_any_zone_and_as_an_epoch(moment, offset):
    utc = moment.replace(tzinfo=dt.UTC)
    zone = dt.timezone(dt.timedelta(minutes=offset))
    micros = (utc - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    written = [
        moment.isoformat(" "),
        utc.isoformat(),
        utc.astimezone(zone).isoformat(),
        str(micros),
        f"{micros}000",
    ]
    values, bad = read_times(pa.array(written))
    assert not bad.any()
    assert values.tolist() == [moment] * len(written)


@pytest.mark.parametrize("text", ["1.5", "-2e-05", "+1", ".5", "5.", "1E+3", "0"])
def test_numbers_are_read_exactly(text):
    values, bad = read_numbers(pa.array([text]))
    assert values[0] == float(text) and not bad[0]


@pytest.mark.parametrize(
    "text", ["abc", "1,5", "1_000", "0x10", "5%", "--1", "1e", "1.2.3", "nan(7)", "١٢", "1 000"]
)
def test_what_is_not_a_number_is_marked_and_not_guessed(text):
    for beside in (["2"], ["2", "zzz"]):
        values, bad = read_numbers(pa.array([text, *beside]))
        assert bad[0] and np.isnan(values[0])
        assert values[1] == 2.0 and not bad[1]


def test_infinity_is_read_so_that_its_rule_can_name_it():
    values, bad = read_numbers(pa.array(["inf", "-Infinity", "x"]))
    assert np.isinf(values[:2]).all() and bad.tolist() == [False, False, True]


@settings(max_examples=120, deadline=None)
@given(st.text("0123456789+-.eEinfatyNxX_ ", min_size=1, max_size=8).map(str.strip).filter(bool))
def test_a_number_does_not_depend_on_bad_ones_beside_it(text):
    alone, alone_bad = read_numbers(pa.array([text]))
    beside, beside_bad = read_numbers(pa.array([text, "not a number"]))
    assert alone_bad[0] == beside_bad[0]
    np.testing.assert_array_equal(alone[0], beside[0])


def test_null_like_texts_are_null(workshop):
    texts = [*NULL_TEXTS, "NULL", "None", "NaN", " ", " nan "]
    rows = [workshop.opportunity(h, volume_24h=text) for h, text in enumerate([*texts, "5"])]
    built = workshop.build_rows(rows)
    assert built.table("opportunities")["volume_24h"].isna().tolist() == [True] * len(texts) + [False]
    assert built.quality["opportunities"]["columns"]["volume_24h"]["nulls"] == len(texts)
