"""Which hours are built of which day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pandas as pd

from rl.market.arrays import HOUR_MS
from rl.market.rows import HOUR_US, times_us
from schemas.errors import DataError

MAX_HOURS: Final = 10 * 366 * 24


@dataclass(frozen=True)
class DayPlan:
    """The hours to build of one UTC day.

    Attributes:
        day: YYYY-MM-DD.
        start_ms: UTC epoch milliseconds of its first hour.
        n_hours: How many hours.
    """

    day: str
    start_ms: int
    n_hours: int


def plan_days(first: datetime | str, last: datetime | str) -> list[DayPlan]:
    """List the days to build, without a hole, for data from `first` to `last`.

    The grid goes from the hour the first row lies in to the first hour at or after the last row, so rows
    of a day's last hour may ask for one hour of a day that has no rows of its own.

    Args:
        first: Time of the earliest row of either table; naive means UTC.
        last: Time of the latest opportunity row.

    Raises:
        DataError: The times are in the wrong order, or lie so far apart that one must be wrong.
    """
    start, end = _epoch_us(first) // HOUR_US, -(-_epoch_us(last) // HOUR_US)  # in hours since 1970
    if end < start or end - start > MAX_HOURS:
        raise DataError(
            f"the rows go from {first} to {last}, which cannot be one data set.",
            remedy="Remove the rows with a wrong year.",
        )
    plans = []
    while start <= end:
        n_hours = min(24 - start % 24, end - start + 1)
        day = datetime.fromtimestamp(start * 3600, UTC).strftime("%Y-%m-%d")
        plans.append(DayPlan(day, start * HOUR_MS, n_hours))
        start += n_hours
    return plans


def _epoch_us(time: datetime | str) -> int:
    return int(times_us([pd.Timestamp(time)])[0])
