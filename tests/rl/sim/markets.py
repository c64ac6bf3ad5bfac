"""Small markets written by hand or drawn at random, as arrays; shared by the simulator's tests."""

from dataclasses import dataclass, field

import numpy as np

from rl.market.arrays import HOUR_MS, MarketArrays, Settlements
from schemas.trading import N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES

START_MS = 1_756_684_800_000  # 2025-09-01T00:00:00Z


@dataclass
class Builder:
    """Hourly prices and settlements by instrument (symbol, venue); pairs: both directions of each symbol."""

    prices: dict[tuple[str, str], list[float]]
    events: list[tuple[int, tuple[str, str], float]] = field(default_factory=list)  # (row, instrument, rate)
    intervals: dict[tuple[str, str], int] = field(default_factory=dict)
    low: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    high: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    age: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    half_spread: float = 0.0
    offers: list[list[int]] | None = None  # pairs on offer in each row; all by default

    def build(self) -> MarketArrays:
        names = sorted(self.prices)
        index = {name: i for i, name in enumerate(names)}
        mark = np.array([self.prices[n] for n in names], float).T.copy()
        hours, count = mark.shape
        age = np.zeros((hours, count))
        for name, values in self.age.items():
            age[:, index[name]] = values
        low, high = np.full((hours, count), np.inf), np.full((hours, count), -np.inf)
        for table, target in ((self.low, low), (self.high, high)):
            for name, by_row in table.items():
                for row, value in by_row.items():
                    target[row, index[name]] = value
        interval = np.array([self.intervals.get(n, 8) for n in names], float)
        rate = np.zeros((hours, count))
        events = sorted((row, index[name], value) for row, name, value in self.events)
        for row, i, value in events:
            rate[row:, i] = value
        rows = np.array([e[0] for e in events], np.int64)
        inst = np.array([e[1] for e in events], np.int32)
        settlements = Settlements(
            row=rows,
            time_ms=START_MS + rows * HOUR_MS,
            instrument=inst,
            rate=np.array([e[2] for e in events], float),
            mark=mark[rows, inst] if len(events) else np.zeros(0),
            stale=age[rows, inst] > 3 if len(events) else np.zeros(0, bool),
            estimated=np.zeros(len(events), bool),
            off_boundary=np.zeros(len(events), bool),
            start=np.searchsorted(rows, np.arange(hours + 1)),
        )
        pairs = [(a, b) for a in range(count) for b in range(count) if a != b and names[a][0] == names[b][0]]
        pairs.sort(key=lambda p: (names[p[0]], names[p[1]][1]))
        slot_pair = np.full((hours, N_OPPORTUNITY_SLOTS), -1, np.int32)
        slot_raw = np.zeros((hours, N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES))
        for t in range(hours):
            on_offer = self.offers[t] if self.offers is not None else list(range(len(pairs)))
            for k, p in enumerate(on_offer[:N_OPPORTUNITY_SLOTS]):
                slot_pair[t, k] = p
                slot_raw[t, k] = 0.5
        return MarketArrays(
            start_ms=START_MS,
            venues=tuple(n[1] for n in names),
            symbols=tuple(n[0] for n in names),
            mark=mark,
            age=age,
            low=low,
            high=high,
            rate=rate,
            interval=np.tile(interval, (hours, 1)),
            from_history=np.ones((hours, count), bool),
            pair_long=np.array([p[0] for p in pairs], np.int32),
            pair_short=np.array([p[1] for p in pairs], np.int32),
            half_spread=np.full((hours, len(pairs)), self.half_spread),
            depth=np.full((hours, len(pairs)), np.nan),
            trail24=np.zeros((hours, len(pairs))),
            slot_pair=slot_pair,
            slot_raw=slot_raw,
            slot_score=np.where(slot_pair >= 0, 1.0, np.nan),
            settlements=settlements,
            gap=(age > 3).all(axis=1),
        )


def random_market(seed: int, hours: int = 120, coins: int = 8) -> MarketArrays:
    """A market with jumps, stale stretches, changing bars and funding on both legs."""
    rng = np.random.default_rng(seed)
    builder = Builder(prices={}, half_spread=2e-4)
    for c in range(coins):
        base = np.exp(np.cumsum(rng.standard_t(3, hours) * 0.01) + rng.uniform(-3, 8))
        for v, venue in enumerate(("binance", "bybit", "hyperliquid")[: 2 + c % 2]):
            name = (f"C{c}USDT", venue)
            # The first coin's venues drift apart far enough for stop-losses.
            apart = 0.02 if c == 0 else 5e-4
            builder.prices[name] = list(base * np.exp(rng.normal(0, apart, hours)))
            every = (8, 4, 1)[v]
            builder.intervals[name] = every
            for row in range(0, hours, every):
                builder.events.append((row, name, float(rng.standard_t(3) * 3e-4)))
            noise = np.abs(rng.normal(0, 0.01, (2, hours)))
            builder.low[name] = {r: builder.prices[name][r] * (1 - noise[0, r]) for r in range(hours)}
            builder.high[name] = {r: builder.prices[name][r] * (1 + noise[1, r]) for r in range(hours)}
            age = np.zeros(hours)
            if rng.random() < 0.4:
                gone = int(rng.integers(10, hours))
                span = min(8, hours - gone)
                age[gone : gone + span] = np.arange(1, span + 1)
            builder.age[name] = list(age)
    pairs = sum(2 if c % 2 == 0 else 6 for c in range(coins))
    builder.offers = [list(rng.permutation(pairs)[: rng.integers(4, 11)]) for _ in range(hours)]
    return builder.build()
