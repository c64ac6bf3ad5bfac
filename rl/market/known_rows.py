"""The rows of a market with known answers: what a generator decides, as scanner and history would tell it.

Every coin is listed at two venues: "east" settles every 8 hours at about nothing, "west" every hour, and what
it settles is the carry. Quotes of the two venues are apart by noise that is bounded below a quarter of the
round-trip cost, so that bounce pays nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from rl.market.arrays import F64
from schemas.columns import names

EAST, WEST = "east", "west"
START: Final = pd.Timestamp("2025-01-01", tz="UTC")
VOLUME: Final = 5e7  # liquid: a full spread of 0.02 %, so a round trip costs 0.24 % of a leg's notional
# Relative to the coin's price, a venue's quote is off by at most this: two fills at the two ends of it
# differ by 4 x 0.00014 = 0.056 %, and a quarter of the round trip is 0.06 %.
BASIS_STD: Final = 6e-5
BASIS_MOST: Final = 1.4e-4
EAST_NOISE: Final = 5e-6  # deviation of what the east settles, a fraction per 8 h


@dataclass(frozen=True)
class Script:
    """What a generator decides: arrays over T hours and S coins.

    Attributes:
        carry: (T, S) net rate per 8 h of long east, short west, the regime without noise.
        noise: (T, S) what the settled rate adds to it.
        glimpse: (T, S) what the rate on show adds to that, and no settlement ever pays.
        log_price: (T, S) logarithm of the coin's price.
        safe_leverage: (S,).
    """

    carry: F64
    noise: F64
    glimpse: F64
    log_price: F64
    safe_leverage: F64


def clean_rows(script: Script, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the clean rows: both directions of every coin each hour, and a history of both venues.

    Row t of the opportunities shows what has been settled up to t, averages over the hours up to t, and the
    glimpse of t; what settles at t stands in the history.

    Returns:
        Opportunities and market history, as `schemas.tables` wants them.
    """
    hours, coins = script.carry.shape
    time = START + pd.to_timedelta(np.arange(hours), unit="h")
    basis = np.clip(BASIS_STD * rng.standard_normal((2, hours, coins)), -BASIS_MOST, BASIS_MOST)
    price = {venue: np.exp(script.log_price + basis[i]) for i, venue in enumerate((EAST, WEST))}
    interval = {EAST: 8.0, WEST: 1.0}
    settled = {EAST: EAST_NOISE * rng.standard_normal((hours, coins))}
    settled[WEST] = settled[EAST] / 8.0 + (script.carry + script.noise) / 8.0
    shown = {EAST: settled[EAST], WEST: settled[WEST] + script.glimpse / 8.0}
    symbols = np.tile([f"COIN{coin}" for coin in range(coins)], hours)

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
            "symbol": symbols,
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
            "volume_24h": VOLUME,
        }
        frames.append(pd.DataFrame(columns))
    opportunities = pd.concat(frames, ignore_index=True).sort_values("entry_time", kind="stable")
    history = pd.concat(
        [
            pd.DataFrame(
                {
                    "timestamp": time.repeat(coins),
                    "exchange": venue,
                    "symbol": symbols,
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
    history = history.sort_values("timestamp", kind="stable")
    return (
        opportunities.reindex(columns=list(names("opportunities"))),
        history.reindex(columns=list(names("history"))),
    )


def trailing(x: F64, hours: int) -> F64:
    """Return the mean over the `hours` hours up to each one, or over as many as there are."""
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])
    end = np.arange(1, x.shape[0] + 1)
    begin = np.maximum(end - hours, 0)
    mean: F64 = (total[end] - total[begin]) / (end - begin)[:, None]
    return mean
