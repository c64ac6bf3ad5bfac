"""Replaying a window of the market with several policies side by side, and keeping what they did.

Every run is one episode over the whole window, starting flat; runs share nothing but the market.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rl.judge.metrics import drawdown
from rl.market.arrays import F64, HOUR_MS, I64, Bool, MarketArrays, Settlements
from rl.sim.env import HourRule, VectorSim, ordinary_hour
from rl.sim.quotes import booked_settlements
from rl.sim.record import Recorder
from rl.sim.state import FEE, ConfigArrays, SimState
from schemas.backtest import PolicyName
from schemas.trading import N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES, MarketRules, TradingConfig

FLOW_COLUMNS = (
    "preset", "policy", "time", "position_id", "leg", "venue", "symbol", "kind", "side", "quantity", "price",
    "rate", "amount",
)  # fmt: skip


class Actor(Protocol):
    """Decides for the runs of one policy under one preset."""

    def __call__(self, t: int, private: NDArray[np.float32], mask: Bool) -> NDArray[np.integer]:
        """Return (K,) actions.

        Args:
            t: Row of the market's hourly grid; nothing after it may be looked at.
            private: (K, 75) config, portfolio and position part of the observation.
            mask: (K, 36) valid actions; a run that has ended may only hold.
        """
        ...


@dataclass(frozen=True)
class Group:
    """The runs of one policy under one preset."""

    preset: str
    policy: PolicyName
    config: TradingConfig
    runs: int
    actor: Actor


@dataclass(frozen=True)
class Curves:
    """The books at every hour of the window, (H + 1, N), quote currency; row 0 is the start.

    Attributes:
        time_ms: (H + 1,) UTC epoch milliseconds.
        nlv: balance + unrealised - closing costs.
        balance: Capital plus every booked flow.
        free_cash: Balance not locked as margin.
        unrealised: Price profit of open positions.
        closing_costs: Cost of closing them now, positive.
        positions: Open positions.
        gross_notional: Sum of their notionals at entry, both legs.
        hours: (N,) hours lived; fewer than H where the drawdown limit ended the run; then its rows repeat.
    """

    time_ms: I64
    nlv: F64
    balance: F64
    free_cash: F64
    unrealised: F64
    closing_costs: F64
    positions: I64
    gross_notional: F64
    hours: I64


@dataclass(frozen=True)
class Replay:
    """Everything a backtest is made of; `state` holds the final books, a row per run in the groups' order."""

    groups: tuple[Group, ...]
    curves: Curves
    state: SimState
    estimated: I64
    off_boundary: I64
    traded: F64
    flows: pd.DataFrame
    trades: pd.DataFrame

    def rows(self, group: Group) -> slice:
        """Return which runs are a group's."""
        first = 0
        for other in self.groups:
            if other is group:
                return slice(first, first + group.runs)
            first += other.runs
        raise KeyError(f"{group.policy} under {group.preset} was not replayed")

    def equity(self) -> pd.DataFrame:
        """Return the curves as a long table: preset, policy, run, time and the books while the run lived."""
        c = self.curves
        down = drawdown(c.nlv.T).T
        parts = []
        for group in self.groups:
            for run, env in enumerate(range(self.rows(group).start, self.rows(group).stop)):
                k = slice(0, int(c.hours[env]) + 1)
                columns: dict[str, object] = {
                    "preset": group.preset,
                    "policy": group.policy,
                    "run": run,
                    "time": pd.to_datetime(c.time_ms[k], unit="ms", utc=True).as_unit("us"),
                    "nlv": c.nlv[k, env],
                    "drawdown": down[k, env],
                    "balance": c.balance[k, env],
                    "free_cash": c.free_cash[k, env],
                    "unrealised": c.unrealised[k, env],
                    "closing_costs": c.closing_costs[k, env],
                    "positions": c.positions[k, env],
                    "gross_notional": c.gross_notional[k, env],
                }
                parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)


class _Tally(Recorder):
    """Records the flows and trades of some runs, and counts settlements and turnover of all."""

    def __init__(self, market: MarketArrays, rules: MarketRules, follow: Bool) -> None:
        super().__init__(market, follow)
        n = len(follow)
        self.estimated = np.zeros(n, np.int64)
        self.off_boundary = np.zeros(n, np.int64)
        self.traded = np.zeros(n, np.float64)
        events = booked_settlements(market, rules)
        shape = (market.n_hours, max(market.n_instruments, 1))
        self._estimated_at, self._off_at = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        np.add.at(self._estimated_at, (events.row, events.instrument), events.estimated)
        np.add.at(self._off_at, (events.row, events.instrument), events.off_boundary)

    def flow(
        self, kind: int, env: I64, slot: I64, leg: int, state: SimState, price: F64, rate: F64, amount: F64
    ) -> None:
        super().flow(kind, env, slot, leg, state, price, rate, amount)
        if kind == FEE:  # every fill has exactly one fee per leg
            np.add.at(self.traded, env, state.quantity[env, slot] * price)

    def funding(self, state: SimState, held: Bool, events: Settlements) -> None:
        super().funding(state, held, events)
        at = (state.t[:, None, None], state.leg)
        self.estimated += (self._estimated_at[at] * held[:, :, None]).sum(axis=(1, 2))
        self.off_boundary += (self._off_at[at] * held[:, :, None]).sum(axis=(1, 2))

    def hour(self, state: SimState, moved: Bool, free: F64, gross: F64) -> None:
        """Curves are kept by the replay, for all runs and with more columns."""


def replay(
    market: MarketArrays,
    window: tuple[int, int],
    rules: MarketRules,
    groups: Sequence[Group],
    *,
    hour: HourRule = ordinary_hour,
    on_progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Replay rows a..b of the market; the first run of every group is recorded flow by flow.

    Args:
        market: The market.
        window: First and last row, both included: decisions at a..b-1, the last mark at b.
        rules: Fees, spreads, staleness, delay.
        groups: Who decides, and for how many runs.
        hour: What an hour does to open positions; a stress puts a worse one here.
        on_progress: Told (hours done, hours in all) after every hour.
    """
    a, b = window
    counts = [group.runs for group in groups]
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    n = int(edges[-1])
    follow = np.zeros(n, np.bool_)
    follow[edges[:-1]] = True
    tally = _Tally(market, rules, follow)
    # The actors look at the market themselves, so the simulator's own market observation stays empty.
    unseen = np.zeros((market.n_hours, N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES), np.float32)
    sim = VectorSim(market, unseen, rules, n, recorder=tally, hour=hour)
    configs = [group.config for group in groups for _ in range(group.runs)]
    sim.reset(np.arange(n), np.full(n, a), np.full(n, b), ConfigArrays.of(configs))

    names = ("nlv", "balance", "free_cash", "unrealised", "closing_costs", "gross_notional")
    kept = {name: np.empty((b - a + 1, n), np.float64) for name in names}
    positions = np.empty((b - a + 1, n), np.int64)
    hours = np.zeros(n, np.int64)

    def keep(row: int) -> None:
        s, val = sim.state, sim.valuation()
        held = np.where(s.active, val.notional, 0.0)
        now = (
            s.nlv,
            s.balance,
            sim.free,
            val.unrealised.sum(axis=1),
            val.closing.sum(axis=1),
            held.sum(axis=1),
        )
        for name, values in zip(names, now, strict=True):
            kept[name][row] = values
        positions[row] = s.active.sum(axis=1)

    keep(0)
    actions = np.zeros(n, np.int64)
    for step in range(b - a):
        private, mask = sim.private(), sim.mask()
        for group, first, stop in zip(groups, edges[:-1], edges[1:], strict=True):
            actions[first:stop] = group.actor(a + step, private[first:stop], mask[first:stop])
        hours += ~sim.state.done
        sim.step(actions)
        keep(step + 1)
        if on_progress is not None:
            on_progress(step + 1, b - a)
    final = sim.valuation()
    tally.finish(sim.state, final.unrealised, final.closing)
    time_ms = market.start_ms + np.arange(a, b + 1, dtype=np.int64) * HOUR_MS
    named = {int(edges[i]): (group.preset, group.policy) for i, group in enumerate(groups)}
    return Replay(
        groups=tuple(groups),
        curves=Curves(time_ms=time_ms, positions=positions, hours=hours, **kept),
        state=sim.state,
        estimated=tally.estimated,
        off_boundary=tally.off_boundary,
        traded=tally.traded,
        flows=_named(tally.flows_frame(), named)[list(FLOW_COLUMNS)],
        trades=_named(tally.trades_frame(), named),
    )


def _named(frame: pd.DataFrame, names: dict[int, tuple[str, PolicyName]]) -> pd.DataFrame:
    """Replace the run's number by its preset and policy, and make position ids unique in the table."""
    who = [names[env] for env in frame["env"].tolist()]
    ids = [f"{p}/{q}/{i}" for (p, q), i in zip(who, frame["position_id"].tolist(), strict=True)]
    rest = frame.drop(columns=["env", "position_id"])
    named = pd.DataFrame(
        {"preset": [p for p, _ in who], "policy": [q for _, q in who], "position_id": ids}, index=frame.index
    ).astype("str")
    return pd.concat([named, rest], axis=1)
