"""Rows that hold every rule, as the text of a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import pandas as pd

Row = dict[str, str]
START = pd.Timestamp("2025-03-03T00:00:00Z")  # a Monday, at midnight


def opportunity(hour: float = 0, **changes: Any) -> Row:
    """Return a row that holds every rule; changed rates change the profits that follow from them."""
    seen = START + pd.Timedelta(hours=hour)
    row: dict[str, Any] = {
        "entry_time": seen.isoformat(),
        "symbol": "ABCUSDT",
        "long_exchange": "Binance",
        "short_exchange": "Bybit",
        "entry_long_price": 100.0,
        "entry_short_price": 100.1,
        "long_funding_rate": 0.0001,
        "short_funding_rate": 0.0005,
        "long_funding_interval_hours": 8,
        "short_funding_interval_hours": 4,
        "long_next_funding_time": (seen.floor("8h") + pd.Timedelta(hours=8)).isoformat(),
        "short_next_funding_time": (seen.floor("4h") + pd.Timedelta(hours=4)).isoformat(),
        "spread_30_sample_avg": 0.001,
        "spread_volatility_stddev": 0.0002,
        "price_spread_24h_avg": 0.1,
        "price_spread_3d_avg": 0.1,
        "volume_24h": 5e6,
        "bid_ask_spread_percent": "",
        "orderbook_depth_usd": "",
        "estimated_profit_percentage": 0.0,
        "position_cost_percent": 0.2,
    }
    row.update({name: value for name, value in changes.items() if name in row})
    try:
        profit = 800 * (
            float(row["short_funding_rate"]) / float(row["short_funding_interval_hours"])
            - float(row["long_funding_rate"]) / float(row["long_funding_interval_hours"])
        )
    except (ValueError, ZeroDivisionError):
        profit = 0.09
    for name in ("8h", "24h_proj", "3d_proj"):
        row[f"fund_profit_{name}"] = profit
        row["fund_apr" if name == "8h" else f"fund_apr_{name}"] = profit * 1095
    row.update(changes)
    return {name: str(value) for name, value in row.items()}


def settlement(hour: float = 0, **changes: Any) -> Row:
    """Return a row of a market history."""
    row: dict[str, Any] = {
        "timestamp": (START + pd.Timedelta(hours=hour)).isoformat(),
        "exchange": "Binance",
        "symbol": "ABCUSDT",
        "price": 100.0,
        "funding_rate": 0.0001 if hour % 8 == 0 else "",
        "funding_interval_hours": 8,
        "high": 101.0,
        "low": 99.0,
    }
    row.update(changes)
    return {name: str(value) for name, value in row.items()}


def to_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV text; a column that only some rows have is empty in the others."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
