"""How often the drift gate would cry at a feed that nothing happened to, and which faults it sees.

Each newest window of the data is held against earlier windows: that is a market moving by itself. Then a
fault is put into the newest rows and the limits of `DriftLimits` are asked.

    CARRYFLOW_REAL_DATA=... python -m benchmarks.drift

Needs CARRYFLOW_REAL_DATA, the folder that holds binance_hyperliquid_2025.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rl.judge.drift import verdict_of
from rl.quality.day import DayFacts, add_up, describe_day
from rl.quality.drift import make_reference, measure_drift
from schemas.drift import DriftLimits, DriftReport
from schemas.ingest import build_dataset, discover

Fault = Callable[[pd.DataFrame], pd.DataFrame]
LIMITS = DriftLimits()
TRAINED_ON = ((0, 20), (0, 40), (0, 51), (20, 50), (30, 60))  # days
RATES = ("long_funding_rate", "short_funding_rate")
PROFITS = ("fund_profit_8h", "fund_profit_24h_proj", "fund_profit_3d_proj")


def times(factor: float, *columns: str) -> Fault:
    """Multiply columns, as a changed unit does."""
    return lambda rows: rows.assign(**{name: rows[name] * factor for name in columns})


def one_venue(factor: float) -> Fault:
    """Multiply the rates of the venue that comes last in the alphabet."""

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        changed = rows.copy()
        for side in ("long", "short"):
            mine = rows[f"{side}_exchange"] == rows["long_exchange"].max()
            changed.loc[mine, f"{side}_funding_rate"] *= factor
        return changed

    return change


FAULTS: dict[str, Fault] = {
    "all rates in percent": times(100.0, *RATES),
    "all rates per hour, told as per 8 h": times(0.125, *RATES),
    "one venue's rates in percent": one_venue(100.0),
    "one venue's rates times 8": one_venue(8.0),
    "profits times 100": times(100.0, *PROFITS),
    "profits as fractions": times(0.01, *PROFITS),
    "profits a day instead of 8 h": times(3.0, *PROFITS),
    "24 h projection always 0": times(0.0, "fund_profit_24h_proj"),
    "spreads in percent": times(100.0, "spread_30_sample_avg", "spread_volatility_stddev"),
    "price spreads as fractions": times(0.01, "price_spread_24h_avg", "price_spread_3d_avg"),
    "volume in thousands": times(0.001, "volume_24h"),
    "volume times 10": times(10.0, "volume_24h"),
    "volume empty": lambda rows: rows.assign(volume_24h=np.nan),
    "every interval 8 h": lambda rows: rows.assign(
        long_funding_interval_hours=8.0, short_funding_interval_hours=8.0
    ),
    "one direction of each pair": lambda rows: rows[rows["fund_profit_8h"] > 0],
    "half of the symbols": lambda rows: rows[rows["symbol"].isin(sorted(rows["symbol"].unique())[::2])],
}


def hours(days: list[DayFacts]) -> tuple[int, int]:
    """Return the full hours of some days, [first, end)."""
    known = [hour for day in days for hour in day.hours]
    return min(known), max(known) + 1


def held_against(days: list[DayFacts], trained_on: list[DayFacts]) -> DriftReport:
    """Measure the drift of some days."""
    known = make_reference(add_up(trained_on), "", *hours(trained_on))
    return measure_drift(add_up(days), "", *hours(days), known)


def blocked(report: DriftReport) -> bool:
    """Whether the gate would not hold."""
    return any(verdict_of(one, LIMITS) == "beyond" for one in report.features)


def main() -> None:
    """Print both tables."""
    source = Path(os.environ.get("CARRYFLOW_REAL_DATA", "")) / "binance_hyperliquid_2025"
    if "CARRYFLOW_REAL_DATA" not in os.environ or not source.is_dir():
        print("drift: CARRYFLOW_REAL_DATA does not name a folder of real data; nothing to measure.")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_dataset(discover(source), folder / "data")
        files = sorted((folder / "data" / "opportunities").iterdir())
        days = [describe_day(path, "opportunities") for path in files]
        n = LIMITS.days
        ends = range(max(b for _, b in TRAINED_ON) + n, len(days) + 1)
        found = [
            held_against(days[end - n : end], days[a:b])
            for a, b in TRAINED_ON
            for end in range(b + n, len(days) + 1, 2)
        ]
        judged = [[one for one in report.features if one.judged and one.psi is not None] for report in found]
        psi = np.array([max(one.psi or 0.0 for one in every) for every in judged])
        ks = np.array([max(one.ks or 0.0 for one in every) for every in judged])
        major = [np.mean([(one.psi or 0.0) > LIMITS.major_psi for one in every]) for every in judged]
        print(f"{len(found)} windows of {n} days that nothing was done to:")
        for title, values in (("largest PSI", psi), ("largest KS", ks)):
            told = ", ".join(f"{np.quantile(values, q):.2f}" for q in (0.0, 0.5, 0.9, 1.0))
            print(f"  {title}: least, median, 90 %, most {told}")
        print(f"  features above a PSI of {LIMITS.major_psi}: {np.mean(major):.0%} on average")
        print(f"  windows with one above it: {np.mean(psi > LIMITS.major_psi):.0%}")
        print(f"  blocked: {sum(map(blocked, found))}")
        print("| fault of the newest days | seen in windows |\n|---|---|")
        a, b = TRAINED_ON[2]
        tried = [end for end in ends if (end - ends[0]) % 4 == 0]
        for title, fault in FAULTS.items():
            seen = 0
            for end in tried:
                broken = []
                for path in files[end - n : end]:
                    rows = fault(pd.read_parquet(path))
                    pq.write_table(
                        pa.Table.from_pandas(rows, preserve_index=False), folder / "broken.parquet"
                    )
                    broken.append(describe_day(folder / "broken.parquet", "opportunities"))
                seen += blocked(held_against(broken, days[a:b]))
            print(f"| {title} | {seen} of {len(tried)} |")


if __name__ == "__main__":
    main()
