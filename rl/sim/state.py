"""What the simulator remembers between two hours, as arrays over N episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from rl.market.arrays import F64, I64, Bool
from schemas.trading import N_POSITION_SLOTS, TradingConfig

KINDS = ("fee", "funding", "price", "slippage", "liquidation", "penalty")
FEE, FUNDING, PRICE, SLIPPAGE, LIQUIDATION, PENALTY = range(len(KINDS))
COUNTERS = (
    "entries", "exits", "voids", "invalid", "liquidations",
    "stale_exits", "stop_exits", "buffer_exits", "closed",
)  # fmt: skip
(ENTRIES, EXITS, VOIDS, INVALID, LIQUIDATIONS, STALE_EXITS, STOP_EXITS, BUFFER_EXITS, CLOSED) = range(
    len(COUNTERS)
)
NO_ORDER, ENTRY, EXIT = range(3)


@dataclass(frozen=True)
class ConfigArrays:
    """Risk profiles of N episodes, a column each, shape (N,)."""

    leverage: F64
    utilization: F64
    max_positions: I64
    stop_loss: F64
    buffer: F64

    @classmethod
    def of(cls, configs: list[TradingConfig]) -> ConfigArrays:
        """Stack pydantic configs."""
        return cls(
            leverage=np.array([c.leverage for c in configs], np.float64),
            utilization=np.array([c.target_utilization for c in configs], np.float64),
            max_positions=np.array([c.max_positions for c in configs], np.int64),
            stop_loss=np.array([c.stop_loss for c in configs], np.float64),
            buffer=np.array([c.liquidation_buffer for c in configs], np.float64),
        )

    @classmethod
    def sample(cls, n: int, rng: np.random.Generator) -> ConfigArrays:
        """Draw the profiles of config-aware training: one policy must serve all of them."""
        return cls(
            leverage=rng.uniform(1.0, 10.0, n),
            utilization=rng.uniform(0.3, 0.8, n),
            max_positions=rng.integers(1, N_POSITION_SLOTS + 1, n),
            stop_loss=rng.uniform(-0.05, -0.01, n),
            buffer=rng.uniform(0.10, 0.30, n),
        )

    def take(self, idx: NDArray[np.integer]) -> ConfigArrays:
        """Return the profiles of some episodes."""
        return ConfigArrays(**{f.name: getattr(self, f.name)[idx] for f in fields(self)})


@dataclass
class SimState:
    """Books of N episodes with five position slots of two legs each.

    Leg 0 is long, leg 1 is short. Money is quote currency, float64. An order that waits (fill delay 2)
    is in the `order_*` columns; with delay 0 or 1 none waits between two steps.

    Attributes:
        t: (N,) row of the market grid the episode stands at.
        end: (N,) last row of the episode.
        done: (N,) whether the episode has ended; an ended one no longer moves.
        balance: (N,) capital at the start plus every booked flow.
        initial: (N,) equity at the episode's start; rewards are percent of it.
        nlv: (N,) equity at t.
        peak: (N,) highest equity so far.
        max_drawdown: (N,) largest drawdown so far.
        closed_pnl: (N,) sum over closed positions of net P&L over notional.
        booked: (N, 6) sum of flows by kind, see KINDS.
        counts: (N, 9) see COUNTERS.
        serials: (N,) positions opened so far, which names them.
        active: (N, 5) whether the slot holds a position.
        pair: (N, 5) its pair.
        serial: (N, 5) its name within the episode.
        opened: (N, 5) row of its fill.
        quantity: (N, 5) coins on each leg.
        flows: (N, 5) funding received less paid.
        costs: (N, 5) fees and slippage paid at entry.
        leg: (N, 5, 2) instrument of each leg.
        entry: (N, 5, 2) fill quotes.
        margin: (N, 5, 2) isolated margin left.
        maintenance: (N, 5, 2) maintenance margin rate m of the leg's tier, fixed at entry.
        maintenance_amount: (N, 5, 2) its maintenance amount c.
        mark: (N, 5, 2) last quotes.
    """

    t: I64
    end: I64
    done: Bool
    balance: F64
    initial: F64
    nlv: F64
    peak: F64
    max_drawdown: F64
    closed_pnl: F64
    booked: F64
    counts: I64
    serials: I64
    active: Bool
    pair: I64
    serial: I64
    opened: I64
    quantity: F64
    flows: F64
    costs: F64
    leg: I64
    entry: F64
    margin: F64
    maintenance: F64
    maintenance_amount: F64
    mark: F64
    order_kind: I64
    order_pair: I64
    order_slot: I64
    order_serial: I64
    order_quantity: F64
    leverage: F64
    utilization: F64
    max_positions: I64
    stop_loss: F64
    buffer: F64

    @classmethod
    def empty(cls, n: int) -> SimState:
        """Return n ended episodes without positions."""

        def f(*shape: int) -> F64:
            return np.zeros((n, *shape), np.float64)

        def i(*shape: int) -> I64:
            return np.zeros((n, *shape), np.int64)

        def one(*shape: int) -> F64:
            return np.ones((n, *shape), np.float64)

        p = N_POSITION_SLOTS
        return cls(
            t=i(), end=i(), done=np.ones(n, np.bool_),
            balance=one(), initial=one(), nlv=one(), peak=one(), max_drawdown=f(), closed_pnl=f(),
            booked=f(len(KINDS)), counts=i(len(COUNTERS)), serials=i(),
            active=np.zeros((n, p), np.bool_), pair=i(p), serial=i(p), opened=i(p),
            quantity=f(p), flows=f(p), costs=f(p),
            leg=i(p, 2), entry=one(p, 2), margin=f(p, 2), maintenance=f(p, 2), maintenance_amount=f(p, 2),
            mark=one(p, 2),
            order_kind=i(), order_pair=i(), order_slot=i(), order_serial=i(), order_quantity=f(),
            leverage=one(), utilization=f(), max_positions=i(), stop_loss=f(), buffer=f(),
        )  # fmt: skip

    def take(self, idx: NDArray[np.integer]) -> SimState:
        """Copy some episodes."""
        return SimState(**{f.name: getattr(self, f.name)[idx].copy() for f in fields(self)})

    def put(self, idx: NDArray[np.integer], rows: SimState) -> None:
        """Overwrite some episodes."""
        for f in fields(self):
            getattr(self, f.name)[idx] = getattr(rows, f.name)

    def to_arrays(self) -> dict[str, NDArray]:
        """Return every array by name, for a checkpoint."""
        return {f.name: getattr(self, f.name).copy() for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> SimState:
        """Rebuild from `to_arrays`."""
        return cls(**{f.name: arrays[f.name].copy() for f in fields(cls)})

    def configure(self, idx: NDArray[np.integer], config: ConfigArrays) -> None:
        """Give some episodes their risk profiles."""
        self.leverage[idx] = config.leverage
        self.utilization[idx] = config.utilization
        self.max_positions[idx] = config.max_positions
        self.stop_loss[idx] = config.stop_loss
        self.buffer[idx] = config.buffer

    def begin_here(self) -> None:
        """Make this moment the episodes' start: positions stay, everything counted starts again."""
        self.initial[:] = self.nlv
        self.peak[:] = self.nlv
        self.max_drawdown[:] = 0.0
        self.closed_pnl[:] = 0.0
        self.booked[:] = 0.0
        self.counts[:] = 0
        self.done[:] = False
