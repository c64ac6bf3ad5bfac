"""Markets whose best trade is known: the proof that a trainer can learn, before it is trusted with real data.

A generator decides a script, and `known_rows` writes it as the clean rows that ingest would leave, so
features, slots and books are made by the same steps as a run's. What no row says is kept beside the market:
the carry of each pair's *regime*, hour by hour, from which `rl.informed` works out the best trade.

A market of more days is another market, not a longer one: its draws differ from the first hour on. No row
depends on a later hour of its script.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from rl.market.arrays import F64, MarketArrays
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.market.known_rows import EAST, Script, clean_rows
from schemas.trading import MarketRules

DAY: Final = 24
RATE_NOISE: Final = 5e-5  # deviation of the noise of an hour's net rate, a fraction per 8 h


@dataclass(frozen=True)
class Known:
    """A market and what is true of it.

    Attributes:
        market: As the simulator sees it.
        carry: (T, P) what a pair's regime pays in the hour that ends at t, a fraction of a leg's notional.
        safe_leverage: (P,) leverage up to which no jump liquidates the pair.
    """

    market: MarketArrays
    carry: F64
    safe_leverage: F64


def no_edge(hours: int, rng: np.random.Generator) -> Script:
    """Six coins whose rates wander about zero (deviation 0.01 % per 8 h) and are back in a day.

    A rate of three deviations brings 0.06 % before it is gone, and a round trip costs 0.24 %.
    """
    coins = 6
    noise = 1e-4 * wander(rng, hours, coins, half_life=12.0)
    return _script(np.zeros((hours, coins)), rng, noise=noise)


def persistent_edge(hours: int, rng: np.random.Generator) -> Script:
    """Up to three of six coins at a time pay 0.03-0.08 % per 8 h for 5 to 12 days; the others nothing."""
    return _script(_spells(rng, hours, 6, 3, (5.0, 12.0), (2.0, 6.0), (3e-4, 8e-4)), rng)


def decoy(hours: int, rng: np.random.Generator) -> Script:
    """Up to two of four coins pay 0.03-0.05 % per 8 h for 6 to 12 days; three others only show a lot.

    In three hours of ten each of those shows 0.2-0.5 % per 8 h, which is gone when it would be settled.
    """
    steady = _spells(rng, hours, 4, 2, (6.0, 12.0), (1.0, 4.0), (3e-4, 5e-4))
    carry = np.concatenate([steady, np.zeros((hours, 3))], axis=1)
    shown = rng.random(carry.shape) < 0.3
    shown[:, :4] = False
    size = rng.uniform(2e-3, 5e-3, carry.shape) * rng.choice([-1.0, 1.0], carry.shape)
    return _script(carry, rng, glimpse=np.where(shown, size, 0.0))


def leverage_trap(hours: int, rng: np.random.Generator) -> Script:
    """Two wild coins pay 0.06-0.09 % per 8 h, and jump daily; a calm one pays 0.05-0.07 %.

    A jump of 12-16 % goes either way and is back after 2 to 6 hours. Both venues jump alike, so the pair as a
    whole loses nothing by it. At 10x it liquidates a leg: the long one 9.6 % down, the short one 9.5 % up.
    Between jumps a wild price trembles by 1 %, and that is what tells the two kinds apart: at no leverage it
    hurts by itself.
    """
    wild = _spells(rng, hours, 2, 2, (8.0, 16.0), (1.0, 3.0), (6e-4, 9e-4))
    calm = _spells(rng, hours, 1, 1, (8.0, 16.0), (1.0, 3.0), (5e-4, 7e-4))
    script = _script(np.concatenate([wild, calm], axis=1), rng)
    jumps = np.zeros((hours, 3))
    for coin in range(2):
        at = int(rng.exponential(18.0))
        while at < hours:
            lasts = int(rng.integers(2, 7))
            size = rng.uniform(0.12, 0.16)
            jumps[at : at + lasts, coin] = np.log1p(size if rng.random() < 0.5 else -size)
            at += lasts + 8 + int(rng.exponential(12.0))
    tremble = 0.01 * rng.standard_normal((hours, 3)) * np.array([1.0, 1.0, 0.0])
    return Script(
        script.carry,
        script.noise,
        script.glimpse,
        script.log_price + jumps + tremble,
        np.array([3.0, 3.0, np.inf]),  # entered 16 % down, the way back and a tremble are 26 % up: beyond 4x
    )


def among_bursts(hours: int, rng: np.random.Generator) -> Script:
    """*Persistent edge* beside four coins that pay 0.10-0.16 % per 8 h for 6 to 10 hours, every other day.

    A burst brings 0.2 % at most and a round trip costs 0.24 %, but a day's average still shows it when it is
    over: who goes by that alone buys what is gone.
    """
    steady = _spells(rng, hours, 6, 3, (5.0, 12.0), (2.0, 6.0), (3e-4, 8e-4))
    carry = np.concatenate([steady, np.zeros((hours, 4))], axis=1)
    noise = RATE_NOISE * rng.standard_normal(carry.shape)
    for coin in range(6, 10):
        at = int(rng.exponential(40.0))
        while at < hours:
            lasts = int(rng.integers(6, 11))
            noise[at : at + lasts, coin] += rng.uniform(1.0e-3, 1.6e-3) * rng.choice([-1.0, 1.0])
            at += lasts + 24 + int(rng.exponential(16.0))
    return _script(carry, rng, noise=noise)


def mirage(hours: int, rng: np.random.Generator) -> Script:
    """*Persistent edge* for four fifths of the hours, then nothing: paid in training and validation only."""
    carry = _spells(rng, hours, 6, 3, (5.0, 12.0), (2.0, 6.0), (3e-4, 8e-4))
    carry[int(0.8 * hours) :] = 0.0
    return _script(carry, rng)


MARKETS: Final[dict[str, Callable[[int, np.random.Generator], Script]]] = {
    "no edge": no_edge,
    "persistent edge": persistent_edge,
    "decoy": decoy,
    "leverage trap": leverage_trap,
    "persistent edge among bursts": among_bursts,
    "mirage": mirage,
}


def generate(name: str, days: int, seed: int, rules: MarketRules | None = None) -> Known:
    """Make a market of one kind; the same arguments make the same market.

    Args:
        name: One of MARKETS.
        days: Length; of another length it is another market.
        seed: Another seed is another market of the same law.
        rules: What venues charge; the default.
    """
    script, rng = _drawn(name, days, seed)
    return enact(script, rng, rules)


def rows_of(name: str, days: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the clean opportunity and history rows that `generate` makes the same market of."""
    return clean_rows(*_drawn(name, days, seed))


def _drawn(name: str, days: int, seed: int) -> tuple[Script, np.random.Generator]:
    rng = np.random.default_rng((seed, list(MARKETS).index(name)))
    return MARKETS[name](days * DAY, rng), rng


def enact(script: Script, rng: np.random.Generator, rules: MarketRules | None = None) -> Known:
    """Make the market of a script.

    Args:
        script: What pays when, and what prices do.
        rng: Draws what the script leaves open: the basis, and what the east settles.
        rules: What venues charge; the default.
    """
    market = assemble(list(build_days(*clean_rows(script, rng))), rules or MarketRules())
    coin = np.array([int(market.symbols[i].removeprefix("COIN")) for i in market.pair_long])
    sign = np.array([1.0 if market.venues[i] == EAST else -1.0 for i in market.pair_long])
    return Known(market, sign * script.carry[:, coin] / 8.0, script.safe_leverage[coin])


# -- parts of generators -------------------------------------------------------------------------------


def _script(
    carry: F64, rng: np.random.Generator, noise: F64 | None = None, glimpse: F64 | None = None
) -> Script:
    shape = hours, coins = carry.shape
    return Script(
        carry=carry,
        noise=RATE_NOISE * rng.standard_normal(shape) if noise is None else noise,
        glimpse=np.zeros(shape) if glimpse is None else glimpse,
        log_price=rng.uniform(0.0, 6.0, coins) + 0.004 * wander(rng, hours, coins, half_life=24.0),
        safe_leverage=np.full(coins, np.inf),
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
