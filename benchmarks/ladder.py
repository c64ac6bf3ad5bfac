"""The ladder without a policy on the sealed window of real data: what there is to beat, and what nobody can.

Needs CARRYFLOW_REAL_DATA, the folder that holds binance_hyperliquid_2025.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks._data import read
from rl.backtest import run_backtest, window_rows
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.market.splits import split_windows
from schemas.backtest import BacktestSummary
from schemas.trading import PRESETS, MarketRules
from schemas.training import TrainingConfig

HEAD = "| preset | rung | return % | funding | costs | price | drawdown % | trades | liquidated |"


def rows(summary: BacktestSummary) -> list[str]:
    """Return the lines of the table."""
    lines = []
    for result in summary.results:
        funding, costs, price = result.split.told(summary.initial_capital)
        spread = ""
        if result.return_p5_pct is not None and result.return_p95_pct is not None:
            spread = f" ({result.return_p5_pct:.2f} to {result.return_p95_pct:.2f})"
        lines.append(
            f"| {result.preset} | {result.policy} | {result.return_pct:.2f}{spread} | {funding:.2f} "
            f"| {costs:.2f} | {price:.2f} | {result.max_drawdown_pct:.2f} | {result.trades:g} "
            f"| {result.liquidations:g} |"
        )
    return lines


def main() -> None:
    """Print the ladder and the bounds."""
    root = os.environ.get("CARRYFLOW_REAL_DATA")
    if not root:
        print("ladder: CARRYFLOW_REAL_DATA does not name a folder of real data; nothing to compare.")
        return
    rules = MarketRules()
    market = assemble(list(build_days(*read(Path(root) / "binance_hyperliquid_2025"))), rules)
    splits = split_windows(market.n_hours, market.start_ms, TrainingConfig().episode_hours)
    window = window_rows(market, splits.test.start, splits.test.end)
    with tempfile.TemporaryDirectory() as out:
        told = run_backtest(
            market, window, None, rules, {str(k): v for k, v in PRESETS.items()}, out_dir=Path(out)
        )
    print(
        f"{told.start:%Y-%m-%d %H:%M} to {told.end:%Y-%m-%d %H:%M} UTC; cash at 4 %: {told.cash_pct(4):.2f} %"
    )
    print("\n".join([HEAD, *rows(told)]))
    for bound in told.bounds:
        skill = ", ".join(f"{k} {v:.2f}" for k, v in bound.skill.items() if v is not None)
        print(
            f"{bound.preset}: bound {bound.bound_pct:.2f} % (a plan {bound.plan_pct:.2f}), funding bound "
            f"{bound.funding_bound_pct:.2f} % (a plan {bound.funding_plan_pct:.2f}); skill: {skill}"
        )


if __name__ == "__main__":
    main()
