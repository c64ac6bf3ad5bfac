"""Small input files, written by the tests themselves."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from schemas.ingest import DatasetSummary, build_dataset, discover

START = pd.Timestamp("2025-03-03T00:00:00Z")  # a Monday, at midnight


def opportunity(hour: float = 0, **changes: Any) -> dict[str, str]:
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


def settlement(hour: float = 0, **changes: Any) -> dict[str, str]:
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


def to_csv(rows: list[dict[str, str]]) -> str:
    """Return rows as CSV text; a column that only some rows have is empty in the others."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@dataclass(frozen=True)
class Built:
    """A data set on disk."""

    folder: Path
    summary: DatasetSummary
    quality: dict[str, Any]
    quarantine: pd.DataFrame

    def table(self, name: str) -> pd.DataFrame:
        """Return the clean rows of all days."""
        return pd.concat(
            [pd.read_parquet(path) for path in sorted((self.folder / name).iterdir())], ignore_index=True
        )


class Workshop:
    """Writes input files and builds data sets from them."""

    opportunity = staticmethod(opportunity)
    settlement = staticmethod(settlement)
    to_csv = staticmethod(to_csv)

    def __init__(self, root: Path) -> None:
        self.root = root
        self._built = 0

    def write(self, name: str, content: list[dict[str, str]] | str | bytes) -> Path:
        """Write a file; one that is named .gz or .zst is packed, unless it is given as bytes."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = to_csv(content)
        if isinstance(content, str):
            raw = content.encode()
            if name.endswith(".gz"):
                raw = gzip.compress(raw, mtime=0)
            elif name.endswith(".zst"):
                raw = pa.compress(raw, codec="zstd", asbytes=True)
            content = raw
        path.write_bytes(content)
        return path

    def build(self, data: Path, history: Path | None = None, **options: Any) -> Built:
        """Build a data set in a new folder."""
        self._built += 1
        out = self.root / f"built-{self._built}"
        summary = build_dataset(discover(data, history), out, **options)
        return Built(
            out,
            summary,
            json.loads((out / "quality.json").read_text()),
            pd.read_parquet(out / "quarantine.parquet"),
        )

    def build_rows(
        self, rows: list[dict[str, str]], history: list[dict[str, str]] | None = None, **options: Any
    ) -> Built:
        """Build a data set from rows; 1 % of bad rows would be too many of a few, so all are allowed."""
        data = self.write(f"rows-{self._built}/opportunities.csv", rows)
        past = self.write(f"rows-{self._built}/history.csv", history) if history else None
        return self.build(data, past, **{"max_bad_fraction": 0.99, **options})


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Return a place to write files and build data sets."""
    return Workshop(tmp_path)


@pytest.fixture(scope="module")
def shared_workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Return a place for what several tests of a module look at."""
    return Workshop(tmp_path_factory.mktemp("shared"))
