"""Real market data passes the audit, with its history and without."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from rl.audit.garbage import Tables
from rl.audit.replay import make_deciders
from rl.audit.run import audit
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.market.splits import split_windows
from schemas.ingest import build_dataset, discover
from schemas.trading import PRESETS, MarketRules

RULES = MarketRules()


@pytest.mark.slow
@pytest.mark.parametrize("with_history", [True, False], ids=["history", "no history"])
def test_real_data_passes_the_audit(real_data: Path, tmp_path: Path, with_history: bool) -> None:
    folder = real_data / "binance_hyperliquid_2025"
    build_dataset(discover(folder if with_history else folder / "opportunities.csv.gz", None), tmp_path)

    def read(table: str) -> pd.DataFrame:
        return pd.concat(map(pd.read_parquet, sorted((tmp_path / table).iterdir())), ignore_index=True)

    tables = Tables(read("opportunities"), read("history") if with_history else None)
    market = assemble(list(build_days(tables.opportunities, tables.history)), RULES)
    splits = split_windows(market.n_hours, market.start_ms, 336)
    report = audit(tables, splits, RULES, dict(PRESETS), make_deciders(None, 0), times=6, seed=1)
    assert report.holds, report.first_difference
