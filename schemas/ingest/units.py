"""Values that tell of themselves that they are in percent where fractions belong, or the other way round.

A single row proves little, a file does: where rates and profits, or spreads and prices, are written in the
units asked for, fewer than one row in ten looks wrong by accident, and in the other unit more than nine do
(counted on histories of two exchanges, on a scanner's file, and on the generated market).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from schemas.errors import DataError
from schemas.ingest.clean import PROFIT_TOLERANCE

WRONG_SHARE: Final = 0.5
"""Of a file's good rows; halfway between what accident gives and what the other unit gives."""
FEWEST_ROWS: Final = 20
_PROFIT_PER_RATE: Final = 800.0  # a fraction an hour in percent per 8 h
_ODD: Final = 10.0  # halfway between 1 and 100, as factors go

_ASKED: Final[dict[str, tuple[str, str, str]]] = {
    "long_funding_rate": ("percent", "the profits beside them follow from a hundredth of it", "fractions"),
    "spread_30_sample_avg": ("percent", "it is a hundred times the difference of the prices", "fractions"),
    "price_spread_24h_avg": ("fractions", "it is about the difference of the prices itself", "percent"),
    "price_spread_3d_avg": ("fractions", "it is about the difference of the prices itself", "percent"),
}


def other_units(frame: pd.DataFrame) -> dict[str, int]:
    """Return for each column that can tell its unit in how many rows it seems to be in the other one.

    Args:
        frame: Rows of opportunities that hold all rules.
    """
    rates = frame["short_funding_rate"] / frame["short_funding_interval_hours"]
    rates = _PROFIT_PER_RATE * (rates - frame["long_funding_rate"] / frame["long_funding_interval_hours"])
    relative, absolute = PROFIT_TOLERANCE
    profit = frame["fund_profit_8h"]
    apart = (profit - rates).abs() > absolute + relative * rates.abs()
    percent = (100.0 * profit - rates).abs() <= absolute + relative * rates.abs()
    long, short = frame["entry_long_price"], frame["entry_short_price"]
    spread = ((short - long) / (0.5 * (short + long))).abs()
    known = spread > 0
    found = {"long_funding_rate": apart & percent}
    found["spread_30_sample_avg"] = known & (frame["spread_30_sample_avg"].abs() > _ODD * spread)
    for name in ("price_spread_24h_avg", "price_spread_3d_avg"):
        found[name] = known & (frame[name].abs() < 100.0 / _ODD * spread) & (frame[name] != 0.0)
    return {name: int(np.count_nonzero(rows)) for name, rows in found.items()}


def require_units(other: Mapping[str, int], rows: int, where: str) -> None:
    """Refuse a file of which a column is in another unit than it should be.

    Args:
        other: As `other_units` counts.
        rows: Good rows of the file.
        where: What to call the file.

    Raises:
        DataError: More than half of the rows say so.
    """
    for name, count in other.items():
        if rows >= FEWEST_ROWS and count > WRONG_SHARE * rows:
            unit, sign, asked = _ASKED[name]
            both = " and 'short_funding_rate'" if name == "long_funding_rate" else ""
            raise DataError(
                f"seems to be in {unit}: in {count} of {rows} rows {sign}.",
                f"{where}, column {name!r}{both}",
                f"Write it in {asked}.",
            )
