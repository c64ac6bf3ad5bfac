"""Small clean tables for the tests of the market features."""

import numpy as np
import pandas as pd

NULLABLE = (
    "fund_profit_8h",
    "fund_profit_24h_proj",
    "fund_profit_3d_proj",
    "fund_apr",
    "fund_apr_24h_proj",
    "fund_apr_3d_proj",
    "spread_30_sample_avg",
    "spread_volatility_stddev",
    "price_spread_24h_avg",
    "price_spread_3d_avg",
    "volume_24h",
    "bid_ask_spread_percent",
    "orderbook_depth_usd",
    "estimated_profit_percentage",
    "position_cost_percent",
)
DAY = pd.Timestamp("2025-03-01", tz="UTC")


def at(text):
    """Return a time of the test's day: "13:20", "1d 02:00", "00:00:00.000001"."""
    days, _, clock = text.rpartition(" ")
    clock = clock if clock.count(":") == 2 else clock + ":00"
    return DAY + pd.Timedelta(days=int(days[:-1]) if days else 0) + pd.Timedelta(clock)


def offer(time, symbol="AAA", long="bybit", short="binance", **values):
    """Return one opportunity row; everything nullable is null unless given."""
    row = {
        "entry_time": at(time) if isinstance(time, str) else time,
        "symbol": symbol,
        "long_exchange": long,
        "short_exchange": short,
        "entry_long_price": 100.0,
        "entry_short_price": 101.0,
        "long_funding_rate": 0.0001,
        "short_funding_rate": 0.0003,
        "long_funding_interval_hours": 8.0,
        "short_funding_interval_hours": 8.0,
        "long_next_funding_time": pd.NaT,
        "short_next_funding_time": pd.NaT,
    }
    return row | dict.fromkeys(NULLABLE, np.nan) | values


def stamp(
    time, venue="binance", symbol="AAA", price=100.0, rate=np.nan, interval=8.0, low=np.nan, high=np.nan
):
    """Return one history row."""
    return {
        "timestamp": at(time) if isinstance(time, str) else time,
        "exchange": venue,
        "symbol": symbol,
        "price": price,
        "funding_rate": rate,
        "funding_interval_hours": interval,
        "low": low,
        "high": high,
    }


def offers(*rows):
    frame = pd.DataFrame(list(rows), columns=list(offer("00:00")))
    for column in ("entry_time", "long_next_funding_time", "short_next_funding_time"):
        frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[us, UTC]")
    return frame


def stamps(*rows):
    frame = pd.DataFrame(list(rows), columns=list(stamp("00:00")))
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True).astype("datetime64[us, UTC]")
    return frame


def random_offers(rng, hours=100, per_hour=14, symbols=4, venues=("binance", "bybit", "hyperliquid")):
    """Return rows that arrive at any time, with ties, gaps, nulls, duplicates and changing intervals."""
    rows = []
    for hour in range(hours):
        if rng.random() < 0.08 or 40 <= hour < 45:  # a silent hour, and a silence of five
            continue
        shared = DAY + pd.Timedelta(hours=hour, seconds=int(rng.integers(3600)))
        for _ in range(int(rng.integers(1, per_hour))):
            long, short = rng.choice(len(venues), 2, replace=False)
            time = (
                shared
                if rng.random() < 0.3
                else DAY + pd.Timedelta(hours=hour, microseconds=int(rng.choice([0, rng.integers(3.6e9)])))
            )
            row = offer(
                time,
                f"S{rng.integers(1 + symbols * min(hours, 2 * hour + 10) // hours)}",
                venues[long],
                venues[short],
                entry_long_price=float(rng.lognormal(3, 0.1)),
                entry_short_price=float(rng.lognormal(3, 0.1)),
                long_funding_rate=float(rng.normal(0, 1e-3)),
                short_funding_rate=float(rng.normal(0, 1e-3)),
                long_funding_interval_hours=float(rng.choice([1, 2, 4, 8])),
                short_funding_interval_hours=float(rng.choice([1, 2, 4, 8])),
            )
            for side in ("long", "short"):
                if rng.random() < 0.9:
                    row[f"{side}_next_funding_time"] = time + pd.Timedelta(minutes=int(rng.integers(1, 480)))
            for column in NULLABLE:
                if rng.random() < 0.75:
                    row[column] = float(rng.choice([rng.normal(0, 20), 1.0, -1.0]))
            row["volume_24h"] = float(rng.choice([np.nan, 0.0, 10.0 ** rng.uniform(4, 9), 1e6, 1e7]))
            row["bid_ask_spread_percent"] = float(rng.choice([np.nan, 0.0, 0.1, rng.uniform(0, 0.3)]))
            row["orderbook_depth_usd"] = float(rng.choice([np.nan, 10.0 ** rng.uniform(2, 6)]))
            rows.append(row)
            if rng.random() < 0.1:
                rows.append(dict(row))
    return offers(*(rows[i] for i in _nearly_sorted(rng, rows, "entry_time")))


def random_history(rng, hours=100, symbols=3, venues=("binance", "hyperliquid")):
    """Return history rows on and off the hour, some settled off their boundary, some twice."""
    rows = []
    for symbol in range(symbols):
        for venue in venues:
            interval, start = float(rng.choice([1, 4, 8])), int(rng.choice([0, 0, hours // 3]))
            for hour in range(start, hours):
                if rng.random() < 0.06 or 40 <= hour < 45:
                    continue
                interval = float(rng.choice([1, 2, 4, 8])) if rng.random() < 0.05 else interval
                late = int(rng.integers(3.6e9)) if rng.random() < 0.2 else 0
                price = float(rng.lognormal(3, 0.1))
                row = stamp(
                    DAY + pd.Timedelta(hours=hour, microseconds=late),
                    venue,
                    f"S{symbol}",
                    price,
                    float(rng.normal(0, 1e-3)) if hour % interval == 0 or rng.random() < 0.1 else np.nan,
                    interval,
                    price * 0.98 if rng.random() < 0.7 else np.nan,
                    price * 1.02 if rng.random() < 0.7 else np.nan,
                )
                rows.append(row)
                if rng.random() < 0.05:
                    rows.append(row | {"price": price * 1.01, "funding_rate": row["funding_rate"] * 2})
    return stamps(*(rows[i] for i in _nearly_sorted(rng, rows, "timestamp")))


def _nearly_sorted(rng, rows, column):
    """Order rows by day, shuffled within it: a file's rows need not be in the order of time."""
    days = np.array([row[column].floor("D").value for row in rows])
    return np.lexsort((rng.random(len(rows)), days))
