"""What the reference simulator takes and gives: plain lists and decimals; a missing value is `None`."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

HOUR_MS = 3_600_000
ZERO = Decimal(0)

Number = Decimal | None


# -- what goes in ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settlement:
    """A funding event of one instrument."""

    time_ms: int
    instrument: int
    rate: Decimal
    mark: Decimal
    stale: bool
    estimated: bool = False
    off_boundary: bool = False


@dataclass(frozen=True)
class Market:
    """What was known in each hour; tables are lists of rows, an hour each."""

    start_ms: int
    instruments: list[tuple[str, str]]  # symbol, venue
    mark: list[list[Number]]  # last quote by instrument
    age: list[list[Decimal]]  # hours since then; infinite before the first
    low: list[list[Number]]  # of the bar that ends in this hour
    high: list[list[Number]]
    rate: list[list[Number]]  # newest known, per interval
    interval: list[list[int]]  # newest known, hours; 0 before the first
    pairs: list[tuple[int, int]]  # long instrument, short instrument
    half_spread: list[list[Number]]  # by pair, a fraction of price
    depth: list[list[Number]]
    trail24: list[list[Number]]
    slots: list[list[int]]  # pair of each of the ten opportunity slots, -1 is empty
    settlements: dict[int, list[Settlement]]  # row t: those in (t - 1 h, t]

    def time_ms(self, row: int) -> int:
        return self.start_ms + row * HOUR_MS

    def utc_hour(self, row: int) -> int:
        return self.time_ms(row) // HOUR_MS % 24


@dataclass(frozen=True)
class Profile:
    """The trader's five numbers."""

    leverage: Decimal
    utilization: Decimal
    max_positions: int
    stop_loss: Decimal
    buffer: Decimal


@dataclass(frozen=True)
class Rules:
    """What the venues charge, and how orders fill."""

    initial_capital: Decimal
    fee: list[Decimal]  # taker fee by instrument
    minimum: list[Decimal]  # smallest notional of a leg by instrument
    worst_half_spread: Decimal
    slippage: bool
    impact_k: Decimal
    tiers: list[list[tuple[Decimal, Decimal]]]  # by instrument: entry notional above which, margin rate
    funding_at: str  # "close": (t_open, t_close], "open": [t_open, t_close)
    max_age: Decimal
    entry_age: Decimal
    stale_penalty: Decimal
    drawdown_limit: Decimal
    delay: int


# -- what comes out --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flow:
    """One booking: positive is earned."""

    time_ms: int
    serial: int
    leg: str
    kind: str
    amount: Decimal
    notional: Decimal  # of both legs at entry, the yardstick of an error
    estimated: bool = False
    stale: bool = False


@dataclass
class Replay:
    """An episode in full; `masks` and `observations` have one entry per decision, plus the last hour's."""

    flows: list[Flow] = field(default_factory=list)
    masks: list[list[bool]] = field(default_factory=list)
    observations: list[list[float]] = field(default_factory=list)
    equity: list[Decimal] = field(default_factory=list)
    rewards: list[Decimal] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)  # after each step
    voids: list[tuple[int, str, str]] = field(default_factory=list)  # row, order, why
    closes: list[tuple[int, int, str]] = field(default_factory=list)  # row, serial, why
    closing_cost: Decimal = ZERO
    unrealised: Decimal = ZERO
    terminated: bool = False
    truncated: bool = False

    @property
    def final(self) -> dict[str, int]:
        return self.counts[-1]
