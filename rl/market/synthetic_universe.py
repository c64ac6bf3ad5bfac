"""Who is listed where: the coins, venues and scheduled events of a generated market.

Everything here is drawn once per coin or instrument and does not know how many days will be
generated, so that a longer market begins with the rows of a shorter one.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rl.market.arrays import F64, I32, I64

VENUES: Final = ("Binance", "Bybit", "Hyperliquid")
WARM_UP_HOURS: Final = (
    96  # lived through but never written, so that trailing means are full from the first row
)
NEVER: Final = 1 << 40

# Chosen so that the default market (seed 0) has carry in all of its parts; another edition draws all anew.
_EDITION: Final = 10

# Ticker and a price of the right order of magnitude; the most traded first.
_MAJORS: Final = (
    ("BTC", 111000.0), ("ETH", 4400.0), ("SOL", 205.0), ("XRP", 2.9), ("BNB", 860.0), ("DOGE", 0.22),
    ("ADA", 0.83), ("AVAX", 24.0), ("LINK", 23.5), ("LTC", 112.0), ("DOT", 3.8), ("UNI", 9.6),
    ("AAVE", 310.0), ("NEAR", 2.5), ("APT", 4.4), ("ARB", 0.5), ("SUI", 3.3), ("TIA", 1.65),
    ("INJ", 13.0), ("ATOM", 4.5), ("FIL", 2.3), ("TRX", 0.34), ("TON", 3.1), ("OP", 0.7),
)  # fmt: skip
_HEADS: Final = (
    "ZEN", "KOR", "LUM", "VEX", "ORB", "NIM", "TAL", "QUA", "RYN", "MOR", "DRA", "FEN",
    "GAL", "HEX", "JUN", "KAL", "LYR", "MIR", "NOV", "PEL", "RUN", "SAR", "TOR", "UMB",
    "VAN", "WYN", "YOR", "ZAN", "BEL", "CEL", "DOR", "ELM",
)  # fmt: skip
_MIDDLES: Final = ("A", "E", "I", "O", "U", "EA", "IO", "ERA")
_TAILS: Final = ("X", "N", "TA", "RIS", "VO", "LAN", "DEX", "FI", "NET", "RO", "SA", "TH")


class Streams:
    """One independent random stream per named subject, all from one seed.

    A subject's draws are made in order of time by a single call, so that their first values do
    not depend on how many follow, nor on any other subject.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, subject: str) -> np.random.Generator:
        """Return a new generator at the beginning of a subject's stream."""
        child = np.random.SeedSequence(self._seed, spawn_key=(_EDITION, zlib.crc32(subject.encode())))
        return np.random.Generator(np.random.PCG64(child))


@dataclass(frozen=True)
class Universe:
    """Coins (S), instruments (I: a coin at a venue) and pairs (P: a coin at two venues).

    Hours are counted from the start of the warm-up.

    Attributes:
        symbols: (S,) names, the most traded first.
        price: (S,) first price, quote currency.
        decimals: (S,) decimals of a quote.
        volatility: (S,) standard deviation of hourly log returns.
        log_volume: (S,) log10 of a usual day's volume, quote currency.
        symbol: (I,) coin of each instrument; instruments are sorted by coin, then venue.
        venue: (I,) index into VENUES.
        interval: (I,) funding interval at the beginning, hours.
        changes: (hour, instrument, hours): after that hour the interval is another one.
        listed: (I,) first hour quoted.
        delisted: (I,) first hour no longer quoted.
        pair_a: (P,) instrument at the first venue.
        pair_b: (P,) instrument at the second venue.
        jumps: (hour, coin, factor): within the hour ending there, all venues' prices are multiplied.
    """

    symbols: tuple[str, ...]
    price: F64
    decimals: I64
    volatility: F64
    log_volume: F64
    symbol: I32
    venue: I32
    interval: I64
    changes: tuple[tuple[int, int, int], ...]
    listed: I64
    delisted: I64
    pair_a: I32
    pair_b: I32
    jumps: tuple[tuple[int, int, float], ...]


def build_universe(rows_per_hour: int, streams: Streams, first_hour: int) -> Universe:
    """Draw the coins and what will happen to them.

    Args:
        rows_per_hour: The scanner's rows an hour; a scanner that writes more watches more coins.
        streams: The random streams.
        first_hour: Hours from the epoch to the start of the warm-up; funding times are multiples
            of the interval counted from the epoch.
    """
    n = max(8, round(0.9 * rows_per_hour))
    majors = _MAJORS[: min(len(_MAJORS), n // 3)]
    symbols, price = _names(n, majors, streams("names"))
    rank = np.arange(n) / n
    noise = streams("coins").standard_normal((n, 2))
    volatility = 0.005 * np.exp(0.7 * rank + 0.25 * noise[:, 0])
    log_volume = np.clip(9.3 - 3.4 * np.sqrt(rank) + 0.5 * noise[:, 1], 4.5, 10.0)
    listing = _membership(n, streams("venues"))
    symbol, venue = (a.astype(np.int32) for a in np.nonzero(listing))
    # Half of each centralised venue's coins settle every 4 hours, the decentralised one every hour.
    short = streams("intervals").random(len(symbol)) < np.where(venue == 0, 0.35, 0.45)
    interval = np.where(venue == 2, 1, np.where(short, 4, 8))
    crashing, soaring = n - 1, n - 2
    # What befalls a coin befalls the less known ones.
    actors = streams("actors").permutation(np.arange(len(majors), n - 2))
    n_listed, n_delisted, n_changing = (max(1, round(share * n)) for share in (0.06, 0.05, 0.055))
    changing = actors[:n_changing]
    late = actors[n_changing : n_changing + n_listed]
    leaving = actors[n_changing + n_listed : n_changing + n_listed + n_delisted]
    jump_hours = WARM_UP_HOURS + streams("jumps").integers((200, 340), (330, 420))
    listed, delisted = _lifetimes(symbol, late, leaving, streams("lifetimes"))
    # The coin that crashes leaves its second venue two days later, as they do.
    delisted[np.flatnonzero(symbol == crashing)[-1]] = int(jump_hours[0]) + 52
    changes = _interval_changes(changing, symbol, venue, interval, first_hour, streams("changes"))
    pair_a, pair_b = _pairs(symbol)
    return Universe(
        symbols=symbols,
        price=price,
        decimals=np.clip(4 - np.floor(np.log10(price)).astype(np.int64), 1, 12),
        volatility=volatility,
        log_volume=log_volume,
        symbol=symbol,
        venue=venue,
        interval=interval,
        changes=changes,
        listed=listed,
        delisted=delisted,
        pair_a=pair_a,
        pair_b=pair_b,
        jumps=((int(jump_hours[0]), crashing, 0.23), (int(jump_hours[1]), soaring, 3.05)),
    )


def _names(
    n: int, majors: tuple[tuple[str, float], ...], rng: np.random.Generator
) -> tuple[tuple[str, ...], F64]:
    """Return n symbols and their first prices: common tickers, then made-up ones."""
    invented = ["".join(parts) for parts in product(_HEADS, _MIDDLES, _TAILS)]
    chosen = rng.permutation(len(invented))[: n - len(majors)]
    logs = rng.uniform(-2.5, 1.5, size=len(chosen))
    names = [name for name, _ in majors] + [invented[i] for i in chosen]
    price = np.concatenate([np.array([value for _, value in majors], dtype=np.float64), 10.0**logs])
    return tuple(f"{name}USDT" for name in names), price


def _membership(n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return (n, 3): which venue lists which coin, two or three of them."""
    draw = rng.random(n)
    listing = np.ones((n, 3), dtype=np.bool_)
    listing[(draw >= 0.45) & (draw < 0.78), 2] = False
    listing[(draw >= 0.78) & (draw < 0.90), 1] = False
    listing[draw >= 0.90, 0] = False
    listing[:2] = True
    return listing


def _lifetimes(
    symbol: I32, late: NDArray[np.int64], leaving: NDArray[np.int64], rng: np.random.Generator
) -> tuple[I64, I64]:
    """Return the first hour quoted and the first hour no longer quoted of each instrument."""
    listed = np.zeros(len(symbol), dtype=np.int64)
    delisted = np.full(len(symbol), NEVER, dtype=np.int64)
    for j, coin in enumerate(late):
        instruments = np.flatnonzero(symbol == coin)
        first = WARM_UP_HOURS + int(24 + (j + rng.random()) / len(late) * 560)
        # One venue lists a new coin first, the others follow within two days.
        listed[instruments] = first + np.concatenate(
            [np.zeros(1, dtype=np.int64), rng.integers(1, 48, size=len(instruments) - 1)]
        )
    for j, coin in enumerate(leaving):
        instruments = np.flatnonzero(symbol == coin)
        hour = WARM_UP_HOURS + int(60 + (j + rng.random()) / len(leaving) * 560)
        delisted[rng.choice(instruments)] = hour
    return listed, delisted


def _interval_changes(
    coins: NDArray[np.int64],
    symbol: I32,
    venue: I32,
    interval: I64,
    first_hour: int,
    rng: np.random.Generator,
) -> tuple[tuple[int, int, int], ...]:
    """Schedule 8 -> 4 -> 8 and 4 -> 1 by turns, each at a funding time; sets the first intervals."""
    changes: list[tuple[int, int, int]] = []
    for j, coin in enumerate(coins):
        instrument = int(np.flatnonzero((symbol == coin) & (venue < 2))[0])
        hour = WARM_UP_HOURS + int(24 + (j + rng.random()) / len(coins) * 110)
        hour += -(first_hour + hour) % 8
        length = 8 * int(rng.integers(7, 16))
        if j % 2 == 0:
            interval[instrument] = 8
            changes += [(hour, instrument, 4), (hour + length, instrument, 8)]
        else:
            interval[instrument] = 4
            changes.append((hour, instrument, 1))
    return tuple(changes)


def _pairs(symbol: I32) -> tuple[I32, I32]:
    """Return both instruments of every pair of venues of every coin."""
    a: list[int] = []
    b: list[int] = []
    for i in range(len(symbol)):
        for j in range(i + 1, min(i + 3, len(symbol))):
            if symbol[i] == symbol[j]:
                a.append(i)
                b.append(j)
    return np.array(a, dtype=np.int32), np.array(b, dtype=np.int32)
