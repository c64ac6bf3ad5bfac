"""Markets whose best trade is known: the proof that a trainer can learn, before it is trusted with real data.

A generator writes the clean rows that ingest would, so features, slots and books are made by the same steps
as a run's. What no row says is kept beside the market: the carry of each pair's *regime*, hour by hour. The
*informed optimum* is what a trader earns who knows the regimes, those to come too, and none of the noise.

Spread noise is bounded below a quarter of the round-trip cost, so that bounce pays nobody.
Every coin is listed at two venues: "east" settles every 8 hours at about nothing, "west" every hour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from rl.market.arrays import F64, Bool, MarketArrays
from rl.market.assemble import assemble
from rl.market.build import build_days
from schemas.trading import MarketRules

EAST, WEST = "east", "west"
START: Final = pd.Timestamp("2025-01-01", tz="UTC")
DAY: Final = 24
VOLUME: Final = 5e7  # liquid: a full spread of 0.02 %, so a round trip costs 0.24 % of a leg's notional
# Relative to the coin's price, a venue's quote is off by at most this: two fills at the two ends of it
# differ by 4 x 0.00015 = 0.06 %, a quarter of the round trip.
BASIS_STD: Final = 6e-5
BASIS_MOST: Final = 1.5e-4
# Net rates are fractions of notional per 8 hours, as everywhere.
RATE_NOISE: Final = 5e-5


@dataclass(frozen=True)
class Known:
    """A market and what is true of it.

    Attributes:
        market: As the simulator sees it.
        carry: (T, P) what a pair's regime pays in the hour that ends at t, a fraction of a leg's notional.
        safe_leverage: (P,) leverage up to which the pair is not liquidated.
    """

    market: MarketArrays
    carry: F64
    safe_leverage: F64


@dataclass(frozen=True)
class Script:
    """What a generator decides: arrays over T hours and S coins.

    Attributes:
        carry: (T, S) net rate per 8 h of long east, short west, the regime without noise.
        noise: (T, S) what the settled rate adds to it.
        glimpse: (T, S) what the rate on show adds to that, and no settlement ever pays.
        log_price: (T, S) logarithm of the coin's price.
        safe_leverage: (S,).
        basis: (2, T, S) logarithm of each venue's price over the coin's, east first; None draws the small
            bounded one of the known-answer markets.
        volume: (S,) of a day, quote currency; None is VOLUME.
    """

    carry: F64
    noise: F64
    glimpse: F64
    log_price: F64
    safe_leverage: F64
    basis: F64 | None = None
    volume: F64 | None = None


def no_edge(hours: int, rng: np.random.Generator) -> Script:
    """Rates that wander about zero and come back before they have paid for a round trip."""
    coins = 6
    noise = 1e-4 * wander(rng, hours, coins, half_life=12.0)
    return _script(np.zeros((hours, coins)), rng, noise=noise)


def persistent_edge(hours: int, rng: np.random.Generator) -> Script:
    """Up to three coins at a time pay 0.03-0.08 % per 8 h for 5 to 12 days; the others nothing."""
    return _script(_spells(rng, hours, 6, 3, (5.0, 12.0), (2.0, 6.0), (3e-4, 8e-4)), rng)


def decoy(hours: int, rng: np.random.Generator) -> Script:
    """Two coins at a time pay a little for long; the highest rate on show is never paid."""
    steady = _spells(rng, hours, 4, 2, (6.0, 12.0), (1.0, 4.0), (3e-4, 5e-4))
    carry = np.concatenate([steady, np.zeros((hours, 3))], axis=1)
    shown = rng.random(carry.shape) < 0.3
    shown[:, :4] = False
    size = rng.uniform(2e-3, 5e-3, carry.shape) * rng.choice([-1.0, 1.0], carry.shape)
    return _script(carry, rng, glimpse=np.where(shown, size, 0.0))


def leverage_trap(hours: int, rng: np.random.Generator) -> Script:
    """Three coins pay well and jump by 11-16 % now and then; a fourth pays less and stays where it is."""
    wild = _spells(rng, hours, 3, 3, (8.0, 16.0), (1.0, 3.0), (6e-4, 9e-4))
    calm = _spells(rng, hours, 1, 1, (8.0, 16.0), (1.0, 3.0), (4e-4, 6e-4))
    script = _script(np.concatenate([wild, calm], axis=1), rng)
    jumps = np.zeros((hours, 4))
    for coin in range(3):
        at = int(rng.exponential(36.0))
        while at < hours:
            lasts = int(rng.integers(2, 7))
            size = rng.uniform(0.11, 0.16)
            jumps[at : at + lasts, coin] = np.log1p(size if rng.random() < 0.5 else -size)
            at += lasts + 12 + int(rng.exponential(24.0))
    return Script(
        script.carry,
        script.noise,
        script.glimpse,
        script.log_price + jumps,
        np.array([6.0, 6.0, 6.0, np.inf]),
    )


MARKETS: Final[dict[str, Callable[[int, np.random.Generator], Script]]] = {
    "no edge": no_edge,
    "persistent edge": persistent_edge,
    "decoy": decoy,
    "leverage trap": leverage_trap,
}


def generate(name: str, days: int, seed: int, rules: MarketRules | None = None) -> Known:
    """Make a market of one kind; the same arguments make the same market.

    Args:
        name: One of MARKETS.
        days: Length.
        seed: Another seed is another market of the same law.
        rules: What venues charge; the default.
    """
    rng = np.random.default_rng((seed, list(MARKETS).index(name)))
    script = MARKETS[name](days * DAY, rng)
    opportunities, history = clean_rows(script, rng)
    market = assemble(list(build_days(opportunities, history)), rules or MarketRules())
    coin = np.array([int(market.symbols[i].removeprefix("COIN")) for i in market.pair_long])
    sign = np.array([1.0 if market.venues[i] == EAST else -1.0 for i in market.pair_long])
    carry = np.zeros((market.n_hours, coin.size))
    carry[: days * DAY] = sign * script.carry[:, coin] / 8.0
    return Known(market, carry, script.safe_leverage[coin])


def informed(known: Known, last: int) -> Callable[[int, int, F64, Bool, Bool, F64], int]:
    """Return the decisions of a trader who knows the regimes, those to come too.

    It enters what will pay most after its round trip until its spell or the window ends, leaves when the
    spell is over, and leaves alone a pair that its leverage cannot survive.

    Args:
        known: The market.
        last: Last row of the window.

    Returns:
        A function of (t, pairs held (5,), active (5,), mask (36,), leverage) to an action.
    """
    market = known.market
    ahead = np.zeros((last + 3, known.carry.shape[1]))  # what the rest of a spell brings from t on
    for t in range(last, -1, -1):
        ahead[t] = np.where(known.carry[t] > 0.0, known.carry[t] + ahead[t + 1], 0.0)
    cost = market.slot_raw[..., -1] / 100.0

    def act(t: int, held: F64, active: Bool, mask: Bool, leverage: F64) -> int:
        after_fill = ahead[min(t + 2, last + 2)]
        for slot in np.nonzero(active)[0]:
            if after_fill[int(held[slot])] <= 0.0:
                return 31 + int(slot)
        pair = market.slot_pair[t]
        gain = np.where(pair >= 0, after_fill[pair] - cost[t], -np.inf)
        gain[(leverage > known.safe_leverage[pair]) | ~mask[21:31]] = -np.inf
        best = int(np.argmax(gain))
        return 21 + best if gain[best] > 0.0 else 0

    return act


# -- parts of generators -------------------------------------------------------------------------------


def _script(
    carry: F64, rng: np.random.Generator, noise: F64 | None = None, glimpse: F64 | None = None
) -> Script:
    shape = carry.shape
    return Script(
        carry=carry,
        noise=RATE_NOISE * rng.standard_normal(shape) if noise is None else noise,
        glimpse=np.zeros(shape) if glimpse is None else glimpse,
        log_price=rng.uniform(0.0, 6.0, shape[1]) + 0.004 * wander(rng, *shape, half_life=24.0),
        safe_leverage=np.full(shape[1], np.inf),
    )


def wander(rng: np.random.Generator, hours: int, coins: int, half_life: float) -> F64:
    """Return (hours, coins) of a stationary AR(1) of unit deviation."""
    keep = 0.5 ** (1.0 / half_life)
    shocks = rng.standard_normal((hours, coins))
    out = np.empty_like(shocks)
    out[0] = shocks[0]
    for t in range(1, hours):
        out[t] = keep * out[t - 1] + np.sqrt(1.0 - keep**2) * shocks[t]
    return out


def _spells(
    rng: np.random.Generator,
    hours: int,
    coins: int,
    at_once: int,
    on_days: tuple[float, float],
    off_days: tuple[float, float],
    size: tuple[float, float],
) -> F64:
    """Return (hours, coins) signed carry: `at_once` queues of spells, each on a coin no other queue uses.

    At most `at_once` coins pay at a time, so a trader with as many positions need not choose.
    """
    carry = np.zeros((hours, coins))
    free_at = np.zeros(coins)  # a coin rests a day between two spells
    ready = [(float(rng.uniform(0.0, off_days[1])) * DAY, queue) for queue in range(at_once)]
    while True:
        begin, queue = min(ready)
        if begin >= hours:
            return carry
        idle = np.nonzero(free_at <= begin)[0]
        if idle.size == 0:
            ready[ready.index((begin, queue))] = (float(free_at.min()), queue)
            continue
        coin = int(rng.choice(idle))
        end = begin + rng.uniform(*on_days) * DAY
        carry[int(begin) : int(end), coin] = rng.uniform(*size) * rng.choice([-1.0, 1.0])
        free_at[coin] = end + DAY
        ready[ready.index((begin, queue))] = (end + rng.uniform(*off_days) * DAY, queue)


def clean_rows(script: Script, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the clean rows: both directions of every coin each hour, and a history of both venues."""
    hours, coins = script.carry.shape
    time = START + pd.to_timedelta(np.arange(hours), unit="h")
    basis = script.basis
    if basis is None:
        basis = np.clip(BASIS_STD * rng.standard_normal((2, hours, coins)), -BASIS_MOST, BASIS_MOST)
    price = {venue: np.exp(script.log_price + basis[i]) for i, venue in enumerate((EAST, WEST))}
    interval = {EAST: 8.0, WEST: 1.0}
    settled = {EAST: 0.1 * RATE_NOISE * rng.standard_normal((hours, coins))}
    settled[WEST] = settled[EAST] / 8.0 + (script.carry + script.noise) / 8.0
    shown = {EAST: settled[EAST], WEST: settled[WEST] + script.glimpse / 8.0}
    names = [f"COIN{coin}" for coin in range(coins)]

    def flat(table: F64) -> F64:
        return table.ravel()

    def settlement(venue: str) -> pd.Index:
        return time.floor(f"{int(interval[venue])}h") + pd.Timedelta(hours=interval[venue])

    net = (script.carry + script.noise) * 100.0  # percent per 8 h, as settled
    now = net + script.glimpse * 100.0
    spread = (price[WEST] - price[EAST]) / ((price[WEST] + price[EAST]) / 2.0)
    frames = []
    for long, short, sign in ((EAST, WEST, 1.0), (WEST, EAST, -1.0)):
        profit = {"": sign * now, "_24h": sign * trailing(net, 24), "_3d": sign * trailing(net, 72)}
        columns = {
            "entry_time": time.repeat(coins),
            "symbol": np.tile(names, hours),
            "long_exchange": long,
            "short_exchange": short,
            "entry_long_price": flat(price[long]),
            "entry_short_price": flat(price[short]),
            "long_funding_rate": flat(shown[long]),
            "short_funding_rate": flat(shown[short]),
            "long_funding_interval_hours": interval[long],
            "short_funding_interval_hours": interval[short],
            "long_next_funding_time": settlement(long).repeat(coins),
            "short_next_funding_time": settlement(short).repeat(coins),
            "fund_profit_8h": flat(profit[""]),
            "fund_profit_24h_proj": flat(profit["_24h"]),
            "fund_profit_3d_proj": flat(profit["_3d"]),
            "fund_apr": flat(profit[""]) * 1095.0,
            "fund_apr_24h_proj": flat(profit["_24h"]) * 1095.0,
            "fund_apr_3d_proj": flat(profit["_3d"]) * 1095.0,
            "spread_30_sample_avg": flat(sign * trailing(spread, 30)),
            "price_spread_24h_avg": flat(sign * 100.0 * trailing(spread, 24)),
            "price_spread_3d_avg": flat(sign * 100.0 * trailing(spread, 72)),
            "volume_24h": np.tile(np.full(coins, VOLUME) if script.volume is None else script.volume, hours),
        }
        frames.append(pd.DataFrame(columns))
    opportunities = pd.concat(frames, ignore_index=True).sort_values("entry_time", kind="stable")
    history = pd.concat(
        [
            pd.DataFrame(
                {
                    "timestamp": time.repeat(coins),
                    "exchange": venue,
                    "symbol": np.tile(names, hours),
                    "price": flat(price[venue]),
                    "funding_rate": flat(
                        np.where(
                            (time.hour.to_numpy() % interval[venue] == 0)[:, None], settled[venue], np.nan
                        )
                    ),
                    "funding_interval_hours": interval[venue],
                }
            )
            for venue in (EAST, WEST)
        ],
        ignore_index=True,
    )
    return opportunities, history.sort_values("timestamp", kind="stable")


def trailing(x: F64, hours: int) -> F64:
    """Return the mean over the `hours` hours up to each one, or over as many as there are."""
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])
    end = np.arange(1, x.shape[0] + 1)
    begin = np.maximum(end - hours, 0)
    mean: F64 = (total[end] - total[begin]) / (end - begin)[:, None]
    return mean
