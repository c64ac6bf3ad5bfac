"""Second pass: values against the rules, then repairs. Every change is counted."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.columns import COLUMNS, TableName
from schemas.tables import COLUMN_RULES, DTYPES, ROW_RULES, TABLE_RULES, TIME_DTYPE

LABEL_TOLERANCE_US: Final = 120 * 1_000_000  # a stamp this far past an hour is a label of that hour
HOUR_US: Final = 3_600 * 1_000_000
STAMPED: Final = "stamped_us"
PROFIT_TOLERANCE: Final = (0.01, 0.001)  # relative; percent per 8 h


def broken_rules(frame: pd.DataFrame, table: TableName) -> pd.DataFrame:
    """Hold a parsed table against its rules.

    Args:
        frame: Parsed rows; the index holds their positions.
        table: The table they are of.

    Returns:
        One line per row and rule it breaks: position, column, rule.

    Raises:
        TypeError: A column is not of its kind: not a value but the parser is at fault.
    """
    found: list[tuple[str, str, NDArray[np.bool_]]] = []
    for column in COLUMNS[table]:
        name, values = column.name, frame[column.name]
        if values.dtype != DTYPES[column.kind]:
            raise TypeError(f"the column {name!r} is of {values.dtype}, not of {DTYPES[column.kind]}")
        null = values.isna().to_numpy()
        if not column.nullable:
            found.append((name, "missing_value", null))
        said = values.to_numpy() if column.kind == "number" else values
        for rule in COLUMN_RULES[table][name]:
            found.append((name, rule.name, ~np.asarray(rule.holds(said), dtype=bool) & ~null))
    for rule in TABLE_RULES[table]:
        found.append((ROW_RULES[rule.name][0], rule.name, ~np.asarray(rule.holds(frame), dtype=bool)))
    positions = frame.index.to_numpy(dtype=np.int64)
    broken = [
        pd.DataFrame({"position": positions[failed], "column": column, "rule": rule})
        for column, rule, failed in found
        if failed.any()
    ]
    if not broken:
        return pd.DataFrame({"position": np.empty(0, dtype=np.int64), "column": "", "rule": ""})
    return pd.concat(broken, ignore_index=True)


def repair(frame: pd.DataFrame, table: TableName) -> tuple[pd.DataFrame, dict[str, int]]:
    """Mend rows that hold all rules.

    Args:
        frame: Rows that break no rule.
        table: The table they are of.

    Returns:
        The rows, and what was mended or looks odd -> how often. Rows of a history have the column `STAMPED`:
        the stamp as it was, in epoch microseconds.
    """
    frame = frame.reset_index(drop=True)
    if table == "opportunities":
        return frame, _repair_opportunities(frame)
    frame[STAMPED] = micros(frame["timestamp"])
    return frame, _snap_history(frame)


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
