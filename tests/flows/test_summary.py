"""What the terminal tells of a backtest."""

from datetime import UTC, datetime

import pytest

from flows.cli.summary import print_results
from schemas.backtest import BacktestSummary, PolicyResult, ProfitSplit
from schemas.trading import PRESETS, MarketRules


def test_funding_costs_and_price_of_each_line_add_up_to_its_return(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A liquidated pair: the lost margin and the other leg's gain only make sense together.
    parts = ProfitSplit(
        funding=120.0, price=900.0, fees=-60.0, slippage=-20.0, penalty=-4.0, liquidation=-1000.0,
        unrealised=12.0, closing_costs=-8.0,
    )  # fmt: skip
    result = PolicyResult(
        preset="moderate", policy="agent", runs=1, return_pct=100 * parts.total / 20_000, split=parts,
        max_drawdown_pct=0.5, final_nlv=20_000 + parts.total, trades=4, liquidations=1, hours=100,
    )  # fmt: skip
    summary = BacktestSummary(
        version="v1", start=datetime(2025, 7, 8, tzinfo=UTC), end=datetime(2025, 7, 12, tzinfo=UTC),
        hours=100, initial_capital=20_000.0, in_sample=True, overlap_hours=7, seed=0, random_runs=0,
        presets={"moderate": PRESETS["moderate"]}, rules=MarketRules(), results=(result,),
    )  # fmt: skip
    print_results(summary, "moderate")
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if line.startswith("moderate"))
    returned, funding, costs, price = (float(cell) for cell in line.split()[2:6])
    assert (returned, funding, costs, price) == (-0.30, 0.60, -0.46, -0.44)
    assert "IN-SAMPLE" in said
