"""A small made-up backtest: three presets, four policies, eight random runs, a few trades."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.backtest import BacktestSummary, PolicyResult, ProfitSplit, TrainedWindow
from schemas.evidence import Comparison, Evidence, Interval
from schemas.stress import (
    STRESSES,
    Capacity,
    CapacityPoint,
    Concentration,
    Placebo,
    Share,
    StressOutcome,
    StressReport,
    StressSettings,
    Transfers,
)
from schemas.trading import PRESETS, MarketRules

HOURS = 400
CAPITAL = 10_000.0
START = datetime(2025, 7, 8, 7, tzinfo=UTC)
SYMBOLS = (
    "BTC",
    "ETH",
    "SOL",
    "1000PEPE",
    "kBONK",
    "HYPE",
    "FARTCOIN",
    "XRP",
    "AVAX",
    "LINK",
    "DOGE",
    "WIF",
    "SUI",
)
Make = Callable[..., Path]


def _curve(rng: np.random.Generator, total_pct: float, noise: float) -> np.ndarray:
    steps = rng.normal(0.0, noise, HOURS)
    steps += total_pct / 100 * CAPITAL / HOURS - steps.mean()
    return CAPITAL + np.concatenate([[0.0], np.cumsum(steps)])


def _books(time: pd.DatetimeIndex, nlv: np.ndarray, positions: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a curve into books and flows: what it gained less a flat fee is funding, a part is unrealised."""
    unrealised = 3.0 * np.sin(np.arange(len(nlv)) / 7.0) * (positions > 0)
    closing = np.full(len(nlv), 0.4 * positions)
    unrealised[0] = closing[0] = 0.0  # it starts flat
    balance = nlv - unrealised + closing
    fees = np.full(len(nlv) - 1, -0.1 * (positions > 0))
    kinds = {"fee": fees, "funding": np.diff(balance) - fees}
    flows = [pd.DataFrame({"time": time[1:], "kind": kind, "amount": paid}) for kind, paid in kinds.items()]
    open_now = np.full(len(nlv), positions)
    open_now[0] = 0
    curve = pd.DataFrame(
        {
            "time": time,
            "nlv": nlv,
            "balance": balance,
            "unrealised": unrealised,
            "closing_costs": closing,
            "positions": open_now,
            "gross_notional": 3_000.0 * open_now,
        }
    )
    return curve, pd.concat(flows, ignore_index=True)


def _trades(rng: np.random.Generator, symbols: tuple[str, ...], leverage: float) -> pd.DataFrame:
    rows = []
    for policy in ("agent", "greedy", "random"):
        for i, symbol in enumerate(symbols):
            opened, hours = int(rng.integers(0, HOURS - 60)), int(rng.integers(3, 160))
            hours = min(hours, HOURS - opened)
            notional = 2000.0 * leverage / 3 * rng.choice([1 / 3, 2 / 3, 1.0])
            parts = {
                "price_pnl": rng.normal(0, 3.0),
                "funding": notional * hours * 2.2e-5 * rng.uniform(-0.2, 1.6),
                "fees": -notional * 0.00095,
                "slippage": -notional * 0.0004,
                "liquidation": 0.0,
                "penalty": 0.0,
            }
            rows.append(
                {
                    "policy": policy,
                    "position_id": f"{policy}/{i}",
                    "symbol": symbol,
                    "long_venue": "binance",
                    "short_venue": "hyperliquid",
                    "opened": START + timedelta(hours=opened),
                    "closed": START + timedelta(hours=opened + hours),
                    "hours": hours,
                    "reason": "end" if opened + hours == HOURS else "exit",
                    "quantity": 1.0,
                    "leverage": leverage,
                    "notional": notional,
                    **parts,
                    "net_pnl": sum(parts.values()),
                    "estimated_settlements": 0,
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture
def make_backtest(tmp_path: Path) -> Make:
    """Write a backtest's files and return their folder."""

    def make(
        *,
        symbols: tuple[str, ...] = SYMBOLS,
        agent_pct: float | None = 0.84,
        greedy_pct: float = 0.47,
        in_sample: bool | None = False,
        presets: tuple[str, ...] = ("conservative", "moderate", "aggressive"),
        version: str | None = "v-3f9a1c20",
        rules: MarketRules | None = None,
    ) -> Path:
        rng = np.random.default_rng(7)
        folder = tmp_path / "backtest"
        folder.mkdir(exist_ok=True)
        time = pd.date_range(START, periods=HOURS + 1, freq="h").as_unit("us")
        curves, trades, flows, results = [], [], [], []
        for preset in presets:
            scale = PRESETS[preset].leverage / 3 if preset in PRESETS else 1.0
            trades.append(_trades(rng, symbols or ("none",), 3 * scale).assign(preset=preset))
            if not symbols:
                trades[-1] = trades[-1].iloc[:0]
            told = {"greedy": greedy_pct * scale, "random": -14.0 * scale, "cash": 0.0}
            if agent_pct is not None:
                told = {"agent": agent_pct * scale} | told
            for policy, pct in told.items():
                runs = 8 if policy == "random" else 1
                ends = [pct * (1 + 0.1 * run) for run in range(runs)]
                for run, end in enumerate(ends):
                    nlv = _curve(rng, end, 0.0 if policy == "cash" else 2.0 * scale)
                    who: dict[str, object] = {"preset": preset, "policy": policy}
                    curve, booked = _books(time, nlv, 0 if policy == "cash" else 2)
                    curves.append(curve.assign(**who, run=run))
                    if run == 0:
                        flows.append(booked.assign(**who))
                total = float(np.mean(ends)) / 100 * CAPITAL
                split = ProfitSplit(
                    funding=abs(total) * 1.9,
                    price=total * 0.2,
                    fees=-abs(total) * 0.6,
                    slippage=-abs(total) * 0.25,
                    unrealised=abs(total) * 0.05,
                    closing_costs=-abs(total) * 0.1,
                )
                several = policy == "random"
                results.append(
                    PolicyResult(
                        preset=preset,
                        policy=policy,
                        runs=runs,
                        return_pct=float(np.mean(ends)),
                        return_p5_pct=float(np.percentile(ends, 5)) if several else None,
                        return_p95_pct=float(np.percentile(ends, 95)) if several else None,
                        return_pct_by_boundary={"close": pct, "open": pct - 0.07}
                        if policy in ("agent", "greedy")
                        else {},
                        max_drawdown_pct=0.31 * scale,
                        final_nlv=CAPITAL + total,
                        trades=0 if policy == "cash" else 118.4 if several else len(symbols),
                        open_at_end=0 if several else 1,
                        voids=2.0 if policy == "random" else 0,
                        split=split,
                        turnover=8.4,
                        exposure=1.21,
                        time_in_market=0.9,
                        hours=HOURS,
                        random_runs_beaten=8 if policy == "agent" else None,
                        days=16,
                        estimated_settlements=3.0,
                        sharpe_note="insufficient evidence: 16 whole days, 30 are needed",
                    )
                )
        summary = BacktestSummary(
            version=version,
            data_hash="6cefb810e32af614",
            start=START,
            end=START + timedelta(hours=HOURS),
            hours=HOURS,
            initial_capital=CAPITAL,
            in_sample=in_sample,
            overlap_hours=None if in_sample is None else 120 * in_sample,
            trained_on=(
                TrainedWindow(
                    name="train",
                    start=datetime(2025, 5, 1, tzinfo=UTC),
                    end=datetime(2025, 6, 18, tzinfo=UTC),
                ),
                TrainedWindow(
                    name="validation",
                    start=datetime(2025, 6, 20, tzinfo=UTC),
                    end=datetime(2025, 7, 5, tzinfo=UTC),
                ),
            ),
            seed=0,
            random_runs=8,
            presets={name: PRESETS.get(name, PRESETS["moderate"]) for name in presets},
            rules=rules or MarketRules(),
            results=tuple(results),
            versions={"python": "3.11.2", "torch": "2.13.0"},
        )
        (folder / "backtest.json").write_text(summary.model_dump_json())
        pd.concat(curves, ignore_index=True).to_parquet(folder / "equity.parquet")
        pd.concat(flows, ignore_index=True).to_parquet(folder / "cash_flows.parquet")
        frame = pd.concat(trades, ignore_index=True)
        frame.to_parquet(folder / "trades.parquet")
        return folder

    return make


def made_evidence(**changes: Any) -> Evidence:
    """Evidence of thirty days that proves the policy better than cash and leaves greedy open."""
    known: dict[str, Any] = {
        "source": "test window",
        "start": datetime(2025, 7, 9, tzinfo=UTC),
        "end": datetime(2025, 8, 8, tzinfo=UTC),
        "days": 30,
        "block_days": 1,
        "blocks": 30,
        "persistence": 0.2,
        "effective_days": 20.0,
        "seeds": 3,
        "confidence": 0.95,
        "cash_apr": 0.0,
        "over_cash": Interval(mean=0.05, low=0.01, high=0.09),
        "recipe": Interval(mean=0.04, low=-0.01, high=0.08),
        "over_greedy": Comparison(
            excess=Interval(mean=0.02, low=-0.01, high=0.05), days=30, block_days=1, blocks=30
        ),
        "sharpe": 3.1,
        "trials": 12,
        "trial_variance": 0.01,
        "variance_source": "trials",
        "sharpe_of_luck": 1.4,
        "deflated_sharpe": 0.81,
        "minimum_days": 412.0,
    }
    return Evidence(**(known | changes))


def made_stress(**changes: Any) -> StressReport:
    """Stress tests of the made-up backtest, one of which takes more than there was."""

    def tried(name: str, change: float, **facts: Any) -> StressOutcome:
        return StressOutcome(
            name=name, what=f"With {name},", return_pct=0.84 + change, change_pct=change, carry_pct=0.5,
            max_drawdown_pct=0.4, trades=13, liquidations=0,
            sentence=f"With {name}, the policy returned {0.84 + change:+.2f} % instead of +0.84 %.",
            **facts,
        )  # fmt: skip

    known: dict[str, Any] = {
        "version": "v-3f9a1c20",
        "data_hash": "6cefb810e32af614",
        "preset": "moderate",
        "start": START,
        "end": START + timedelta(hours=HOURS),
        "initial_capital": CAPITAL,
        "settings": StressSettings(),
        "plain": tried("plain", 0.0),
        "outcomes": tuple(tried(name, -0.2 * i) for i, name in enumerate(STRESSES)),
        "concentration": Concentration(
            symbols=tuple(Share(name=f"COIN{i}", profit=40.0 - 4 * i, share=0.25) for i in range(9)),
            venues=(Share(name="long binance, short hyperliquid", profit=84.0, share=1.0),),
            weeks=(Share(name="2025-W28", profit=84.0, share=1.0),),
        ),
        "transfers": Transfers(sentence="3 transfers of 1,250 in all would have been needed."),
        "capacity": Capacity(
            impact_k=0.01, fills=26, fills_with_depth=0, sentence="No pair has a known depth.",
            points=(CapacityPoint(capital=100_000.0, return_pct=0.3),),
        ),
        "placebo": Placebo(sentence="With permuted rates the policy made -1.20 %.", settled=900),
    }  # fmt: skip
    return StressReport(**(known | changes))
