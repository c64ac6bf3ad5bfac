"""The rule "hold until it flips" on real data: a few-line script and this simulator, step by step.

Enter the pair with the highest 3-day APR above a threshold, leave it when its 24 h APR is below 0; taker
fees 0.05 and 0.045 %, the moderate profile, large. The data's README gives the numbers of such a script.
Needs CARRYFLOW_REAL_DATA, the folder that holds binance_hyperliquid_2025.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks._data import read
from rl.baselines import PERIODS_A_YEAR, hold_until_flip
from rl.market.arrays import SLOT_FEATURES, MarketArrays
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.replay import Group, replay
from rl.sim.state import BUFFER_EXITS, FEE, FUNDING, LIQUIDATIONS, SLIPPAGE, STOP_EXITS
from schemas.trading import PRESETS, MarketRules

CAPITAL = 10_000.0
NOTIONAL = 3_000.0  # of a leg: 0.6 of 10,000 over 3 positions, half of it on each leg, at 3x
RULES = MarketRules(taker_fee={"binance": 0.0005, "hyperliquid": 0.00045}, slippage=False, fill_delay_steps=0)
MODERATE = PRESETS["moderate"]
# The same notional at 1x: no margin to speak of, so nothing is liquidated and no buffer is crossed.
UNBOUND = {"leverage": 1.0, "target_utilization": 0.9, "stop_loss": 0.0, "liquidation_buffer": 0.05}
UNBOUND_CAPITAL = 20_000.0
FORCED = [LIQUIDATIONS, STOP_EXITS, BUFFER_EXITS]
RUNS = (
    (
        "from 4 May, above 20 %",
        "2025-05-04",
        20.0,
        "+1.76 %, 14 trades, funding +2.26, fees -0.72, drawdown 0.37;\n"
        "after closing costs +1.60, with fills an hour later +1.58",
    ),
    ("from 4 May, above 10 %", "2025-05-04", 10.0, "+1.23 %, 28 trades"),
    ("from 8 July, above 20 %", "2025-07-08", 20.0, "+0.47 %, 5 trades"),
)


@dataclass(frozen=True)
class Row:
    """A line of the table; percent of 10,000."""

    what: str
    total: float
    trades: int
    funding: float
    price: float
    fees: float
    slippage: float
    closing: float
    drawdown: float
    forced: int = 0  # closed by liquidation, stop-loss or buffer

    def __str__(self) -> str:
        numbers = (self.total, self.funding, self.price, self.fees, self.slippage, self.closing)
        text = " ".join(f"{n:+8.2f}" for n in numbers)
        return f"{self.what:<58} {text} {self.drawdown:8.2f} {self.trades:6d} {self.forced:6d}"


HEAD = (
    f"{'':<58} "
    + " ".join(f"{h:>8}" for h in ("return", "funding", "price", "fees", "slip", "closing", "drawdown"))
    + f" {'trades':>6} {'forced':>6}"
)


@dataclass(frozen=True)
class Projections:
    """The file's own projections (T, P) of each hour and pair of a market, percent a year."""

    day: np.ndarray
    three_days: np.ndarray

    @classmethod
    def of(cls, rows: pd.DataFrame, market: MarketArrays) -> Projections:
        """Read them from rows that stand on the hour."""
        names = [
            (market.symbols[a], market.venues[a], market.venues[b])
            for a, b in zip(market.pair_long, market.pair_short, strict=True)
        ]
        hours = pd.to_datetime(market.start_ms + 3_600_000 * np.arange(market.n_hours), unit="ms", utc=True)

        def table(column: str) -> np.ndarray:
            keys = ["symbol", "long_exchange", "short_exchange"]
            wide = rows.pivot(index="entry_time", columns=keys, values=column)
            return wide.reindex(index=hours, columns=pd.MultiIndex.from_tuples(names)).to_numpy()

        return cls(table("fund_apr_24h_proj"), table("fund_apr_3d_proj"))


def script(market: MarketArrays, told: Projections, start: int, threshold: float) -> Row:
    """The few lines, rebuilt: fills at the quotes of the decision, no margin, as many entries as fit."""
    pairs = np.stack([market.pair_long, market.pair_short], axis=1)
    fee = np.array([RULES.fee(v) for v in market.venues])
    settled = np.zeros(market.mark.shape)
    events = market.settlements
    np.add.at(settled, (events.row, events.instrument), events.rate)
    held: dict[int, tuple[float, np.ndarray]] = {}  # pair -> coins, entry prices
    funding = price = fees = drawdown = 0.0
    trades, peak = 0, CAPITAL
    side = np.array([1.0, -1.0])
    for t in range(start, market.n_hours):
        mark = market.mark[t]
        for pair, (q, _) in held.items():
            if t > start:
                funding -= q * float((side * mark[pairs[pair]] * settled[t, pairs[pair]]).sum())
        for pair in [p for p in held if told.day[t, p] < 0]:
            q, entry = held.pop(pair)
            price += q * float((side * (mark[pairs[pair]] - entry)).sum())
            fees += q * float((mark * fee)[pairs[pair]].sum())
        open_gain = sum(q * float((side * (mark[pairs[p]] - e)).sum()) for p, (q, e) in held.items())
        equity = CAPITAL + funding + price - fees + open_gain
        wanted = np.where((told.day[t] >= 0) & (told.three_days[t] > threshold), told.three_days[t], -np.inf)
        for pair in np.argsort(-wanted, kind="stable").tolist():
            taken = {i for p in held for i in pairs[p].tolist()}
            if wanted[pair] == -np.inf or len(held) == MODERATE.max_positions:
                break
            if not taken & set(pairs[pair].tolist()):
                q = equity * NOTIONAL / CAPITAL / float(mark[pairs[pair]].mean())
                held[pair] = (q, mark[pairs[pair]])
                fees += q * float((mark * fee)[pairs[pair]].sum())
                trades += 1
        peak = max(peak, equity)
        drawdown = max(drawdown, 1 - equity / peak)
    part = 100 / CAPITAL
    total = funding + price - fees + open_gain
    return Row(
        "the script, rebuilt", part * total, trades, part * funding, part * (price + open_gain), -part * fees,
        0.0, 0.0, 100 * drawdown,
    )  # fmt: skip


def simulated(
    what: str,
    market: MarketArrays,
    start: int,
    threshold: float,
    rules: MarketRules,
    *,
    closing: bool = True,
    profile: Mapping[str, float] | None = None,
) -> Row:
    """The rule through the simulator; P&L over 10,000 whatever the capital is."""
    config = MODERATE.model_copy(update=dict(profile or {}))

    def act(t: int, private: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return hold_until_flip(market.slot_raw[t], private, mask, threshold)

    told = replay(market, (start, market.n_hours - 1), rules, [Group("moderate", "greedy", config, 1, act)])
    curves, booked = told.curves, told.state.booked[0] * 100 / CAPITAL
    owed = curves.closing_costs[:, 0] if closing else 0.0
    gain = curves.nlv[:, 0] + (0.0 if closing else curves.closing_costs[:, 0]) - rules.initial_capital
    worth = CAPITAL + gain
    drawdown = float(np.max(1 - worth / np.maximum.accumulate(worth)))
    total = 100 * float(gain[-1]) / CAPITAL
    due = -100 * float(np.atleast_1d(owed)[-1]) / CAPITAL
    spent = booked[FUNDING] + booked[FEE] + booked[SLIPPAGE] + due
    return Row(
        what, total, int(told.state.serials[0]), booked[FUNDING], total - spent, booked[FEE],
        booked[SLIPPAGE], due, 100 * drawdown, int(told.state.counts[0, FORCED].sum()),
    )  # fmt: skip


def script_sees(market: MarketArrays, told: Projections) -> MarketArrays:
    """The market with the script's eyes: the best ten by 3-day APR on offer, exits by the file's 24 h APR."""
    rank = np.nan_to_num(told.three_days, nan=-np.inf)
    slot_pair = np.argsort(-rank, axis=1, kind="stable")[:, : market.slot_pair.shape[1]].astype(np.int32)
    chosen = np.take_along_axis(rank, slot_pair.astype(np.int64), axis=1)
    slot_pair[~np.isfinite(chosen)] = -1
    hour = np.arange(market.n_hours)[:, None]
    raw = np.zeros_like(market.slot_raw)
    for name, table in (("profit_24h_proj", told.day), ("profit_3d_proj", told.three_days)):
        raw[:, :, SLOT_FEATURES.index(name)] = table[hour, slot_pair] / PERIODS_A_YEAR
    return replace(market, slot_pair=slot_pair, slot_raw=raw, trail24=told.day / 100 / PERIODS_A_YEAR)


def table(market: MarketArrays, told: Projections, start: int, threshold: float) -> list[Row]:
    """Every line of one run: the script, then the simulator with one more of its differences each."""
    eyes = script_sees(market, told)
    slots = replace(market, trail24=eyes.trail24)
    late = RULES.model_copy(update={"fill_delay_steps": 1})
    unbound, unbound_late = (r.model_copy(update={"initial_capital": UNBOUND_CAPITAL}) for r in (RULES, late))
    open_ended = {"stop_loss": 0.0, "liquidation_buffer": 0.05}
    run = (start, threshold)
    return [
        script(market, told, *run),
        simulated(
            "this simulator, with the script's eyes, unlevered", eyes, *run, unbound,
            closing=False, profile=UNBOUND,
        ),
        simulated("+ closing costs in the equity", eyes, *run, unbound, profile=UNBOUND),
        simulated("+ fills an hour later", eyes, *run, unbound_late, profile=UNBOUND),
        simulated("+ margin at 3x, closed at a buffer of 0.05", eyes, *run, late, profile=open_ended),
        simulated("+ the profile's stop-loss and buffer", eyes, *run, late),
        simulated("+ only the ten slots on offer", slots, *run, late),
        simulated("+ exits by the settled 24 h rate of the observation", market, *run, late),
        simulated("+ slippage", market, *run, late.model_copy(update={"slippage": True})),
    ]  # fmt: skip


def main() -> None:
    """Print the tables."""
    root = os.environ.get("CARRYFLOW_REAL_DATA")
    if not root:
        print("hold_until_flip: CARRYFLOW_REAL_DATA does not name a folder of real data; nothing to compare.")
        return
    rows, history = read(Path(root) / "binance_hyperliquid_2025")
    days = list(build_days(rows, history))
    market = assemble(days, RULES)
    told = Projections.of(rows, market)
    for what, day, threshold, known in RUNS:
        start = int((pd.Timestamp(day, tz="UTC").timestamp() * 1000 - market.start_ms) // 3_600_000)
        print(f"\n{what}. The data's README: {known}\n{HEAD}")
        for row in table(market, told, start, threshold):
            print(row)


if __name__ == "__main__":
    main()
