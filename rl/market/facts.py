"""A market in a few numbers, for people."""

from __future__ import annotations

from datetime import UTC, datetime

from rl.market.arrays import MarketArrays


def market_facts(market: MarketArrays) -> dict[str, int | float | str]:
    """Return what a market holds, ready for JSON.

    Shares are of all (hour, instrument) or (hour, slot) places.
    """
    events = market.settlements
    first, last = (
        datetime.fromtimestamp(market.hour_ms(row) / 1000, UTC).isoformat() for row in (0, market.n_hours - 1)
    )
    return {
        "first_hour": first,
        "last_hour": last,
        "hours": market.n_hours,
        "instruments": market.n_instruments,
        "pairs": len(market.pair_long),
        "venues": ", ".join(sorted(set(market.venues))),
        "slots_filled": float((market.slot_pair >= 0).mean()),
        "priced_from_history": float(market.from_history.mean()),
        "settlements": len(events.row),
        "settlements_estimated": int(events.estimated.sum()),
        "settlements_off_boundary": int(events.off_boundary.sum()),
        "settlements_stale": int(events.stale.sum()),
        "gap_hours": int(market.gap.sum()),
    }
