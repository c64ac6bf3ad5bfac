"""The market features once more, from their definitions alone: one value at a time, by looking at all rows.

Slow and plain on purpose; it shares nothing with the code under test but the names of the features.
"""

import itertools
import math

import numpy as np
import pandas as pd

HOUR = 3_600_000_000
SLOTS = 10


class NaiveMarket:
    """Answers single questions about a market at a time in epoch microseconds."""

    def __init__(self, opportunities, history, rules):
        self.rules = rules
        self.rows = [dict(row, n=n) for n, row in enumerate(opportunities.to_dict("records"))]
        self.past = (
            [] if history is None else [dict(row, n=n) for n, row in enumerate(history.to_dict("records"))]
        )
        for row in self.rows:
            row["t"] = us(row["entry_time"])
        for row in self.past:
            row["t"] = us(row["timestamp"])
        self.pairs = sorted({(r["symbol"], r["long_exchange"], r["short_exchange"]) for r in self.rows})
        self.legs = sorted({(s, v) for s, long, short in self.pairs for v in (long, short)})
        # Sorted by time, then by place in the data set, only to make the looking shorter.
        self.rows.sort(key=lambda row: (row["t"], row["n"]))
        self.past.sort(key=lambda row: (row["t"], row["n"]))
        self.past_by_leg, self.shown_by_leg, self.by_pair = {}, {}, {}
        for row in self.past:
            self.past_by_leg.setdefault((row["symbol"], row["exchange"]), []).append(row)
        for row in self.rows:
            self.by_pair.setdefault((row["symbol"], row["long_exchange"], row["short_exchange"]), []).append(
                row
            )
            for side in ("long", "short"):
                self.shown_by_leg.setdefault((row["symbol"], row[f"{side}_exchange"]), []).append((row, side))

    def past_of(self, leg, since, until):
        return [r for r in self.past_by_leg.get(leg, ()) if since < r["t"] <= until]

    def shown(self, leg, until):
        """The newest row that shows an instrument on either side: (row, side)."""
        return next((shown for shown in reversed(self.shown_by_leg[leg]) if shown[0]["t"] <= until), None)

    def quote(self, leg, t):
        """(price, age in hours, from history) or None."""
        past = self.past_of(leg, -math.inf, t)
        if past:
            return past[-1]["price"], (t - past[-1]["t"]) / HOUR, True
        shown = self.shown(leg, t)
        if shown is None:
            return None
        return shown[0][f"entry_{shown[1]}_price"], (t - shown[0]["t"]) / HOUR, False

    def _newest(self, leg, t, past_column, row_column):
        past = [r for r in self.past_of(leg, -math.inf, t) if not math.isnan(r[past_column])]
        shown = self.shown(leg, t)
        if past and (shown is None or past[-1]["t"] >= shown[0]["t"]):
            return past[-1][past_column]
        return shown[0][f"{shown[1]}_{row_column}"] if shown else math.nan

    def rate(self, leg, t):
        return self._newest(leg, t, "funding_rate", "funding_rate")

    def interval(self, leg, t):
        return self._newest(leg, t, "funding_interval_hours", "funding_interval_hours")

    def extremes(self, leg, t):
        bars = self.past_of(leg, t - HOUR, t)
        lows = [r["low"] for r in bars if not math.isnan(r["low"])]
        highs = [r["high"] for r in bars if not math.isnan(r["high"])]
        return min(lows, default=math.inf), max(highs, default=-math.inf)

    def events(self, leg, t):
        """The funding events in (t - 1 h, t]: (time, rate, mark, stale, estimated, off boundary)."""
        settled = {
            r["t"]: r["funding_rate"]
            for r in self.past_of(leg, t - HOUR, t)
            if not math.isnan(r["funding_rate"])
        }
        times = sorted({*settled, t})
        found = []
        for time in times:
            interval, quote = self.interval(leg, time), self.quote(leg, time)
            due = time % HOUR == 0 and not math.isnan(interval) and (time // HOUR) % 24 % interval == 0
            if quote is None or (time not in settled and (not due or quote[1] > 24)):
                continue
            stale = quote[1] > self.rules.max_quote_age_hours
            rate = settled.get(time, self.rate(leg, time))
            found.append((time, rate, quote[0], stale, time not in settled, not due))
        return found

    def newest_row(self, pair, t):
        return next((row for row in reversed(self.by_pair[pair]) if row["t"] <= t), None)

    def score(self, row):
        if not math.isnan(row["fund_apr_24h_proj"]):
            apr = row["fund_apr_24h_proj"]
        elif not math.isnan(row["fund_apr"]):
            apr = row["fund_apr"]
        else:
            apr = (
                row["short_funding_rate"] / row["short_funding_interval_hours"]
                - row["long_funding_rate"] / row["long_funding_interval_hours"]
            ) * 800 * 1095  # fmt: skip
        v = 1.0 if row["volume_24h"] >= 1e6 else 0.5
        b = 1.0 if row["bid_ask_spread_percent"] < 0.1 else 0.5
        return apr / (v * b) if apr < 0 else apr * v * b

    def slots(self, t):
        """[(score, pair, row)] of the ten best at t."""
        found = []
        for pair in self.pairs:
            row = self.newest_row(pair, t)
            if row is not None and row["t"] > t - HOUR:
                found.append((self.score(row), pair, row))
        return sorted(found, key=lambda offer: (-offer[0], offer[1]))[:SLOTS]

    def full_spread(self, row):
        if not math.isnan(row["bid_ask_spread_percent"]):
            return row["bid_ask_spread_percent"] / 100
        if row["volume_24h"] >= 1e7:
            return self.rules.full_spread_liquid
        return self.rules.full_spread_medium if row["volume_24h"] >= 1e6 else self.rules.full_spread_thin

    def trail24(self, pair, t):
        row = self.newest_row(pair, t)
        if row is None:
            return math.nan
        nets = []
        for leg in ((pair[0], pair[1]), (pair[0], pair[2])):
            settled = {
                r["t"]: r["funding_rate"]
                for r in self.past_of(leg, t - 24 * HOUR, t)
                if not math.isnan(r["funding_rate"])
            }
            if not settled or not self.quote(leg, t)[2]:
                return row["fund_profit_24h_proj"] / 100
            nets.append(sum(settled.values()) / sum(self.interval(leg, time) for time in settled) * 8)
        return nets[1] - nets[0]

    def settled_8h(self, leg, t):
        quote = self.quote(leg, t)
        if quote is None or not quote[2]:
            return self.rate(leg, t) * 8 / self.interval(leg, t)
        settled = [r for r in self.past_of(leg, -math.inf, t) if not math.isnan(r["funding_rate"])]
        return settled[-1]["funding_rate"] * 8 / self.interval(leg, settled[-1]["t"]) if settled else math.nan

    def features(self, pair, row, t, first):
        """The 20 features of a slot; `first` is the first hour of the grid."""
        long, short = (pair[0], pair[1]), (pair[0], pair[2])
        hours = [h for h in range(t - 71 * HOUR, t + 1, HOUR) if h >= first]
        nets = [self.settled_8h(short, h) - self.settled_8h(long, h) for h in hours]
        deviations = []
        for leg in (long, short):
            marks = [self.quote(leg, h) for h in hours[-25:]]
            marks = [quote[0] for quote in marks if quote]
            deviations.append(spread([math.log(b / a) for a, b in itertools.pairwise(marks)]))
        known = [value for value in deviations if not math.isnan(value)]
        fees = self.rules.fee(pair[1]) + self.rules.fee(pair[2])
        return [
            row["long_funding_rate"] * 8 / row["long_funding_interval_hours"],
            row["short_funding_rate"] * 8 / row["short_funding_interval_hours"],
            row["long_funding_interval_hours"] / 8,
            row["short_funding_interval_hours"] / 8,
            row["fund_profit_8h"],
            row["fund_profit_24h_proj"],
            row["fund_profit_3d_proj"],
            hours_left(row["long_next_funding_time"], t) / 8,
            hours_left(row["short_next_funding_time"], t) / 8,
            max(known, default=math.nan),
            spread([net for net in nets if not math.isnan(net)]),
            row["spread_30_sample_avg"],
            row["price_spread_24h_avg"],
            row["price_spread_3d_avg"],
            row["spread_volatility_stddev"],
            log10(row["volume_24h"]),
            row["bid_ask_spread_percent"],
            log10(row["orderbook_depth_usd"]),
            row["estimated_profit_percentage"],
            200 * (fees + self.full_spread(row)),
        ]


def us(time):
    return round(time.value / 1000) if time.unit == "ns" else time.as_unit("ns").value // 1000


def spread(values):
    return float(np.std(values)) if len(values) >= 2 else math.nan


def hours_left(time, t):
    return math.nan if pd.isna(time) else max((us(time) - t) / HOUR, 0.0)


def log10(amount):
    return amount if math.isnan(amount) else math.log10(max(amount, 1.0))
