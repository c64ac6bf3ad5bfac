"""From clean rows to the features of a stretch of hours, a UTC day by default.

A stretch is built from its own rows and the closing state of the hours before it, and leaves a closing
state of its own; how the hours are grouped into stretches changes no bit of the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from rl.market.arrays import F64, HOUR_MS, I32
from rl.market.carry import continued, known_instruments, known_pairs, settled_by_hour
from rl.market.closing import TRAIL_HOURS, Closing, nothing_known
from rl.market.panel import FundingEvents, Knowledge, Panel, build_events, build_panel
from rl.market.plan import plan_days
from rl.market.rolling import trailing_sum
from rl.market.rows import HOUR_US, HistoryRows, OpportunityRows, concat, history_rows, opportunity_rows, take
from rl.market.slots import Offers, PairPanel, SlotTable, build_slots
from rl.market.universe import Universe, universe
from schemas.errors import DataError

DAY_US = 24 * HOUR_US


@dataclass(frozen=True)
class DayFeatures:
    """The features of a stretch of H hours, with the I instruments and P pairs known by its end.

    Attributes:
        start_ms: UTC epoch milliseconds of row 0.
        symbols: (I,) symbol; instruments are sorted by (symbol, venue).
        venues: (I,) venue.
        pair_long: (P,) instrument of the long leg; pairs are sorted by (symbol, long venue, short venue).
        pair_short: (P,) instrument of the short leg.
        panel: The instruments by hour.
        events: The funding events.
        pairs: The newest row of each pair by hour.
        trail24: (H, P) net rate per 8 h over the trailing 24 h, a fraction; NaN where unknown.
        slots: The opportunity slots by hour.
        closing: What later hours may still ask about these.
    """

    start_ms: int
    symbols: tuple[str, ...]
    venues: tuple[str, ...]
    pair_long: I32
    pair_short: I32
    panel: Panel
    events: FundingEvents
    pairs: PairPanel
    trail24: F64
    slots: SlotTable
    closing: Closing

    @property
    def n_hours(self) -> int:
        """Hours in the stretch."""
        return int(self.panel.mark.shape[0])


def build_days(opportunities: pd.DataFrame, history: pd.DataFrame | None = None) -> Iterator[DayFeatures]:
    """Build a whole data set that is in memory, day by day.

    Args:
        opportunities: Clean opportunity rows in data-set order; at least one.
        history: Clean history rows; None is no history.

    Raises:
        DataError: There is no opportunity row, or the rows' times cannot be one data set's.
    """
    rows, past = opportunity_rows(opportunities), history_rows(history)
    if not len(rows.time):
        raise DataError("there is no opportunity row to build features from.")
    last = int(rows.time.max())
    first = min(int(rows.time.min()), int(past.time.min(initial=last)))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    closing: Closing | None = None
    for plan in plan_days(epoch + timedelta(microseconds=first), epoch + timedelta(microseconds=last)):
        today = plan.start_ms // (24 * HOUR_MS)
        mine, past_mine = take(rows, rows.time // DAY_US == today), take(past, past.time // DAY_US == today)
        day = build_hours(mine, past_mine, closing, plan.start_ms, plan.n_hours)
        closing = day.closing
        yield day


def build_hours(
    rows: OpportunityRows, history: HistoryRows, closing: Closing | None, start_ms: int, n_hours: int
) -> DayFeatures:
    """Build any stretch of hours.

    Args:
        rows: Opportunity rows in data-set order, none at or before the closing state's hour. Rows after
            the last hour wait in the new closing state.
        history: The same of the market history.
        closing: The state right before the first hour; None if there is nothing before it.
        start_ms: UTC epoch milliseconds of the first hour.
        n_hours: How many hours, at least one.

    Raises:
        ValueError: The closing state or a row does not fit the stretch.
    """
    first_us = start_ms * 1000
    last_us = first_us + (n_hours - 1) * HOUR_US
    if n_hours < 1 or first_us % HOUR_US:
        raise ValueError("a stretch starts at a whole hour and has at least one")
    before = closing or nothing_known(first_us - HOUR_US)
    if before.end_us != first_us - HOUR_US:
        raise ValueError("the closing state does not end right before the first hour")
    if min(rows.time.min(initial=last_us), history.time.min(initial=last_us)) <= before.end_us:
        raise ValueError("a row is older than the hour before the first one")

    rows, history = concat(before.pending_rows, rows), concat(before.pending_history, history)
    later_rows, later_history = take(rows, rows.time > last_us), take(history, history.time > last_us)
    rows, history = take(rows, rows.time <= last_us), take(history, history.time <= last_us)
    names = universe(rows, history, before.instruments, before.pairs)
    knowledge = Knowledge(rows, history, names, before)
    panel = build_panel(knowledge, history, names, first_us, n_hours)
    events = build_events(knowledge, panel, history, names, first_us)
    offers = Offers(rows, names, before.pairs, before.end_us, first_us, n_hours)

    known, settled = before.instruments, settled_by_hour(events, first_us, panel.mark.shape)
    marks = continued(known.marks, panel.mark, names.known, np.nan)
    hourly_8h = continued(known.hourly_8h, panel.settled_8h, names.known, np.nan)
    settled_rate = continued(known.settled_rate, settled[0], names.known, 0.0)
    settled_hours = continued(known.settled_hours, settled[1], names.known, 0.0)
    instruments = known_instruments(
        knowledge,
        names,
        last_us,
        marks=marks,
        hourly_8h=hourly_8h,
        settled_rate=settled_rate,
        settled_hours=settled_hours,
    )
    return DayFeatures(
        start_ms=start_ms,
        symbols=tuple(map(str, names.symbols)),
        venues=tuple(map(str, names.venues)),
        pair_long=names.pair_long.astype(np.int32),
        pair_short=names.pair_short.astype(np.int32),
        panel=panel,
        events=events,
        pairs=offers.panel,
        trail24=_trail24(settled_rate, settled_hours, panel, offers.panel, names),
        slots=build_slots(offers, rows, names, marks, hourly_8h),
        closing=Closing(last_us, instruments, known_pairs(offers.panel, names), later_rows, later_history),
    )


def _trail24(rates: F64, hours: F64, panel: Panel, pairs: PairPanel, names: Universe) -> F64:
    """Return the net rate per 8 h (H, P) settled over the trailing 24 h, else the newest row's."""
    total, weight = trailing_sum(rates, TRAIL_HOURS), trailing_sum(hours, TRAIL_HOURS)
    paid = panel.from_history & (weight > 0)
    leg = np.where(paid, total / np.where(paid, weight, 1.0) * 8.0, np.nan)
    net = leg[:, names.pair_short] - leg[:, names.pair_long]
    trail = np.where(np.isnan(net), pairs.profit_24h / 100.0, net)
    return np.where(pairs.seen, trail, np.nan)
