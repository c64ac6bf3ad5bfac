"""A generated market of many kinds, to rehearse on before few real hours are trained on.

Real data has a thousand hours or two, and a network of this size knows them by heart before it knows what a
spell of carry looks like. Here coins differ in everything that real ones differ in: how much their rates
wander and for how long, how large spells of carry are and how they end, how far venues drift apart, how the
price moves and jumps, how liquid they are. What pays is learnt from variety; real hours say what is usual.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from rl.market.arrays import F64, MarketArrays
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.market.known import wander
from rl.market.known_rows import Script, clean_rows
from schemas.trading import MarketRules

DAYS: Final = 240
COINS: Final = 24
SEED: Final = 7


def _log_uniform(rng: np.random.Generator, low: float, high: float, n: int) -> F64:
    drawn: F64 = np.exp(rng.uniform(np.log(low), np.log(high), n))
    return drawn


def _carry(rng: np.random.Generator, hours: int) -> F64:
    """Return one coin's (T,) spells: from hours to weeks, small or large, now and then flipping."""
    carry = np.zeros(hours)
    idle = float(_log_uniform(rng, 72.0, 1500.0, 1)[0])
    at, sign = rng.exponential(idle), rng.choice([-1.0, 1.0])
    while at < hours:
        lasts = float(_log_uniform(rng, 6.0, 336.0, 1)[0])
        size = float(_log_uniform(rng, 4e-5, 1e-3, 1)[0])
        carry[int(at) : int(at + lasts)] = sign * size
        flips = rng.random() < 0.3
        at += lasts + (0.0 if flips else rng.exponential(idle))
        sign = -sign if flips else rng.choice([-1.0, 1.0])
    return carry


def rehearsal_script(hours: int, rng: np.random.Generator) -> Script:
    """Draw the market's coins."""
    shape = (hours, COINS)
    noise = np.empty(shape)
    basis = np.empty((2, *shape))
    price = np.empty(shape)
    for coin in range(COINS):
        half_life = float(_log_uniform(rng, 1.0, 48.0, 1)[0])
        noise[:, coin] = _log_uniform(rng, 2e-5, 3e-4, 1) * wander(rng, hours, 1, half_life)[:, 0]
        apart = float(_log_uniform(rng, 5e-5, 8e-4, 1)[0])
        for venue in range(2):
            half_life = float(_log_uniform(rng, 0.5, 12.0, 1)[0])
            basis[venue, :, coin] = apart * wander(rng, hours, 1, half_life)[:, 0]
        moves = float(_log_uniform(rng, 2e-3, 1.5e-2, 1)[0]) * rng.standard_t(4, hours)
        jumps = (rng.random(hours) < 1.0 / 1500.0) * rng.normal(0.0, 0.2, hours)
        price[:, coin] = rng.uniform(-2.0, 8.0) + np.cumsum(np.clip(moves + jumps, -0.6, 0.6))
    flash = (rng.random(shape) < 0.01) * rng.choice([-1.0, 1.0], shape) * rng.uniform(5e-4, 5e-3, shape)
    return Script(
        carry=np.stack([_carry(rng, hours) for _ in range(COINS)], axis=1),
        noise=noise,
        glimpse=flash,
        log_price=price,
        safe_leverage=np.full(COINS, np.inf),
        basis=basis,
        volume=_log_uniform(rng, 3e5, 1e9, COINS),
    )


def rehearsal_market(rules: MarketRules) -> MarketArrays:
    """Return the market; always the same one under the same rules."""
    return _made(rules.model_dump_json())


@lru_cache(maxsize=1)
def _made(rules: str) -> MarketArrays:
    rng = np.random.default_rng(SEED)
    rows = clean_rows(rehearsal_script(DAYS * 24, rng), rng)
    return assemble(list(build_days(*rows)), MarketRules.model_validate_json(rules))
