"""Random markets for the comparison of two simulators: all that can go wrong in a file, in sixty hours."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from hypothesis import strategies as st

from rl.market.arrays import HOUR_MS, MarketArrays, Settlements
from schemas.trading import N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES

EPOCH_MS = 1_756_684_800_000  # 2025-09-01T00:00:00Z
VENUES = ("binance", "bybit", "hyperliquid", "okx")
STALE_AFTER = 3.0


@dataclass(frozen=True)
class Traits:
    """What a random market is like; the defaults are tame, and failures shrink towards them."""

    seed: int = 0
    hours: int = 60
    coins: int = 1
    venues: int = 2
    start_hour: int = 0
    volatility: float = 0.0  # hourly, of a coin
    apart: float = 0.0  # hourly noise between its venues
    jumps: bool = False  # of a coin or of one venue alone
    wicks: bool = False  # highs and lows far from the marks
    thin: bool = False  # hours without a quote, quotes in mid-hour
    vanish: bool = False  # long stretches without a quote, delistings
    late: bool = False  # first quote in mid-window
    gap: bool = False  # no quotes of anything for hours
    changing: bool = False  # intervals change
    odd: bool = False  # settlements off the hour, several in one
    lacking: bool = False  # settled rates, and instruments, that the history lacks
    funding: float = 0.0001  # scale of a rate
    nulls: bool = False  # no spread, no depth
    steady: bool = True  # the same offers in each hour

    @property
    def start_ms(self) -> int:
        return EPOCH_MS + self.start_hour * HOUR_MS


def traits() -> st.SearchStrategy[Traits]:
    return st.builds(
        Traits,
        seed=st.integers(0, 2**20),
        hours=st.integers(60, 90),
        coins=st.integers(1, 4),
        venues=st.integers(2, 4),
        start_hour=st.integers(0, 23),
        volatility=st.sampled_from([0.0, 0.002, 0.01, 0.04]),
        apart=st.sampled_from([0.0, 0.0005, 0.005, 0.02]),
        funding=st.sampled_from([0.0001, 0.001, 0.01, 0.06]),
        steady=st.sampled_from([True, False]),
        **{f.name: st.booleans() for f in fields(Traits) if f.type == "bool" and f.name != "steady"},
    )


def tame(**changes: object) -> Traits:
    """Traits by hand."""
    return replace(Traits(), **changes)  # type: ignore[arg-type]


def random_market(traits: Traits) -> MarketArrays:
    rng = np.random.default_rng(traits.seed)
    hours = traits.hours
    names = sorted((f"C{c}USDT", v) for c in range(traits.coins) for v in VENUES[: traits.venues])
    count = len(names)
    arrived = _quote_times(rng, traits, count)  # (T, I) time of the newest quote of that hour, NaN where none
    price = _prices(rng, traits, names)
    mark, age = _as_of(arrived, price)
    low, high = _bars(rng, traits, names, mark)
    priced_from_history = ~(traits.lacking & (rng.random(count) < 0.3))
    low[:, ~priced_from_history], high[:, ~priced_from_history] = np.inf, -np.inf
    interval = _intervals(rng, traits, count)
    settlements, rate = _funding(rng, traits, arrived, mark, interval)
    interval[np.isnan(rate)] = 0.0
    rate[interval == 0] = np.nan

    pairs = [(a, b) for a in range(count) for b in range(count) if a != b and names[a][0] == names[b][0]]
    pairs.sort(key=lambda p: (names[p[0]], names[p[1]][1]))
    shape = (hours, len(pairs))
    half_spread = rng.choice([1e-4, 2.5e-4, 5e-4, 2e-3], shape)
    depth = np.exp(rng.uniform(np.log(2e3), np.log(1e6), shape))
    trail = rng.normal(0, 3e-4, shape)
    if traits.nulls:
        for values in (half_spread, depth, trail):
            values[rng.random(shape) < 0.3] = np.nan
    slot_pair = np.full((hours, N_OPPORTUNITY_SLOTS), -1, np.int32)
    order, room = rng.permutation(len(pairs)), N_OPPORTUNITY_SLOTS
    for t in range(hours):
        if not traits.steady:
            order, room = rng.permutation(len(pairs)), int(rng.integers(0, N_OPPORTUNITY_SLOTS + 1))
        slot_pair[t, : min(len(pairs), room)] = order[:room]
    return MarketArrays(
        start_ms=traits.start_ms,
        venues=tuple(n[1] for n in names),
        symbols=tuple(n[0] for n in names),
        mark=mark,
        age=age,
        low=low,
        high=high,
        rate=rate,
        interval=interval,
        from_history=np.isfinite(mark) & priced_from_history,
        pair_long=np.array([p[0] for p in pairs], np.int32),
        pair_short=np.array([p[1] for p in pairs], np.int32),
        half_spread=half_spread,
        depth=depth,
        trail24=trail,
        slot_pair=slot_pair,
        slot_raw=np.zeros((hours, N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES)),
        slot_score=np.where(slot_pair >= 0, 1.0, np.nan),
        settlements=settlements,
        gap=(age > STALE_AFTER).all(axis=1),
    )


def _quote_times(rng: np.random.Generator, traits: Traits, count: int) -> np.ndarray:
    """When the newest quote of each hour (t - 1, t] came, in hours; NaN where none did."""
    hours = traits.hours
    arrived = np.tile(np.arange(hours, dtype=float)[:, None], (1, count))
    if traits.thin:
        arrived -= np.where(rng.random(arrived.shape) < 0.3, rng.uniform(0, 1, arrived.shape) * 0.999, 0)
        arrived[rng.random(arrived.shape) < 0.15] = np.nan
    for i in range(count):
        if traits.vanish and rng.random() < 0.6:
            gone = int(rng.integers(5, hours))
            arrived[gone : gone + int(rng.choice([rng.integers(2, 12), hours])), i] = np.nan
        if traits.late and rng.random() < 0.4:
            arrived[: int(rng.integers(1, hours // 2)), i] = np.nan
    if traits.gap:
        gone = int(rng.integers(5, hours))
        arrived[gone : gone + int(rng.integers(3, 9))] = np.nan
    return arrived


def _prices(rng: np.random.Generator, traits: Traits, names: list[tuple[str, str]]) -> np.ndarray:
    """(T, I) what a quote would be, seen or not."""
    hours = traits.hours
    path = {}
    for symbol in sorted({n[0] for n in names}):
        steps = rng.standard_t(3, hours) * traits.volatility
        if traits.jumps:
            steps += (rng.random(hours) < 0.04) * rng.choice([-1, 1], hours) * rng.uniform(0.1, 1.5, hours)
        path[symbol] = np.clip(np.cumsum(steps), -6, 6) + rng.uniform(-6, 11)
    price = np.empty((hours, len(names)))
    for i, (symbol, _) in enumerate(names):
        alone = rng.normal(0, 1, hours) * traits.apart
        if traits.jumps:
            alone += (rng.random(hours) < 0.03) * rng.normal(0, 0.3, hours)
        price[:, i] = np.exp(path[symbol] + alone)
    return price


def _as_of(arrived: np.ndarray, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mark, age = np.full(price.shape, np.nan), np.full(price.shape, np.inf)
    last = np.full(price.shape[1], -np.inf)
    for t in range(len(price)):
        seen = np.isfinite(arrived[t])
        mark[t] = np.where(seen, price[t], mark[t - 1] if t else np.nan)
        last[seen] = arrived[t, seen]
        age[t] = t - last
    return mark, age


def _bars(
    rng: np.random.Generator, traits: Traits, names: list[tuple[str, str]], mark: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.full(mark.shape, np.inf), np.full(mark.shape, -np.inf)
    if not traits.wicks:
        return low, high
    symbols = [n[0] for n in names]
    wild = {s: rng.random(traits.hours) < 0.03 for s in symbols}  # an hour that touches everything
    for i, symbol in enumerate(symbols):
        down, up = np.abs(rng.standard_t(2, (2, traits.hours))) * 0.01
        down[wild[symbol]] += rng.uniform(0.1, 0.8)
        up[wild[symbol]] += rng.uniform(0.1, 2.0)
        known = np.isfinite(mark[:, i]) & (rng.random(traits.hours) < 0.9)
        low[known, i] = (mark[:, i] * np.maximum(1 - down, 0.01))[known]
        high[known, i] = (mark[:, i] * (1 + up))[known]
    return low, high


def _intervals(rng: np.random.Generator, traits: Traits, count: int) -> np.ndarray:
    interval = np.tile(rng.choice([1.0, 2.0, 4.0, 8.0], count), (traits.hours, 1))
    if traits.changing:
        for i in range(count):
            for _ in range(int(rng.integers(1, 4))):
                interval[int(rng.integers(0, traits.hours)) :, i] = rng.choice([1.0, 2.0, 4.0, 8.0])
    return interval


def _funding(
    rng: np.random.Generator, traits: Traits, arrived: np.ndarray, mark: np.ndarray, interval: np.ndarray
) -> tuple[Settlements, np.ndarray]:
    """Settlements, and the newest rate known in each hour."""
    hours, count = mark.shape
    rate = np.full(mark.shape, np.nan)
    events = []  # row, time, instrument, rate, mark, stale, estimated, off the boundary
    last = np.full(count, -np.inf)
    for t in range(hours):
        for i in range(count):
            if t:
                rate[t, i] = rate[t - 1, i]
            now = arrived[t, i]
            times = []
            if (traits.start_hour + t) % interval[t, i] == 0:
                times.append(float(t))
            if traits.odd:
                if rng.random() < 0.08:
                    times += sorted(t - rng.uniform(0, 1, int(rng.integers(1, 4))))
                elif not times and rng.random() < 0.05:
                    times.append(float(t))
            boundary = (traits.start_hour + t) % interval[t, i] == 0
            for time in sorted(times):
                since = now if now <= time else last[i]
                price = mark[t, i] if now <= time or not t else mark[t - 1, i]
                if not np.isfinite(since):
                    continue
                estimated = bool(traits.lacking and rng.random() < 0.3 and np.isfinite(rate[t, i]))
                if not estimated:
                    rate[t, i] = rng.standard_t(3) * traits.funding
                ms = traits.start_ms + round(time * HOUR_MS)
                stale = time - since > STALE_AFTER
                events.append((t, ms, i, rate[t, i], price, stale, estimated, time != t or not boundary))
            if np.isfinite(now):
                last[i] = now
                if np.isnan(rate[t, i]) and not traits.late:
                    rate[t, i] = rng.standard_t(3) * traits.funding
    events.sort(key=lambda e: e[:3])
    rows = np.array([e[0] for e in events], np.int64)
    return (
        Settlements(
            row=rows,
            time_ms=np.array([e[1] for e in events], np.int64),
            instrument=np.array([e[2] for e in events], np.int32),
            rate=np.array([e[3] for e in events], np.float64),
            mark=np.array([e[4] for e in events], np.float64),
            stale=np.array([e[5] for e in events], bool),
            estimated=np.array([e[6] for e in events], bool),
            off_boundary=np.array([e[7] for e in events], bool),
            start=np.searchsorted(rows, np.arange(hours + 1)).astype(np.int64),
        ),
        rate,
    )
