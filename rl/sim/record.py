"""What a backtest keeps of an episode: cash flows, trades and the equity curve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from rl.market.arrays import F64, HOUR_MS, I64, Bool, MarketArrays, Settlements
from rl.sim.state import FUNDING, KINDS, PRICE, SimState

SIDES = ("long", "short")
FLOW_COLUMNS = (
    "env", "time", "position_id", "leg", "venue", "symbol", "kind", "side",
    "quantity", "price", "rate", "amount",
)  # fmt: skip
TRADE_COLUMNS = (
    "env", "position_id", "symbol", "long_venue", "short_venue", "opened", "closed", "hours", "reason",
    "quantity", "leverage", "notional", "entry_long", "entry_short", "exit_long", "exit_short",
    "price_pnl", "funding", "fees", "slippage", "liquidation", "penalty", "net_pnl", "estimated_settlements",
)  # fmt: skip


@dataclass
class _Trade:
    """An open position as the recorder follows it; `sums` are its flows by kind."""

    opened: int
    state: dict[str, Any]
    sums: F64 = field(default_factory=lambda: np.zeros(len(KINDS)))
    estimated: int = 0


class Recorder:
    """Follows the episodes it is asked to; the others cost nothing.

    Args:
        market: The market, for names and times.
        follow: (N,) which episodes' flows and trades are kept; equity is kept for all.
    """

    def __init__(self, market: MarketArrays, follow: Bool) -> None:
        self.market = market
        self.follow = follow
        self._flows: list[tuple] = []
        self._trades: list[dict[str, Any]] = []
        self._equity: list[pd.DataFrame] = []
        self._open: dict[tuple[int, int], _Trade] = {}

    # -- heard from the books ----------------------------------------------------------------------

    def flow(
        self, kind: int, env: I64, slot: I64, leg: int, state: SimState, price: F64, rate: F64, amount: F64
    ) -> None:
        """Flows of one kind on one leg of some positions, at state.t."""
        for i in np.nonzero(self.follow[env])[0]:
            e, s = int(env[i]), int(slot[i])
            time_ms = self.market.hour_ms(int(state.t[e]))
            self._add(kind, e, s, leg, state, time_ms, float(price[i]), float(rate[i]), float(amount[i]))

    def funding(self, state: SimState, held: Bool, events: Settlements) -> None:
        """Every settlement of a held leg in the hour that is booked at state.t, also those of amount 0."""
        for env, slot in zip(*np.nonzero(held & self.follow[:, None]), strict=True):
            row = int(state.t[env])
            span = slice(int(events.start[row]), int(events.start[row + 1]))
            for leg, side in ((0, 1.0), (1, -1.0)):
                for e in span.start + np.nonzero(events.instrument[span] == state.leg[env, slot, leg])[0]:
                    amount = -side * state.quantity[env, slot] * events.mark[e] * events.rate[e]
                    if events.stale[e]:
                        amount = min(amount, 0.0)  # a stale leg pays but never earns
                    self._open[int(env), int(slot)].estimated += int(events.estimated[e])
                    self._add(
                        FUNDING, int(env), int(slot), leg, state, int(events.time_ms[e]),
                        float(events.mark[e]), float(events.rate[e]), float(amount),
                    )  # fmt: skip

    def opened(self, env: I64, slot: I64, state: SimState) -> None:
        """Positions just opened."""
        for e, s in zip(env.tolist(), slot.tolist(), strict=True):
            if self.follow[e]:
                self._open[e, s] = self._follow(e, s, state)

    def resume(self, env: int, slot: int, state: SimState, sums: F64, estimated: int) -> None:
        """Go on with a position that another recorder followed until now.

        Args:
            env: Its episode.
            slot: Its slot.
            state: The books it is in.
            sums: Its booked flows by kind so far, from `so_far`.
            estimated: Its estimated settlements so far.
        """
        self._open[env, slot] = self._follow(env, slot, state)
        self._open[env, slot].sums[:] = sums
        self._open[env, slot].estimated = estimated

    def so_far(self, env: int, slot: int) -> tuple[F64, int]:
        """Return the booked flows by kind and the estimated settlements of an open position."""
        trade = self._open[env, slot]
        return trade.sums.copy(), trade.estimated

    def _follow(self, e: int, s: int, state: SimState) -> _Trade:
        legs = state.leg[e, s]
        entry = {
            "env": e,
            "position_id": int(state.serial[e, s]),
            "symbol": self.market.symbols[legs[0]],
            "long_venue": self.market.venues[legs[0]],
            "short_venue": self.market.venues[legs[1]],
            "quantity": float(state.quantity[e, s]),
            "leverage": float(state.leverage[e]),
            "notional": float(state.quantity[e, s] * state.entry[e, s].sum()),
            "entry_long": float(state.entry[e, s, 0]),
            "entry_short": float(state.entry[e, s, 1]),
        }
        return _Trade(opened=int(state.opened[e, s]), state=entry)

    def closed(self, env: I64, slot: I64, state: SimState, reason: str, price: F64) -> None:
        """Positions about to be cleared; all their flows have been heard."""
        for i, (e, s) in enumerate(zip(env.tolist(), slot.tolist(), strict=True)):
            if self.follow[e]:
                self._finish(e, s, int(state.t[e]), reason, price[i])

    def hour(self, state: SimState, moved: Bool, free: F64, gross: F64) -> None:
        """The equity of every episode that moved."""
        env = np.nonzero(moved)[0]
        self._equity.append(
            pd.DataFrame(
                {
                    "env": env,
                    "row": state.t[env],
                    "nlv": state.nlv[env],
                    "balance": state.balance[env],
                    "free_cash": free[env],
                    "positions": state.active[env].sum(axis=1),
                    "gross_notional": gross[env],
                    "drawdown": 1.0 - state.nlv[env] / state.peak[env],
                }
            )
        )

    def finish(self, state: SimState, unrealised: F64, closing: F64) -> None:
        """List open positions as closed with reason `end`, at marks; this books no flow.

        Args:
            state: The books at the end.
            unrealised: (N, 5) price P&L.
            closing: (N, 5) cost of closing, reported in the trade's net P&L as it is in NLV.
        """
        for (e, s), trade in list(self._open.items()):
            trade.sums[PRICE] += unrealised[e, s]
            self._finish(e, s, int(state.t[e]), "end", state.mark[e, s], extra=-float(closing[e, s]))

    # -- frames ------------------------------------------------------------------------------------

    def flows_frame(self) -> pd.DataFrame:
        """Cash flows, one row each, in the order they were booked."""
        frame = pd.DataFrame(self._flows, columns=list(FLOW_COLUMNS))
        return _with_times(frame, ["time"])

    def trades_frame(self) -> pd.DataFrame:
        """Positions, one row each, in the order they were closed."""
        frame = pd.DataFrame(self._trades, columns=list(TRADE_COLUMNS))
        return _with_times(frame, ["opened", "closed"])

    def equity_frame(self) -> pd.DataFrame:
        """Equity of every episode after every step, with its row of the grid and its time."""
        if not self._equity:
            return pd.DataFrame(columns=["env", "row", "nlv", "time"])
        frame = pd.concat(self._equity, ignore_index=True)
        frame["time"] = self.market.start_ms + frame["row"] * HOUR_MS
        return _with_times(frame, ["time"])

    # -- inside ------------------------------------------------------------------------------------

    def _add(
        self,
        kind: int,
        e: int,
        s: int,
        leg: int,
        state: SimState,
        ms: int,
        price: float,
        rate: float,
        amount: float,
    ) -> None:
        instrument = int(state.leg[e, s, leg])
        self._open[e, s].sums[kind] += amount
        self._flows.append(
            (
                e, ms, int(state.serial[e, s]), leg,
                self.market.venues[instrument], self.market.symbols[instrument],
                KINDS[kind], SIDES[leg], float(state.quantity[e, s]), price, rate, amount,
            )
        )  # fmt: skip

    def _finish(self, e: int, s: int, row: int, reason: str, price: F64, extra: float = 0.0) -> None:
        trade = self._open.pop((e, s))
        sums = dict(zip(KINDS, trade.sums.tolist(), strict=True))
        self._trades.append(
            trade.state
            | {
                "opened": self.market.hour_ms(trade.opened),
                "closed": self.market.hour_ms(row),
                "hours": row - trade.opened,
                "reason": reason,
                "exit_long": float(price[0]),
                "exit_short": float(price[1]),
                "price_pnl": sums["price"],
                "funding": sums["funding"],
                "fees": sums["fee"],
                "slippage": sums["slippage"],
                "liquidation": sums["liquidation"],
                "penalty": sums["penalty"],
                "net_pnl": sum(sums.values()) + extra,
                "estimated_settlements": trade.estimated,
            }
        )


def _with_times(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    for column in columns:
        frame[column] = pd.to_datetime(frame[column].astype("int64"), unit="ms", utc=True).astype(
            "datetime64[us, UTC]"
        )
    return frame
