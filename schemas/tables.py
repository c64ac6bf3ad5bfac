"""What a clean table is: pandera schemas of opportunities and market history, and the rules they are made of.

Both describe frames after parsing: UTC times of microseconds, float64 numbers, lower-case venues. Whoever
wants to know whether a table is clean asks the schemas; ingest, which wants to know of each row why it is
not, goes through the same rules by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import numpy as np
import pandas as pd
import pandera.pandas as pa

from schemas.columns import COLUMNS, Column, TableName

MAX_FUNDING_RATE: Final = 0.05  # fraction per interval; rates above 0.01 are real
MAX_LEG_DISTANCE: Final = 0.20  # of the cheaper leg
MAX_MULTIPLIER: Final = 6  # contracts are sold by up to a million coins (1000000MOG)
# What any coin costs in any currency lies well inside; beyond it float64 books lose or overflow.
PRICE_RANGE: Final = (1e-15, 1e12)
MAX_NAME_LENGTH: Final = 100  # the longest symbols have thirty characters
# No interval is longer than 8 hours. A day leaves room for a venue that skips settlements.
MAX_SETTLEMENT_AHEAD: Final = pd.Timedelta(days=1)
FUNDING_INTERVALS: Final = (1.0, 2.0, 4.0, 8.0)  # hours
APR_PER_PROFIT: Final = 1095.0  # 3 x 365 intervals of 8 h
APR_TOLERANCE: Final = (0.01, 1.0)  # relative; percent a year, for profits rounded to three decimals
EARLIEST: Final = pd.Timestamp("2010-01-01", tz="UTC")
LATEST: Final = pd.Timestamp("2100-01-01", tz="UTC")
TIME_DTYPE: Final = pd.DatetimeTZDtype("us", "UTC")
TEXT_DTYPE: Final = pd.StringDtype(na_value=np.nan)

RULES: Final[dict[str, str]] = {
    "wrong_field_count": "a row must have as many fields as the header",
    "quote_not_closed": "a quote must be closed on its line",
    "not_a_number": "must be a number, with a decimal point and without separators or units",
    "not_a_time": "must be a time: ISO 8601, or an epoch in s, ms, us or ns",
    "missing_value": "must not be empty",
    "name_too_long": f"must be a name of at most {MAX_NAME_LENGTH} characters",
    "time_out_of_range": f"must be between {EARLIEST:%Y} and {LATEST:%Y}",
    "not_finite": "must be finite",
    "not_positive": "must be above 0",
    "price_out_of_range": f"must be a price between {PRICE_RANGE[0]:g} and {PRICE_RANGE[1]:g}",
    "negative": "must not be negative",
    "rate_out_of_range": f"must be a fraction within ±{MAX_FUNDING_RATE} per interval: is it in percent?",
    "interval_not_allowed": "must be 1, 2, 4 or 8 hours",
    "interval_missing": "a settled rate must have its interval",
    "same_exchange": "the exchanges of a pair must differ",
    "legs_apart": f"the prices of the legs must be within {MAX_LEG_DISTANCE:.0%} of each other",
    "contract_multiplier": "the prices of the legs are a power of ten apart, as if one were of 1000PEPE: "
    "the contracts differ in size, so map them with --instruments, or give both prices for one coin",
    "settlement_too_far": "the next settlement must be within 24 hours of entry_time",
    "apr_disagrees": f"must be {APR_PER_PROFIT:.0f} times the profit per 8 h",
    "low_above_high": "low must not be above high",
}

# Rules between columns: the column they are reported under, and the columns whose values are shown.
ROW_RULES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "same_exchange": ("short_exchange", ("long_exchange", "short_exchange")),
    "legs_apart": ("entry_short_price", ("entry_long_price", "entry_short_price")),
    "contract_multiplier": ("entry_short_price", ("entry_long_price", "entry_short_price")),
    "settlement_too_far:long_next_funding_time": (
        "long_next_funding_time",
        ("entry_time", "long_next_funding_time"),
    ),
    "settlement_too_far:short_next_funding_time": (
        "short_next_funding_time",
        ("entry_time", "short_next_funding_time"),
    ),
    "apr_disagrees:fund_apr": ("fund_apr", ("fund_profit_8h", "fund_apr")),
    "apr_disagrees:fund_apr_24h_proj": (
        "fund_apr_24h_proj",
        ("fund_profit_24h_proj", "fund_apr_24h_proj"),
    ),
    "apr_disagrees:fund_apr_3d_proj": ("fund_apr_3d_proj", ("fund_profit_3d_proj", "fund_apr_3d_proj")),
    "interval_missing": ("funding_interval_hours", ("funding_rate", "funding_interval_hours")),
    "low_above_high": ("low", ("low", "high")),
}


@dataclass(frozen=True)
class Rule:
    """A rule of a column's values, or of rows.

    Attributes:
        name: One of RULES, and behind a colon the column of a rule that several have.
        holds: A column (a series, or an array of numbers), or a frame -> whether it holds, for each row. What
            it says of a null counts for nothing.
    """

    name: str
    holds: Callable[[Any], Any]


_FINITE: Final = Rule("not_finite", np.isfinite)
_POSITIVE: Final = Rule("not_positive", lambda v: v > 0)
_NOT_NEGATIVE: Final = Rule("negative", lambda v: v >= 0)


def _likely_price(prices: Any) -> Any:
    low, high = PRICE_RANGE
    # Prices that are not positive or not finite break rules of their own.
    return ((prices >= low) & (prices <= high)) | (prices <= 0) | ~(np.abs(prices) < np.inf)


def _allowed_interval(hours: Any) -> Any:
    return reduce(lambda found, interval: found | (hours == interval), FUNDING_INTERVALS[1:], hours == 1.0)


def _rules_of(column: Column) -> tuple[Rule, ...]:
    """Return the rules of one column's values; nulls are left to `nullable`."""
    name = column.name
    if name in ("entry_time", "timestamp"):
        return (Rule("time_out_of_range", lambda v: (v >= EARLIEST) & (v < LATEST)),)
    if column.kind == "time":  # one at or before entry_time is repaired, so it has no lower bound
        return (Rule("time_out_of_range", lambda v: v < LATEST),)
    if column.kind != "number":
        return (Rule("name_too_long", lambda v: v.str.len() <= MAX_NAME_LENGTH),)
    if name.endswith("funding_interval_hours"):
        return (Rule("interval_not_allowed", _allowed_interval),)
    if name.endswith("funding_rate"):
        return (Rule("rate_out_of_range", lambda v: np.abs(v) <= MAX_FUNDING_RATE),)
    if name in ("entry_long_price", "entry_short_price", "price", "high", "low"):
        return (_FINITE, _POSITIVE, Rule("price_out_of_range", _likely_price))
    if name in ("volume_24h", "bid_ask_spread_percent", "orderbook_depth_usd", "spread_volatility_stddev"):
        return (_FINITE, _NOT_NEGATIVE)
    return (_FINITE,)


def _exchanges_differ(frame: pd.DataFrame) -> pd.Series:
    return frame["long_exchange"].isna() | (frame["long_exchange"] != frame["short_exchange"])


def _legs(frame: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return whether the prices of each row's legs are close, and whether a power of ten makes them so."""
    long, short = frame["entry_long_price"].to_numpy(), frame["entry_short_price"].to_numpy()
    cheaper, dearer = np.minimum(long, short), np.maximum(long, short)
    # Prices that no coin has break rules of their own.
    judged = (cheaper >= PRICE_RANGE[0]) & (dearer <= PRICE_RANGE[1])
    near = ~(judged & (dearer - cheaper > cheaper * (MAX_LEG_DISTANCE + 1e-9)))
    scaled = np.zeros(len(frame), dtype=bool)
    if not near.all():
        ratio = dearer[~near] / cheaper[~near]
        power = np.minimum(np.round(np.log10(ratio)), MAX_MULTIPLIER)
        left = ratio / 10.0**power
        scaled[~near] = (power > 0) & (np.maximum(left, 1.0 / left) - 1.0 <= MAX_LEG_DISTANCE + 1e-9)
    return pd.Series(near, index=frame.index), pd.Series(scaled, index=frame.index)


def _legs_close(frame: pd.DataFrame) -> pd.Series:
    close, by_power_of_ten = _legs(frame)
    return close | by_power_of_ten


def _same_size(frame: pd.DataFrame) -> pd.Series:
    return ~_legs(frame)[1]


def _settles_soon(column: str) -> Rule:
    def soon(frame: pd.DataFrame) -> pd.Series:
        seen, due = frame["entry_time"], frame[column]
        # Times that are out of range break rules of their own.
        likely = (seen >= EARLIEST) & (due < LATEST)
        return ~(likely & (due - seen > MAX_SETTLEMENT_AHEAD))

    return Rule(f"settlement_too_far:{column}", soon)


def _apr_agrees(profit: str, apr: str) -> Rule:
    def agree(frame: pd.DataFrame) -> pd.Series:
        expected = frame[profit] * APR_PER_PROFIT
        relative, absolute = APR_TOLERANCE
        size = pd.Series(np.maximum(expected.abs(), frame[apr].abs()), index=frame.index)
        apart = (frame[apr] - expected).abs() > relative * size + absolute
        return ~apart | ~np.isfinite(frame[apr] + frame[profit])

    return Rule(f"apr_disagrees:{apr}", agree)


DTYPES: Final[dict[str, Any]] = {
    kind: {"time": TIME_DTYPE, "number": np.dtype("float64")}.get(kind, TEXT_DTYPE)
    for kind in ("time", "number", "symbol", "venue")
}
"""The kind of a column -> its type."""

COLUMN_RULES: Final[dict[TableName, dict[str, tuple[Rule, ...]]]] = {
    table: {column.name: _rules_of(column) for column in columns} for table, columns in COLUMNS.items()
}
TABLE_RULES: Final[dict[TableName, tuple[Rule, ...]]] = {
    "opportunities": (
        Rule("same_exchange", _exchanges_differ),
        Rule("legs_apart", _legs_close),
        Rule("contract_multiplier", _same_size),
        _settles_soon("long_next_funding_time"),
        _settles_soon("short_next_funding_time"),
        _apr_agrees("fund_profit_8h", "fund_apr"),
        _apr_agrees("fund_profit_24h_proj", "fund_apr_24h_proj"),
        _apr_agrees("fund_profit_3d_proj", "fund_apr_3d_proj"),
    ),
    "history": (
        Rule("interval_missing", lambda f: f["funding_rate"].isna() | f["funding_interval_hours"].notna()),
        Rule("low_above_high", lambda f: ~(f["low"] > f["high"])),
    ),
}


def _schema(table: TableName) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(
        columns={
            column.name: pa.Column(
                DTYPES[column.kind],
                checks=[pa.Check(rule.holds, name=rule.name) for rule in COLUMN_RULES[table][column.name]],
                nullable=column.nullable,
                name=column.name,
            )
            for column in COLUMNS[table]
        },
        checks=[pa.Check(rule.holds, name=rule.name) for rule in TABLE_RULES[table]],
        name=table,
    )


OPPORTUNITIES: Final = _schema("opportunities")
HISTORY: Final = _schema("history")

SCHEMAS: Final[dict[TableName, pa.DataFrameSchema]] = {"opportunities": OPPORTUNITIES, "history": HISTORY}
