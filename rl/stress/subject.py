"""Who is stressed and where: one policy, one risk profile, one window; each stress replays it once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from rl.judge.gates import counted, percent
from rl.judge.metrics import profit_split, return_pct
from rl.market.arrays import HOUR_MS, I64, MarketArrays
from rl.replay import Actor, Group, Replay, replay
from rl.sim.env import HourRule, ordinary_hour
from rl.sim.state import KINDS, LIQUIDATIONS
from schemas.stress import StressOutcome
from schemas.trading import MarketRules, TradingConfig

ActorOf = Callable[[MarketArrays], Actor]


@dataclass(frozen=True)
class Subject:
    """A policy and the run that is made worse.

    Attributes:
        market: The market, assembled under the same rules.
        window: First and last row, both included.
        rules: What venues charge and how orders fill.
        preset: Name of the risk profile.
        config: The risk profile.
        actor_of: Makes the policy's actor for a market; it looks at that one and no other.
    """

    market: MarketArrays
    window: tuple[int, int]
    rules: MarketRules
    preset: str
    config: TradingConfig
    actor_of: ActorOf

    def play(
        self,
        *,
        market: MarketArrays | None = None,
        window: tuple[int, int] | None = None,
        rules: MarketRules | None = None,
        hour: HourRule = ordinary_hour,
    ) -> Replay:
        """Replay the policy, with what is given in place of its own."""
        played = market if market is not None else self.market
        group = Group(self.preset, "agent", self.config, 1, self.actor_of(played))
        return replay(played, window or self.window, rules or self.rules, [group], hour=hour)


@dataclass(frozen=True)
class Held:
    """One position of a replay, with rows in place of times.

    Attributes:
        opened: Row of its entry.
        closed: Row of its exit, or the last row if it was still open.
        instruments: Its long and its short leg.
        pair: Its pair.
        quantity: Coins on each leg.
        entry: Entry quotes of both legs.
        reason: Why it was closed.
    """

    opened: int
    closed: int
    instruments: tuple[int, int]
    pair: int
    quantity: float
    entry: tuple[float, float]
    reason: str


def positions(told: Replay, market: MarketArrays) -> list[Held]:
    """Return the positions of a replay of one run, in the order they were closed."""
    legs = {name: i for i, name in enumerate(zip(market.symbols, market.venues, strict=True))}
    pairs = {
        (int(a), int(b)): p for p, (a, b) in enumerate(zip(market.pair_long, market.pair_short, strict=True))
    }
    held = []
    trades = told.trades
    opened, closed = rows_of(trades["opened"], market), rows_of(trades["closed"], market)
    for i, trade in enumerate(trades.to_dict("records")):
        at = tuple(legs[trade["symbol"], trade[side]] for side in ("long_venue", "short_venue"))
        instruments = (at[0], at[1])
        held.append(
            Held(
                int(opened[i]), int(closed[i]), instruments, pairs[instruments], float(trade["quantity"]),
                (float(trade["entry_long"]), float(trade["entry_short"])), str(trade["reason"]),
            )
        )  # fmt: skip
    return held


def rows_of(times: pd.Series, market: MarketArrays) -> I64:
    """Return the row whose hour (t - 1 h, t] holds each time."""
    ms = pd.DatetimeIndex(times).as_unit("ms").asi8
    return np.asarray(-((market.start_ms - ms) // HOUR_MS), np.int64)


def rows_between(market: MarketArrays, start: datetime, end: datetime) -> tuple[int, int]:
    """Return the rows of a backtest's first decision and its last mark."""
    first, last = (round(time.timestamp() * 1000) - market.start_ms for time in (start, end))
    return first // HOUR_MS, last // HOUR_MS


def summed_up(
    name: str, what: str, told: Replay, capital: float, plain: StressOutcome | None, note: str = ""
) -> StressOutcome:
    """Sum up a replay.

    Args:
        name: Of the stress.
        what: What was made worse.
        told: The replay of one run.
        capital: Its initial capital.
        plain: The run with nothing made worse; None for that run itself.
        note: What there is to say besides the return; a sentence.
    """
    state, curves = told.state, told.curves
    booked = dict(zip(KINDS, state.booked[0].tolist(), strict=True))
    split = profit_split(booked, float(curves.unrealised[-1, 0]), float(curves.closing_costs[-1, 0]))
    value = return_pct(curves.nlv[:, 0], capital)
    liquidations = int(state.counts[0, LIQUIDATIONS])
    sentence = f"The policy returned {percent(value)} net of all costs."
    if plain is not None:
        sentence = f"{what} the policy returned {percent(value)} instead of {percent(plain.return_pct)}."
    if liquidations:
        sentence += f" {counted(liquidations, 'position was', 'positions were')} liquidated."
    return StressOutcome(
        name=name,
        what=what,
        return_pct=value,
        change_pct=0.0 if plain is None else value - plain.return_pct,
        carry_pct=100.0 * split.carry / capital,
        max_drawdown_pct=float(100.0 * state.max_drawdown[0]),
        trades=int(state.serials[0]),
        liquidations=liquidations,
        sentence=f"{sentence} {note}".rstrip(),
    )
