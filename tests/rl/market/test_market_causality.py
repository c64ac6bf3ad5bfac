"""What comes after an hour changes nothing that stands at that hour."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from rl.market.arrays import HOUR_MS
from rl.market.assemble import assemble
from rl.market.build import build_days
from schemas.trading import MarketRules
from tests.rl.market.market_frames import offer, offers, random_history, random_offers, stamp, stamps

RULES = MarketRules()
PER_INSTRUMENT = ("mark", "age", "low", "high", "rate", "interval", "from_history")
PER_PAIR = ("half_spread", "depth", "trail24")


def nullify(frame, column, now, rng, extra):
    """Return a table with the rows up to `now` as they were and garbage after it."""
    kept = frame[frame[column] <= now]
    after = frame[frame[column] > now].copy()
    numbers = after.select_dtypes("number").columns
    tripled = rng.random(len(after)) < 0.4
    after.loc[tripled, numbers] *= 3.0
    after.loc[rng.random(len(after)) < 0.3, numbers] = np.nan
    after = after[rng.random(len(after)) < 0.7]
    # Rows of what was and of what never was, in no order.
    strange = after.sample(frac=0.3, random_state=1).assign(symbol="AAAA")
    return pd.concat([kept, extra, strange, after], ignore_index=True).astype(frame.dtypes)


def visible(market, pairs, legs, now_ms):
    """All that is known up to a time of the named pairs and legs, by name."""
    rows = (now_ms - market.start_ms) // HOUR_MS + 1
    names = list(zip(market.symbols, market.venues, strict=True))
    pair_names = [(*names[a], names[b][1]) for a, b in zip(market.pair_long, market.pair_short, strict=True)]
    leg_at, pair_at = [names.index(leg) for leg in legs], [pair_names.index(pair) for pair in pairs]
    seen = {field: getattr(market, field)[:rows, leg_at] for field in PER_INSTRUMENT}
    seen |= {field: getattr(market, field)[:rows, pair_at] for field in PER_PAIR}
    seen |= {field: getattr(market, field)[:rows] for field in ("slot_raw", "slot_score", "gap")}
    seen["slots"] = [[pair_names[p] if p >= 0 else None for p in hour] for hour in market.slot_pair[:rows]]
    # An instrument that the rest of the data never offers is no part of that market.
    count = market.settlements.start[rows]
    events = {
        field.name: getattr(market.settlements, field.name)[:count] for field in fields(market.settlements)
    }
    mine = np.isin(events["instrument"], leg_at)
    seen |= {
        f"event {name}": column[mine]
        for name, column in events.items()
        if name not in ("start", "instrument")
    }
    seen["event leg"] = [names[i] for i in events["instrument"][mine]]
    return {name: v.tobytes() if isinstance(v, np.ndarray) else v for name, v in seen.items()}


@pytest.mark.parametrize("seed", range(6))
def test_garbage_after_an_hour_changes_no_bit_up_to_it(seed):
    rng = np.random.default_rng(100 + seed)
    opportunities = random_offers(rng, hours=120, per_hour=10)
    history = random_history(rng, hours=120) if seed % 3 else None
    now = opportunities.entry_time.min().floor("h") + pd.Timedelta(hours=int(rng.integers(2, 115)))
    # A row one microsecond after the hour is not seen at the hour.
    just_after = now + pd.Timedelta(microseconds=1)
    junk = [offer(just_after, f"S{i}", fund_apr_24h_proj=1e6, entry_long_price=1e9) for i in range(4)]
    bars = [stamp(just_after, symbol=f"S{i}", price=1e9, rate=0.04, low=1e-9, high=1e9) for i in range(4)]
    garbage = nullify(opportunities, "entry_time", now, rng, offers(*junk))
    past = None if history is None else nullify(history, "timestamp", now, rng, stamps(*bars))

    kept = opportunities[opportunities.entry_time <= now]
    pairs = sorted(set(zip(kept.symbol, kept.long_exchange, kept.short_exchange, strict=True)))
    legs = sorted({(s, venue) for s, long, short in pairs for venue in (long, short)})
    now_ms = int(now.timestamp() * 1000)
    clean, dirty = (
        visible(assemble(list(build_days(*tables)), RULES), pairs, legs, now_ms)
        for tables in ((opportunities, history), (garbage, past))
    )
    assert [name for name in clean if clean[name] != dirty[name]] == []
    assert clean["slots"]


def test_the_market_up_to_an_hour_is_the_market_of_the_rows_up_to_it():
    rng = np.random.default_rng(5)
    opportunities, history = random_offers(rng, hours=60), random_history(rng, hours=60)
    now = opportunities.entry_time.min().floor("h") + pd.Timedelta(hours=33)
    past = opportunities[opportunities.entry_time <= now], history[history.timestamp <= now]
    short = assemble(list(build_days(*past)), RULES)
    whole = assemble(list(build_days(opportunities, history)), RULES)
    names = list(zip(short.symbols, short.venues, strict=True))
    pairs = [(*names[a], names[b][1]) for a, b in zip(short.pair_long, short.pair_short, strict=True)]
    end_ms = short.hour_ms(short.n_hours - 1)
    assert visible(short, pairs, names, end_ms) == visible(whole, pairs, names, end_ms)
