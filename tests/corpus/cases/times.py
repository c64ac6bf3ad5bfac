"""Times in every form, and times that cannot be."""

from __future__ import annotations

import pandas as pd

from tests.corpus.case import GOOD, Case, Kept, Make, Refused, as_plain, each, every, good, one, table
from tests.corpus.rows import START, opportunity

HOURS = [START + pd.Timedelta(hours=hour) for hour in range(GOOD)]
SECONDS = [int(time.timestamp()) for time in HOURS]
CHANGE = pd.Timestamp("2025-03-29T20:00:00", tz="Europe/Berlin")  # hours before summer time begins

PLAIN = Kept(check=as_plain, says="the same moments as in a plain file")
NOT_A_TIME = Kept(quarantined=1, rules=("not_a_time",))
OUT_OF_RANGE = Kept(quarantined=1, rules=("time_out_of_range",))
MIXED = [
    "2025-03-03", "2025-03-03 01:00", "2025-03-03T02:00:00Z", "2025-03-03T05:00:00+02:00", "20250303T040000Z",
    "2025-03-03 05:00:00 UTC", SECONDS[6], SECONDS[7] * 1000,
]  # fmt: skip


def across(zone: bool) -> Make:
    """Rows across a change of summer time, by the clock of Berlin."""
    times = [CHANGE + pd.Timedelta(hours=hour) for hour in range(24)]
    rows = []
    for time in times:
        hour = (time - START).total_seconds() / 3600
        rows.append(opportunity(hour, entry_time=(time if zone else time.tz_localize(None)).isoformat()))
    return table(rows)


def years_apart(first: str, day: str, row: int, side: str) -> Refused:
    return Refused(
        f"scan.csv, column 'entry_time', row {row}: is of {day}, years {side} the other rows "
        f"({first}). Mend or remove it."
    )


CASES = (
    Case("epochs in seconds", each("entry_time", SECONDS), PLAIN),
    Case("epochs in milliseconds", each("entry_time", [s * 10**3 for s in SECONDS]), PLAIN),
    Case("epochs in microseconds", each("entry_time", [s * 10**6 for s in SECONDS]), PLAIN),
    Case("epochs in nanoseconds", each("entry_time", [s * 10**9 for s in SECONDS]), PLAIN),
    Case("epochs written as floats", each("entry_time", [f"{s}.0" if s % 7200 else f"{s:.9e}" for s in SECONDS]), PLAIN),
    Case("every form mixed in one column", each("entry_time", MIXED), Kept(rows=8, check=as_plain)),
    Case("times with offsets", each("entry_time", [time.tz_convert("Asia/Kolkata").isoformat() for time in HOURS]), PLAIN),
    Case("a change of summer time, with offsets", across(zone=True), Kept(rows=24, check=lambda o: _hours(o, 24, 0))),
    Case("a change of summer time, local times without an offset", across(zone=False), Kept(rows=24, check=lambda o: _hours(o, 25, 1), says="read as UTC, so an hour seems to be missing")),
    Case("a zone by name", one(entry_time="2025-03-03 07:00:00 Europe/Berlin"), NOT_A_TIME),
    Case("an offset of 99 hours", one(entry_time="2025-03-03T07:00:00+99:99"), NOT_A_TIME),
    Case("day first", every(entry_time="03.03.2025 07:00"), Refused("scan.csv, column 'entry_time', row 2: has no readable time: the first is '03.03.2025 07:00'. Write times as 2025-10-03T16:00:00Z (without a zone: UTC) or as an epoch in s, ms, us or ns.")),
    Case("month first in one row", one(entry_time="03/03/2025 07:00"), NOT_A_TIME),
    Case("hour 24", one(entry_time="2025-03-03T24:00:00Z"), NOT_A_TIME),
    Case("second 60", one(entry_time="2025-03-03T06:59:60Z"), NOT_A_TIME),
    Case("29 February of a common year", one(entry_time="2025-02-29T07:00:00Z"), NOT_A_TIME),
    Case("the year 1970", one(entry_time="1970-01-01T00:00:00Z"), OUT_OF_RANGE),
    Case("an epoch of 0", one(entry_time="0"), OUT_OF_RANGE),
    Case("the year 2262", one(entry_time="2262-04-11T23:47:16.854775807Z"), OUT_OF_RANGE),
    Case("the year 9999", one(entry_time="9999-12-31T23:59:59-14:00"), OUT_OF_RANGE),
    Case("the year 0000", one(entry_time="0000-01-01T00:00:00Z"), OUT_OF_RANGE),
    Case("one time 70 years ahead of the others", one(entry_time="2095-03-03T07:00:00Z"), years_apart("2025-03-03 to 2025-03-04", "2095-03-03", 9, "after")),
    Case("one time 12 years before the others", one(entry_time="2013-03-03T07:00:00Z", long_next_funding_time="", short_next_funding_time=""), years_apart("2025-03-03 to 2025-03-04", "2013-03-03", 9, "before")),
    Case("a settlement 70 years ahead", one(long_next_funding_time="2095-03-03T08:00:00Z"), Kept(quarantined=1, rules=("settlement_too_far",))),
    Case("a settlement that has passed", one(long_next_funding_time="2025-03-03T00:00:00Z"), Kept(check=as_plain, counts={"long_next_funding_time_repaired": 1})),
    Case("a settlement in the year 1970", one(long_next_funding_time="0"), Kept(check=as_plain, counts={"long_next_funding_time_repaired": 1})),
    Case("a settlement in the year 2262", one(long_next_funding_time="2262-04-11T00:00:00Z"), OUT_OF_RANGE),
    Case("rows in no order", table([opportunity((7 * hour) % GOOD) for hour in range(GOOD)]), Kept(check=lambda o: _ordered(o))),
    Case("all rows at one moment", table([opportunity(0, symbol=f"S{i}") for i in range(GOOD)]), Kept()),
    Case("one row", table(good(1)), Kept(rows=1)),
    Case("a gap of 300 days", table([opportunity(0), opportunity(300 * 24)]), Kept(rows=2)),
)  # fmt: skip


def _ordered(outcome) -> None:
    assert sorted(outcome.table()["entry_time"]) == HOURS


def _hours(outcome, hours: int, empty: int) -> None:
    facts = outcome.quality["opportunities"]
    assert (facts["hours"], facts["hours_without_rows"]) == (hours, empty)
