"""What a scanner writes about a generated market: the rows of opportunities.csv.

It looks at every pair on the hour and at half past, and writes the ones that pay most and some others by
turns, each in both directions. Like real ones it is late, stops for hours, writes passes twice, leaves the
order book empty and now and then writes nonsense.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rl.market.arrays import F64, HOUR_MS, I64, Bool
from rl.market.synthetic_universe import VENUES, WARM_UP_HOURS, Streams
from rl.market.synthetic_world import World

COLUMNS: Final = (
    "entry_time", "symbol", "longExchange", "shortExchange", "entry_long_price", "entry_short_price",
    "long_funding_rate", "short_funding_rate", "longFundingIntervalHours", "shortFundingIntervalHours",
    "long_next_funding_time", "short_next_funding_time", "fund_profit_8h", "fundProfit8h24hProj",
    "fundProfit8h3dProj", "fund_apr", "fundApr24hProj", "fundApr3dProj", "spread30SampleAvg",
    "priceSpread24hAvg", "priceSpread3dAvg", "spread_volatility_stddev", "volume_24h", "bidAskSpreadPercent",
    "orderbookDepthUsd", "estimatedProfitPercentage", "positionCostPercent", "subType",
)  # fmt: skip
POSITION_COST: Final = 0.2  # percent, the scanner's own guess

_ON_THE_HOUR: Final = 2.0 / 3.0  # share of an hour's rows; the rest is written at half past
_UNIQUE: Final = 0.75  # share of rows that are no copies
_CATCH_UP: Final = 1.5  # after a gap a scanner writes up to this many times as much
_ROTATED: Final = 0.7  # share of rows for pairs that do not pay most
_BOOK_KNOWN: Final = 0.3
_BROKEN: Final = 0.004
_CACHED_FUNDING_TIME: Final = 0.012  # per leg: the time of the last funding instead of the next
_NULL: Final = 0.004
_HALF_HOUR_MS: Final = HOUR_MS // 2

# Column and text of rows that no venue can have meant.
_NONSENSE: Final = (
    ("entry_long_price", "0.0"), ("entry_short_price", "-1.0"), ("entry_long_price", ""),
    ("long_funding_rate", "0.25"), ("short_funding_rate", "nan"), ("entry_short_price", "inf"),
    ("longFundingIntervalHours", "3"), ("entry_time", "unknown"), ("shortFundingIntervalHours", "none"),
    ("volume_24h", "-5.0"), ("symbol", ""),
)  # fmt: skip


@dataclass(frozen=True)
class _PairFacts:
    """What a scanner knows about each pair, as if it were long at the first venue.

    Spreads (2 T, P) are fractions of price at each look; rates (T, P) are percent per 8 hours.
    """

    spread_30: F64
    spread_24h: F64
    spread_3d: F64
    deviation: F64
    live: Bool
    now: F64
    day: F64
    three_days: F64


def outages(streams: Streams, n_hours: int) -> Bool:
    """Return (T,): hours at which nothing is recorded; one stretch of four to six in ten days."""
    silent = np.zeros(n_hours, dtype=np.bool_)
    blocks = n_hours // 240 + 1
    draws = streams("outages").random((blocks, 2))
    for block in range(blocks):
        first = WARM_UP_HOURS + 240 * block + int(40 + 60 * draws[block, 0])
        silent[first : first + 4 + int(3 * draws[block, 1])] = True
    return silent


def scan(world: World, streams: Streams, rows_per_hour: int) -> dict[str, list[str]]:
    """Return the scanner's rows as text, by column, in the order they were written."""
    hours, late = world.n_hours, _pass_delays(streams, world.n_hours)
    facts = _pair_facts(world)
    rows, repeats = _rows_by_pass(streams, hours, rows_per_hour)
    # The widest a pass can be does not depend on how many hours there are.
    width = 2 * (_most_rows(rows_per_hour) // 2 + 1)
    pair_width = min(width // 2, facts.live.shape[1])
    order, listed = _ranking(facts, streams, rows_per_hour, pair_width)
    rows = np.minimum(rows, 2 * listed)

    column = np.arange(2 * width)[None, :]
    step, place = np.nonzero(column < (rows * repeats)[:, None])
    place %= rows[step]
    rank = place // 2
    pair = order[step, rank]
    t = step // 2
    # A pass writes each pair twice, first in the direction that pays.
    reverse = (facts.now[t, pair] < 0.0) ^ (place % 2 == 1)
    sign = np.where(reverse, -1.0, 1.0)
    a, b = world.universe.pair_a[pair], world.universe.pair_b[pair]
    long, short = np.where(reverse, b, a), np.where(reverse, a, b)

    pairwise = streams("pair rows").random((2 * hours, pair_width, 10))[step, rank]
    rowwise = streams("rows").random((2 * hours, width, 2))[step, place]
    cached = pairwise[:, 1], pairwise[:, 2]
    stamp = _stamps(world, step, late, pairwise)
    profit = 800.0 * (
        world.rate[t, short] / world.interval[t, short] - world.rate[t, long] / world.interval[t, long]
    )
    day = np.where(pairwise[:, 3] < _NULL, np.nan, sign * facts.day[t, pair])
    three = np.where(pairwise[:, 4] < _NULL, np.nan, sign * facts.three_days[t, pair])
    volume = np.minimum(world.volume[t, long], world.volume[t, short])
    known = pairwise[:, 6] < _BOOK_KNOWN
    book = np.where(known, 10.0 ** (0.9 - 0.33 * np.log10(volume) + 0.3 * (pairwise[:, 7] - 0.5)), np.nan)
    depth = np.where(known, volume * 10.0 ** (-2.6 + 0.8 * (pairwise[:, 8] - 0.5)), np.nan)
    names = np.array(VENUES)
    venue = world.universe.venue
    text = {
        "entry_time": iso(stamp),
        "symbol": np.array(world.universe.symbols)[world.universe.symbol[a]].tolist(),
        "longExchange": names[venue[long]].tolist(),
        "shortExchange": names[venue[short]].tolist(),
        "entry_long_price": plain(world.price[step, long]),
        "entry_short_price": plain(world.price[step, short]),
        "long_funding_rate": plain(world.rate[t, long]),
        "short_funding_rate": plain(world.rate[t, short]),
        "longFundingIntervalHours": [str(i) for i in world.interval[t, long].tolist()],
        "shortFundingIntervalHours": [str(i) for i in world.interval[t, short].tolist()],
        "long_next_funding_time": iso(_next_funding(world, t, long, np.where(reverse, cached[1], cached[0]))),
        "short_next_funding_time": iso(
            _next_funding(world, t, short, np.where(reverse, cached[0], cached[1]))
        ),
        "fund_profit_8h": rounded(profit, 6),
        "fundProfit8h24hProj": rounded(day, 6),
        "fundProfit8h3dProj": rounded(three, 6),
        "fund_apr": rounded(1095.0 * profit, 4),
        "fundApr24hProj": rounded(1095.0 * day, 4),
        "fundApr3dProj": rounded(1095.0 * three, 4),
        "spread30SampleAvg": rounded(sign * facts.spread_30[step, pair], 8),
        "priceSpread24hAvg": rounded(100.0 * sign * facts.spread_24h[step, pair], 6),
        "priceSpread3dAvg": rounded(100.0 * sign * facts.spread_3d[step, pair], 6),
        "spread_volatility_stddev": rounded(facts.deviation[step, pair], 8),
        "volume_24h": rounded(np.where(pairwise[:, 5] < _NULL, np.nan, volume), 1),
        "bidAskSpreadPercent": rounded(book, 5),
        "orderbookDepthUsd": rounded(depth, 2),
        "estimatedProfitPercentage": rounded(np.maximum(profit - POSITION_COST, 0.0), 6),
        "positionCostPercent": rounded(np.full(len(step), POSITION_COST), 2),
        "subType": [str(1 + int(3 * u)) for u in pairwise[:, 9].tolist()],
    }
    for row in np.flatnonzero(rowwise[:, 0] < _BROKEN).tolist():
        name, nonsense = _NONSENSE[int(len(_NONSENSE) * rowwise[row, 1])]
        text[name][row] = nonsense
    return {name: text[name] for name in COLUMNS}


def iso(stamps_ms: I64) -> list[str]:
    """Return epoch milliseconds as ISO 8601 in UTC; milliseconds only where there are any."""
    at = stamps_ms.astype("datetime64[ms]")
    whole, fine = np.datetime_as_string(at, unit="s"), np.datetime_as_string(at, unit="ms")
    text: list[str] = np.where(stamps_ms % 1000 == 0, whole, fine).tolist()
    return [f"{stamp}Z" for stamp in text]


def plain(values: F64) -> list[str]:
    """Return the shortest texts that read back as the same numbers; empty for NaN."""
    return ["" if value != value else repr(value) for value in values.tolist()]


def rounded(values: F64, decimals: int) -> list[str]:
    """Return numbers to so many decimals, without a sign on zero; empty for NaN."""
    return plain(np.round(values, decimals) + 0.0)


def _pass_delays(streams: Streams, n_hours: int) -> I64:
    """Return (2 T,) milliseconds by which a whole pass is late; most are on time."""
    draws = streams("passes").random((2 * n_hours, 2))
    return np.where(draws[:, 0] < 0.1, 1000.0 + draws[:, 1] * 100_000.0, 0.0).astype(np.int64)


def _stamps(world: World, step: I64, late: I64, pairwise: F64) -> I64:
    """Return the rows' times, epoch milliseconds: up to two minutes after the look they describe."""
    few = np.where(pairwise[:, 0] < 0.25, 1.0 + 3600.0 * pairwise[:, 0], 0.0)
    many = np.where(pairwise[:, 0] > 0.97, (pairwise[:, 0] - 0.97) / 0.03 * 118_000.0, 0.0)
    delay = np.minimum(late[step] + (few + many).astype(np.int64), 119_999)
    return world.first_hour * HOUR_MS + step * _HALF_HOUR_MS + delay


def _next_funding(world: World, t: I64, instrument: I64, luck: F64) -> I64:
    """Return the next funding times, epoch milliseconds; a few are the last one's, as caches have it."""
    interval = world.interval[t, instrument]
    last = (world.first_hour + t) // interval
    return (last + np.where(luck < _CACHED_FUNDING_TIME, 0, 1)) * interval * HOUR_MS


def _most_rows(rows_per_hour: int) -> int:
    """Return the most different rows of an hour."""
    return int(_CATCH_UP * _UNIQUE * rows_per_hour) + 1


def _rows_by_pass(streams: Streams, n_hours: int, rows_per_hour: int) -> tuple[I64, I64]:
    """Return (2 T,) different rows of each pass, and how often it is written: 1, or 2 in every third hour."""
    draws = streams("repeats").integers(0, 3, size=n_hours // 3 + 1)
    silent, unique = outages(streams, n_hours), _UNIQUE * rows_per_hour
    rows, repeats = np.zeros(2 * n_hours, dtype=np.int64), np.ones(2 * n_hours, dtype=np.int64)
    owed = 0.0
    for hour in range(WARM_UP_HOURS, n_hours):
        owed += unique
        if silent[hour]:
            continue
        now = min(int(owed), _most_rows(rows_per_hour))
        owed -= now
        on_the_hour = round(_ON_THE_HOUR * now)
        rows[2 * hour : 2 * hour + 2] = on_the_hour, now - on_the_hour
        if draws[hour // 3] == hour % 3:
            repeats[2 * hour : 2 * hour + 2] = 2
    return rows, repeats


def _ranking(facts: _PairFacts, streams: Streams, rows_per_hour: int, width: int) -> tuple[I64, I64]:
    """Return (2 T, width) pairs by rank and (2 T,) how many are live.

    A pair ranks by the most it has paid or pays now; a few are lifted by turns, so that quiet pairs are seen.
    """
    steps, n_pairs = facts.live.shape
    at = np.arange(steps) // 2
    best = np.fmax(np.abs(facts.now), np.fmax(np.abs(facts.day), np.abs(facts.three_days)))[at]
    lift = min(_UNIQUE * rows_per_hour / 4.0 * _ROTATED / n_pairs, 1.0)
    turns = streams("turns").random((steps, n_pairs)) < lift
    key = best * np.exp(0.15 * streams("tastes").standard_normal((steps, n_pairs))) + 10.0 * turns
    order = np.argsort(np.where(facts.live, -key, np.inf), axis=1, kind="stable")[:, :width]
    return order, np.minimum(facts.live.sum(axis=1), width)


def _pair_facts(world: World) -> _PairFacts:
    """Measure every pair at every look."""
    a, b = world.universe.pair_a, world.universe.pair_b
    at = np.arange(2 * world.n_hours) // 2
    live = (world.live[:, a] & world.live[:, b])[at]
    spread = 2.0 * (world.price[:, b] - world.price[:, a]) / (world.price[:, b] + world.price[:, a])
    seen = np.where(live, spread, 0.0)
    mean_30, deviation = _trailing(seen, live, 30)
    settled = np.where(np.isnan(world.settled), 0.0, world.settled)
    hours = np.where(np.isnan(world.settled), 0.0, world.interval).astype(np.float64)
    projections = [
        800.0 * (rate[:, b] - rate[:, a])
        for rate in (_window_sum(settled, n) / _nonzero(_window_sum(hours, n)) for n in (24, 72))
    ]
    per_hour = world.rate / world.interval
    return _PairFacts(
        spread_30=mean_30,
        spread_24h=_trailing(seen, live, 48)[0],
        spread_3d=_trailing(seen, live, 144)[0],
        deviation=deviation,
        live=live,
        now=800.0 * (per_hour[:, b] - per_hour[:, a]),
        day=projections[0],
        three_days=projections[1],
    )


def _window_sum(values: F64, n: int) -> F64:
    """Return the sum of the last n rows, or of as many as there are."""
    total = np.cumsum(values, axis=0)
    total[n:] -= total[:-n].copy()
    return total


def _nonzero(values: F64) -> F64:
    return np.where(values > 0.0, values, np.nan)


def _trailing(seen: F64, live: Bool, n: int) -> tuple[F64, F64]:
    """Return mean and standard deviation of the live ones of the last n looks; NaN below one and two."""
    count = _window_sum(live.astype(np.float64), n)
    mean = _window_sum(seen, n) / _nonzero(count)
    variance = np.maximum(_window_sum(seen * seen, n) / _nonzero(count) - mean * mean, 0.0)
    return mean, np.where(count >= 2.0, np.sqrt(variance), np.nan)


def join(columns: Sequence[Sequence[str]]) -> str:
    """Return rows of comma-separated text, each with its line end."""
    return "".join(f"{','.join(row)}\n" for row in zip(*columns, strict=True))
