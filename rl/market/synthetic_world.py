"""What a generated market does: prices and funding rates, hour by hour.

The legs of a pair share one coin price; each venue adds a small basis that reverts. Funding
differs between venues in three ways: a little all the time, much for days (carry, which may
flip when it ends), and very much for hours (spikes, which do not last long enough to pay).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from rl.market.arrays import F64, I64, Bool
from rl.market.synthetic_universe import Streams, Universe

# Rates below are percent per 8 hours; an instrument is a coin at one venue.
_CARRY_HOURS: Final = 170.0  # mean length of a spell of carry
_CARRY_SHARE: Final = 0.018  # share of instruments in one at a time
_CARRY_SIZE: Final = 0.035  # its median size
_CARRY_SPREAD: Final = 0.45  # standard deviation of the logarithm of its size
_FLIP: Final = 0.25  # a spell that ends turns round
_SPIKE_EVERY: Final = 5000.0  # mean hours between an instrument's spikes
_SPIKE_SIZE: Final = 0.10  # smallest spike
_SPIKE_TAIL: Final = 1.25  # Pareto exponent of their sizes
_SPIKE_DECAY: Final = 0.72  # what an hour leaves of a spike
_LIMIT: Final = 6.0
_LIMIT_PER_INTERVAL: Final = 0.03  # fraction, no venue charges more at one settlement


@dataclass(frozen=True)
class World:
    """A market of T hours, warm-up included; prices stand on a grid of half hours.

    Attributes:
        universe: Who is listed where.
        first_hour: Hours from the epoch to hour 0.
        price: (2 T, I) quotes at hour t (row 2 t) and half past (row 2 t + 1).
        high: (T, I) highest price in (t - 1 h, t].
        low: (T, I) lowest price of the same.
        interval: (T, I) funding interval, hours.
        rate: (T, I) the rate known at t, fraction per interval: an estimate between settlements,
            the settled rate at one.
        settled: (T, I) the rate settled at t; NaN between settlements.
        live: (T, I) whether the instrument is quoted.
        volume: (T, I) volume of the last 24 hours, quote currency.
    """

    universe: Universe
    first_hour: int
    price: F64
    high: F64
    low: F64
    interval: I64
    rate: F64
    settled: F64
    live: Bool
    volume: F64

    @property
    def n_hours(self) -> int:
        """Hours simulated, warm-up included."""
        return int(self.rate.shape[0])


def build_world(universe: Universe, streams: Streams, first_hour: int, n_hours: int) -> World:
    """Live through `n_hours` hours of the universe's market."""
    price, high, low = _prices(universe, streams, n_hours)
    interval = _intervals(universe, n_hours)
    rate, settled = _settle(_latent(universe, streams, n_hours), interval, first_hour)
    hour = np.arange(n_hours)[:, None]
    live = (hour >= universe.listed) & (hour < universe.delisted)
    return World(
        universe=universe,
        first_hour=first_hour,
        price=price,
        high=high,
        low=low,
        interval=interval,
        rate=rate,
        settled=np.where(live, settled, np.nan),
        live=live,
        volume=_volume(universe, streams, n_hours),
    )


def ar1(noise: F64, half_life: float) -> F64:
    """Return a stationary AR(1) of unit variance along axis 0, driven by (T, K) unit noise."""
    keep = 0.5 ** (1.0 / half_life)
    scale = np.sqrt(1.0 - keep * keep)
    out = np.empty_like(noise)
    out[0] = noise[0]
    for t in range(1, len(noise)):
        out[t] = keep * out[t - 1] + scale * noise[t]
    return out


def _prices(universe: Universe, streams: Streams, n_hours: int) -> tuple[F64, F64, F64]:
    """Return quotes (2 T, I), and highs and lows (T, I)."""
    n_coins, n_inst, steps = len(universe.symbols), len(universe.symbol), 2 * n_hours
    per_step = universe.volatility / np.sqrt(2.0)
    # Mean one: e^(0.35 z) has mean e^0.06.
    mood = np.exp(0.35 * ar1(streams("volatility").standard_normal((steps, n_coins)), 96.0) - 0.06)
    market = streams("market").standard_normal((steps, 1))
    own = streams("returns").standard_t(5.0, (steps, n_coins)) / np.sqrt(5.0 / 3.0)
    returns = np.clip(per_step * mood * (0.55 * market + 0.835 * own), -0.12, 0.12)
    for hour, coin, factor in universe.jumps:
        if hour < n_hours:
            returns[2 * hour - 1, coin] += np.log(factor)
    coin_price = universe.price * np.exp(np.cumsum(returns, axis=0))

    # Basis in percent: a constant, a part that reverts within days, and bounce that no one can
    # catch because it is gone by the next look.
    sizes = np.exp(0.4 * streams("basis sizes").standard_normal((3, n_inst)))
    thin = np.clip((9.0 - universe.log_volume[universe.symbol]) / 2.0, 0.5, 2.0)
    offset = 0.016 * streams("basis offsets").standard_normal(n_inst)
    slow = 0.022 * sizes[0] * thin * ar1(streams("basis").standard_normal((steps, n_inst)), 40.0)
    bounce = 0.013 * sizes[1] * thin * streams("bounce").standard_t(2.6, (steps, n_inst))
    basis = np.clip(offset + slow + bounce, -1.5, 1.5) / 100.0
    price = coin_price[:, universe.symbol] * (1.0 + basis)
    unit = 10.0 ** universe.decimals[universe.symbol]
    price = np.maximum(np.rint(price * unit), 1.0) / unit

    # A bar reaches from the last hour's price to this one's, and a little beyond on all venues alike.
    bars = np.stack([np.roll(price[0::2], 1, axis=0), np.roll(price[1::2], 1, axis=0), price[0::2]])
    bars[:2, 0] = price[0]
    reach = np.abs(streams("bars").standard_normal((n_hours, 2, n_coins))) * 0.4 * universe.volatility
    high = np.ceil(bars.max(axis=0) * (1.0 + reach[:, 0, universe.symbol]) * unit) / unit
    low = np.floor(bars.min(axis=0) * (1.0 - np.minimum(reach[:, 1, universe.symbol], 0.05)) * unit) / unit
    return price, np.maximum(high, bars.max(axis=0)), np.clip(low, 1.0 / unit, bars.min(axis=0))


def _volume(universe: Universe, streams: Streams, n_hours: int) -> F64:
    """Return the trailing day's volume (T, I): slow, and different by venue."""
    n_inst = len(universe.symbol)
    venue = 0.25 * streams("venue volumes").standard_normal(n_inst) - 0.35 * (universe.venue == 2)
    drift = 0.18 * ar1(streams("volumes").standard_normal((n_hours, n_inst)), 36.0)
    volume: F64 = np.round(10.0 ** (universe.log_volume[universe.symbol] + venue + drift), 1)
    return volume


def _intervals(universe: Universe, n_hours: int) -> I64:
    """Return the funding interval known at each hour (T, I).

    A change is announced at a funding time and shows from the hour after, so that the rate
    settled there still belongs to the interval that led to it.
    """
    interval = np.repeat(universe.interval[None, :], n_hours, axis=0)
    for hour, instrument, hours in sorted(universe.changes):
        interval[hour + 1 :, instrument] = hours
    return interval


def _latent(universe: Universe, streams: Streams, n_hours: int) -> F64:
    """Return what each instrument's funding is worth now (T, I), percent per 8 hours."""
    n_inst, shape = len(universe.symbol), (n_hours, len(universe.symbol))
    tilt = 0.010 + 0.0025 * streams("tilts").standard_normal(n_inst)
    coin = 0.005 * ar1(streams("coin rates").standard_normal((n_hours, len(universe.symbols))), 18.0)
    restless = 0.005 * np.exp(0.4 * streams("restlessness").standard_normal(n_inst))
    fast, slow = (
        ar1(streams(f"{name} rates").standard_normal(shape), half)
        for name, half in (("fast", 4.0), ("slow", 60.0))
    )
    noise = restless * (0.6 * fast + 0.8 * slow)

    luck = streams("carry").random((n_hours, 4, n_inst))  # end, flip, begin, sign
    size = _CARRY_SIZE * np.exp(_CARRY_SPREAD * streams("carry sizes").standard_normal(shape))
    size *= np.where(luck[:, 3] < 0.5, -1.0, 1.0)
    begin = _CARRY_SHARE / (1.0 - _CARRY_SHARE) / _CARRY_HOURS
    chance = streams("spikes").random((n_hours, 3, n_inst))  # hit, sign, size
    blow = np.minimum(_SPIKE_SIZE * (1.0 - chance[:, 2]) ** (-1.0 / _SPIKE_TAIL), 4.0)
    blow *= np.where(chance[:, 1] < 0.6, -1.0, 1.0)
    hit = chance[:, 0] < 1.0 / _SPIKE_EVERY
    for hour, jumping, factor in universe.jumps:
        # A squeeze follows a crash or a surge, at one venue only: shorts pay, or longs do.
        if hour + 1 < n_hours:
            instrument = int(np.flatnonzero(universe.symbol == jumping)[0])
            hit[hour + 1, instrument] = True
            blow[hour + 1, instrument] = -4.2 if factor < 1.0 else 3.1

    carry = np.where(streams("carry at first").random(n_inst) < _CARRY_SHARE, size[0], 0.0)
    felt, spike = carry.copy(), np.zeros(n_inst)
    out = np.empty(shape)
    for t in range(n_hours):
        ends = (carry != 0.0) & (luck[t, 0] < 1.0 / _CARRY_HOURS)
        begins = (carry == 0.0) & (luck[t, 2] < begin)
        carry = np.where(ends, np.where(luck[t, 1] < _FLIP, -0.8 * carry, 0.0), carry)
        carry = np.where(begins, size[t], carry)
        felt = felt + 0.3 * (carry - felt)  # a venue averages its premium over hours
        spike = np.where(hit[t], blow[t], _SPIKE_DECAY * spike)
        out[t] = felt + spike
    return np.clip(tilt + coin[:, universe.symbol] + noise + out, -_LIMIT, _LIMIT)


def _settle(latent: F64, interval: I64, first_hour: int) -> tuple[F64, F64]:
    """Return the rate known at each hour and the one settled there, (T, I), fraction per interval.

    A settlement pays the mean of the hours since the last one; in between, a venue shows that mean
    as far as it is known.
    """
    n_hours = len(latent)
    due = (first_hour + np.arange(n_hours))[:, None] % interval == 0
    shown: F64 = np.empty_like(latent)
    total, count = np.zeros(latent.shape[1]), np.zeros(latent.shape[1])
    for t in range(n_hours):
        total, count = total + latent[t], count + 1.0
        shown[t] = total / count / 100.0 * interval[t] / 8.0
        total, count = np.where(due[t], 0.0, total), np.where(due[t], 0.0, count)
    clipped = np.clip(shown, -_LIMIT_PER_INTERVAL, _LIMIT_PER_INTERVAL)
    rate: F64 = np.round(clipped, 8).astype(np.float64) + 0.0  # no negative zeros
    return rate, np.where(due, rate, np.nan)
