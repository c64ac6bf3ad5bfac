"""Markets for the benchmarks, made from CSV files by the same steps as in a run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from rl.market.build import DayFeatures, build_days
from rl.market.synthetic import write_sample
from schemas.ingest import build_dataset, discover


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the clean opportunity rows and history rows of a folder of CSV files."""
    with tempfile.TemporaryDirectory() as scratch:
        build_dataset(discover(folder, None), Path(scratch))
        tables = [
            pd.concat(
                map(pd.read_parquet, sorted((Path(scratch) / name).glob("*.parquet"))), ignore_index=True
            )
            for name in ("opportunities", "history")
        ]
    return tables[0], tables[1]


def sample_days(days: int) -> list[DayFeatures]:
    """Return the features of the generated sample market."""
    with tempfile.TemporaryDirectory() as scratch:
        write_sample(Path(scratch), days=days)
        return list(build_days(*read(Path(scratch))))
