"""The books of a paper portfolio and the simulator: each made of the other, by names and times.

What a backtest keeps in memory between two hours is written down, because the market of the next hour has
other indices and begins elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from rl.market.arrays import F64, HOUR_MS, I64, Bool, MarketArrays
from rl.sim.env import VectorSim
from rl.sim.observe import drawdown
from rl.sim.orders import Orders
from rl.sim.quotes import Quotes, lay_out
from rl.sim.record import Recorder
from rl.sim.state import COUNTERS, ENTRY, EXIT, KINDS, NO_ORDER, ConfigArrays, SimState
from schemas.errors import DataError
from schemas.paper import PaperBooks, PaperFill, PaperFlow, PaperOrder, PaperPosition
from schemas.trading import N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES, MarketRules, TradingConfig

_FOREVER: Final = np.iinfo(np.int64).max
_FILL: Final = ("position_id", "symbol", "long_venue", "short_venue", "quantity", "reason")
_ORDER_KINDS: Final = {"enter": ENTRY, "exit": EXIT}


@dataclass(frozen=True)
class Desk:
    """A market under one version's rules."""

    market: MarketArrays
    rules: MarketRules
    quotes: Quotes
    pairs: Mapping[tuple[str, str, str], int]

    @classmethod
    def of(cls, market: MarketArrays, rules: MarketRules) -> Desk:
        """Lay a market out; it has to be assembled under the same rules."""
        legs = zip(market.pair_long.tolist(), market.pair_short.tolist(), strict=True)
        pairs = {(market.symbols[a], market.venues[a], market.venues[b]): i for i, (a, b) in enumerate(legs)}
        return cls(market, rules, lay_out(market, rules), pairs)

    def row(self, hour: datetime) -> int:
        """Return the row of an hour; the market may not reach it."""
        return (milliseconds(hour) - self.market.start_ms) // HOUR_MS

    def pair(self, of: PaperPosition | PaperOrder) -> int:
        """Return the pair of a position or an order.

        Raises:
            DataError: The data does not show it any more.
        """
        pair = self.pairs.get((of.symbol, of.long_exchange, of.short_exchange))
        if pair is None:
            raise DataError(
                "is held on paper and the data does not show it any more.",
                f"{of.symbol} ({of.long_exchange} / {of.short_exchange})",
                "Keep the older files in the folder.",
            )
        return pair


@dataclass(frozen=True)
class Passed:
    """What an hour brought, and the figures of the books at its end."""

    fills: tuple[PaperFill, ...]
    void: bool
    flows: tuple[PaperFlow, ...]
    closed: tuple[dict[str, Any], ...]


class PaperRecorder(Recorder):
    """Keeps the flows, fills and closed positions of one hour."""

    def __init__(self, market: MarketArrays) -> None:
        super().__init__(market, np.ones(1, np.bool_))
        self._opened: list[PaperFill] = []

    def opened(self, env: I64, slot: I64, state: SimState) -> None:
        """Positions just opened."""
        super().opened(env, slot, state)
        for s in slot.tolist():
            long, short = (int(leg) for leg in state.leg[0, s])
            self._opened.append(
                PaperFill(
                    kind="open",
                    position_id=int(state.serial[0, s]),
                    symbol=self.market.symbols[long],
                    long_venue=self.market.venues[long],
                    short_venue=self.market.venues[short],
                    quantity=float(state.quantity[0, s]),
                    price=_both(state.entry[0, s]),
                    reason="entry",
                )
            )

    def hour(self, state: SimState, moved: Bool, free: F64, gross: F64) -> None:
        """The books at the hour's end are looked at directly."""

    def passed(self, voids: int) -> Passed:
        """Return what was heard since this was made."""
        flows = tuple(PaperFlow.model_validate(line) for line in _lines(self.flows_frame()))
        closed = tuple(_lines(self.trades_frame()))
        left = [
            PaperFill(
                kind="close",
                price=(trade["exit_long"], trade["exit_short"]),
                **{name: trade[name] for name in _FILL},
            )
            for trade in closed
        ]  # fmt: skip
        told = tuple(
            {**trade, "opened": _iso(trade["opened"]), "closed": _iso(trade["closed"])} for trade in closed
        )
        return Passed((*self._opened, *left), voids > 0, flows, told)


def place(desk: Desk, config: TradingConfig, books: PaperBooks) -> tuple[VectorSim, PaperRecorder]:
    """Return a simulator that stands where the books do, and what will hear of its flows.

    Raises:
        DataError: The market does not reach back to the books' hour, or does not know a pair.
    """
    market = desk.market
    t = desk.row(books.hour)
    if not 0 <= t < market.n_hours:
        raise DataError(
            f"the data does not hold {books.hour:%Y-%m-%d %H:%M} UTC, the last hour that was decided.",
            remedy="Keep the older files in the folder.",
        )
    state = SimState.empty(1)
    state.configure(np.arange(1), ConfigArrays.of([config]))
    state.t[:], state.end[:], state.done[:] = t, _FOREVER, books.ended
    for name in ("balance", "initial", "nlv", "peak", "max_drawdown", "closed_pnl", "serials"):
        getattr(state, name)[:] = getattr(books, name)
    state.booked[0] = [books.booked[kind] for kind in KINDS]
    state.counts[0] = [books.counts[counter] for counter in COUNTERS]
    for held in books.positions:
        s, pair = held.slot, desk.pair(held)
        state.active[0, s], state.pair[0, s] = True, pair
        state.leg[0, s] = desk.quotes.pair_legs[pair]
        state.opened[0, s] = (milliseconds(held.opened) - market.start_ms) // HOUR_MS
        for name in (
            "serial", "quantity", "flows", "costs", "entry", "margin", "maintenance", "maintenance_amount",
            "mark",
        ):  # fmt: skip
            getattr(state, name)[0, s] = getattr(held, name)
    if books.waiting is not None:
        order = orders_of(desk, (books.waiting,))
        state.order_kind[:], state.order_pair[:], state.order_slot[:] = order.kind, order.pair, order.slot
        state.order_serial[:], state.order_quantity[:] = order.serial, order.quantity
    recorder = PaperRecorder(market)
    # The policy is shown the hour directly, so the simulator's own market observation stays empty.
    unseen = np.zeros((market.n_hours, N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES), np.float32)
    sim = VectorSim(market, unseen, desk.rules, 1, recorder=recorder, quotes=desk.quotes)
    sim.put(np.arange(1), state)
    for held in books.positions:
        sums = np.array([held.sums[kind] for kind in KINDS])
        recorder.resume(0, held.slot, sim.state, sums, held.estimated)
    return sim, recorder


def books_of(desk: Desk, sim: VectorSim, recorder: PaperRecorder) -> PaperBooks:
    """Return where a simulator's only episode stands, by names and times."""
    state, market = sim.state, desk.market
    positions = []
    for s in np.flatnonzero(state.active[0]).tolist():
        sums, estimated = recorder.so_far(0, s)
        long, short = (int(leg) for leg in state.leg[0, s])
        positions.append(
            PaperPosition(
                slot=s,
                serial=int(state.serial[0, s]),
                symbol=market.symbols[long],
                long_exchange=market.venues[long],
                short_exchange=market.venues[short],
                opened=_hour(market, int(state.opened[0, s])),
                quantity=float(state.quantity[0, s]),
                flows=float(state.flows[0, s]),
                costs=float(state.costs[0, s]),
                sums=dict(zip(KINDS, sums.tolist(), strict=True)),
                estimated=estimated,
                **{
                    name: _both(getattr(state, name)[0, s])
                    for name in ("entry", "margin", "maintenance", "maintenance_amount", "mark")
                },
            )
        )
    waiting = Orders(
        env=np.flatnonzero(state.order_kind != NO_ORDER),
        **{name: getattr(state, f"order_{name}") for name in ("kind", "pair", "slot", "serial", "quantity")},
    )
    queue = named(desk, state, waiting)
    return PaperBooks(
        hour=_hour(market, int(state.t[0])),
        ended=bool(state.done[0]),
        booked=dict(zip(KINDS, state.booked[0].tolist(), strict=True)),
        counts=dict(zip(COUNTERS, state.counts[0].tolist(), strict=True)),
        serials=int(state.serials[0]),
        positions=tuple(positions),
        waiting=queue[0] if queue else None,
        **{
            name: float(getattr(state, name)[0])
            for name in ("balance", "initial", "nlv", "peak", "max_drawdown", "closed_pnl")
        },
    )


def figures_of(sim: VectorSim) -> dict[str, Any]:
    """Return the columns of a backtest's equity table of a simulator's first episode."""
    state, worth = sim.state, sim.valuation()
    held = np.where(state.active, worth.notional, 0.0)
    return {
        "nlv": float(state.nlv[0]),
        "drawdown": float(drawdown(state)[0]),
        "balance": float(state.balance[0]),
        "free_cash": float(sim.free[0]),
        "unrealised": float(worth.unrealised.sum(axis=1)[0]),
        "closing_costs": float(worth.closing.sum(axis=1)[0]),
        "positions": int(state.active.sum()),
        "gross_notional": float(held.sum(axis=1)[0]),
    }


def orders_of(desk: Desk, orders: tuple[PaperOrder, ...]) -> Orders:
    """Return orders as the simulator takes them."""
    return Orders(
        env=np.zeros(len(orders), np.int64),
        kind=np.array([_ORDER_KINDS[order.kind] for order in orders], np.int64),
        pair=np.array([desk.pair(order) for order in orders], np.int64),
        slot=np.array([order.slot for order in orders], np.int64),
        serial=np.array([order.serial for order in orders], np.int64),
        quantity=np.array([order.quantity for order in orders], np.float64),
    )


def named(desk: Desk, state: SimState, orders: Orders) -> list[PaperOrder]:
    """Name what orders mean: an exit by its position, of which it keeps slot and serial."""
    named = []
    for i in range(len(orders.env)):
        leaving = int(orders.kind[i]) == EXIT
        slot = int(orders.slot[i]) if leaving else 0
        pair = int(state.pair[0, slot]) if leaving else int(orders.pair[i])
        long, short = (int(leg) for leg in desk.quotes.pair_legs[pair])
        named.append(
            PaperOrder(
                kind="exit" if leaving else "enter",
                symbol=desk.market.symbols[long],
                long_exchange=desk.market.venues[long],
                short_exchange=desk.market.venues[short],
                slot=slot,
                serial=int(orders.serial[i]) if leaving else 0,
                quantity=0.0 if leaving else float(orders.quantity[i]),
            )
        )
    return named


def milliseconds(time: datetime) -> int:
    """Return a time as UTC epoch milliseconds."""
    return round(time.timestamp() * 1000)


def _hour(market: MarketArrays, row: int) -> datetime:
    return datetime.fromtimestamp(market.hour_ms(row) / 1000, UTC)


def _both(legs: F64) -> tuple[float, float]:
    return float(legs[0]), float(legs[1])


def _lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a recorder's table as plain rows, without the episode's number."""
    return frame.drop(columns="env").to_dict("records")  # type: ignore[return-value]


def _iso(time: pd.Timestamp) -> str:
    return time.to_pydatetime().isoformat()
