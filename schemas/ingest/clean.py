"""Second pass: values against the rules, then repairs, then duplicates. Every change is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandera.errors import SchemaErrors

from schemas.columns import TIME_COLUMN, TableName, names
from schemas.tables import ROW_RULES, SCHEMAS, TIME_DTYPE

LABEL_TOLERANCE_US: Final = 120 * 1_000_000  # a stamp this far past an hour is a label of that hour
HOUR_US: Final = 3_600 * 1_000_000
PROFIT_TOLERANCE: Final = (0.01, 0.001)  # relative; percent per 8 h


@dataclass(frozen=True)
class Cleaned:
    """A table after the second pass.

    Attributes:
        frame: The clean rows in data-set order; RangeIndex.
        duplicates: Rows dropped because a later one is equal in every column.
        counts: What was repaired or looks odd -> how often; rows named here stay.
    """

    frame: pd.DataFrame
    duplicates: int
    counts: dict[str, int] = field(default_factory=dict)


def broken_rules(frame: pd.DataFrame, table: TableName) -> pd.DataFrame:
    """Hold a parsed table against its rules.

    Args:
        frame: Parsed rows; the index holds their positions.
        table: The table they are of.

    Returns:
        One line per row and rule it breaks: position, column, rule.
    """
    try:
        SCHEMAS[table].validate(frame, lazy=True)
    except SchemaErrors as errors:
        found = errors.schema_errors
    else:
        found = []
    broken: list[pd.DataFrame] = []
    for error in found:
        if error.check == "not_nullable":
            column, rule = error.schema.name, "missing_value"
            failed = frame[column].isna().to_numpy()
        elif error.check_output is not None:
            rule = error.check.name
            column = ROW_RULES[rule][0] if rule in ROW_RULES else error.schema.name
            # Checks skip nulls: what has no verdict holds.
            failed = ~error.check_output.reindex(frame.index, fill_value=True).to_numpy(dtype=bool)
        else:
            raise error  # not a value but the parser is at fault: a column of the wrong type
        broken.append(pd.DataFrame({"position": frame.index[failed], "column": column, "rule": rule}))
    if not broken:
        return pd.DataFrame({"position": np.empty(0, dtype=np.int64), "column": "", "rule": ""})
    return pd.concat(broken, ignore_index=True)


def clean_table(frame: pd.DataFrame, table: TableName, *, bars_open_stamped: bool = False) -> Cleaned:
    """Repair and deduplicate rows that hold all rules.

    Args:
        frame: Rows that break no rule, in data-set order.
        table: The table they are of.
        bars_open_stamped: High and low of a history row are of the hour that begins at its stamp.
    """
    frame = frame.reset_index(drop=True)
    counts = _repair_opportunities(frame) if table == "opportunities" else _snap_history(frame)
    # The last of equal rows stays, as the last row of the data set wins wherever rows tie.
    repeated = frame.duplicated(keep="last").to_numpy()
    frame = frame[~repeated].reset_index(drop=True)
    if table == "history":
        key = [TIME_COLUMN["history"], "exchange", "symbol"]
        counts["several_rows_for_one_hour"] = int(frame.duplicated(subset=key, keep="last").sum())
        if bars_open_stamped:
            frame, counts["bars_shifted"], counts["bars_shifted_over_a_gap"] = _shift_bars(frame)
        known = names("history")
        frame = frame[[*known, *(name for name in frame.columns if name not in known)]]
    return Cleaned(frame, int(repeated.sum()), counts)


def micros(times: pd.Series) -> NDArray[np.int64]:
    """Return UTC epoch microseconds; a null is the smallest integer."""
    return times.to_numpy(dtype="datetime64[us]").view(np.int64)


def _times(us: NDArray[np.int64], index: pd.Index) -> pd.Series:
    return pd.Series(us.view("datetime64[us]"), index=index).dt.tz_localize("UTC").astype(TIME_DTYPE)


def _hour_label(us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the hour a stamp is a label of, or the stamp itself."""
    past = us % HOUR_US
    return np.where(past <= LABEL_TOLERANCE_US, us - past, us)


def _repair_opportunities(frame: pd.DataFrame) -> dict[str, int]:
    """Move passed settlement times to the next boundary, in place; count this and what looks odd."""
    counts: dict[str, int] = {}
    seen = micros(frame["entry_time"])
    for side in ("long", "short"):
        column = f"{side}_next_funding_time"
        due = micros(frame[column])
        unknown = frame[column].isna().to_numpy()
        period = frame[f"{side}_funding_interval_hours"].to_numpy().astype(np.int64) * HOUR_US
        # Venues stamp a settlement milliseconds late: just past the hour is the hour, which has passed.
        passed = ~unknown & (_hour_label(due) <= seen)
        # Funding is due where the UTC hour is a multiple of the interval, and the epoch began at midnight.
        boundary = (seen // period + 1) * period
        frame[column] = _times(np.where(passed | unknown, boundary, due), frame.index)
        counts[f"{column}_repaired"] = int(passed.sum())
        counts[f"{column}_filled"] = int(unknown.sum())
        off = ~passed & ~unknown & (_hour_label(due) % period != 0)
        counts[f"{column}_off_boundary"] = int(off.sum())
    rates = frame["short_funding_rate"] / frame["short_funding_interval_hours"]
    rates = rates - frame["long_funding_rate"] / frame["long_funding_interval_hours"]
    relative, absolute = PROFIT_TOLERANCE
    apart = (frame["fund_profit_8h"] - 800.0 * rates).abs() > absolute + relative * 800.0 * rates.abs()
    counts["fund_profit_8h_disagrees_with_rates"] = int(apart.sum())
    return counts


def _snap_history(frame: pd.DataFrame) -> dict[str, int]:
    """Move stamps just past an hour to that hour, in place."""
    stamp = micros(frame["timestamp"])
    label = _hour_label(stamp)
    frame["timestamp"] = _times(label, frame.index)
    return {"timestamp_snapped": int((label != stamp).sum())}


def _shift_bars(frame: pd.DataFrame) -> tuple[pd.DataFrame, int, int]:
    """Give each row the high and low of the row before it, whose hour ends no later than this row.

    Price and funding rate belong to the stamp itself and stay. Over a gap the bar waits for the next
    row: a liquidation found late is better than one never found.

    Returns:
        The table, how many bars moved, and how many of them over more than an hour.
    """
    key = ["exchange", "symbol", "timestamp"]
    bars = frame.drop_duplicates(subset=key, keep="last")[[*key, "high", "low"]].sort_values(key)
    before = bars.groupby(["exchange", "symbol"])[["timestamp", "high", "low"]].shift()
    moved = before[["high", "low"]].notna().any(axis=1)
    waited = moved & (bars["timestamp"] - before["timestamp"] > pd.Timedelta(hours=1))
    bars = bars.assign(high=before["high"], low=before["low"])
    shifted = frame.drop(columns=["high", "low"]).merge(bars, on=key, how="left")
    return shifted, int(moved.sum()), int(waited.sum())
