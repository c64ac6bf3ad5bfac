"""Quotes, rates and funding events of every instrument, hour by hour.

Row h of a stretch is the hour `first_us + h * HOUR_US`; it knows rows stamped at or before that hour.
What is stamped in (h - 1 h, h] is what that row learns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rl.market.arrays import F64, I64, Bool
from rl.market.asof import Series, gather
from rl.market.closing import Closing
from rl.market.rows import HOUR_US, HistoryRows, OpportunityRows
from rl.market.universe import Universe

MAX_ESTIMATE_AGE_HOURS: Final = 24.0
"""An instrument not quoted for longer than this pays no estimated funding: nobody can still hold it."""


@dataclass(frozen=True)
class Panel:
    """The instruments on the hourly grid; (H, I) each, as in `MarketArrays`.

    Attributes:
        mark: Newest quote; NaN where there was none yet.
        age: Hours since that quote; inf where there was none yet.
        low: Lowest low of the history rows of the hour; +inf where none.
        high: Highest high; -inf where none.
        rate: Newest known funding rate, a fraction per interval; NaN where none yet.
        interval: Newest known interval, hours; 0 where none yet.
        from_history: Whether the instrument is priced from the market history.
        settled_8h: As-of rate per 8 h, settled where the history prices the instrument, else newest known.
    """

    mark: F64
    age: F64
    low: F64
    high: F64
    rate: F64
    interval: F64
    from_history: Bool
    settled_8h: F64


@dataclass(frozen=True)
class FundingEvents:
    """Funding events (E,), sorted by (time, instrument).

    Attributes:
        time_us: Epoch microseconds.
        instrument: Instrument of the stretch.
        rate: Fraction per settlement.
        interval: Interval known then, hours; NaN where unknown.
        mark: Newest quote then.
        age: Hours since that quote.
        estimated: Whether the history lacks the settled rate.
        off_boundary: Whether it stands off the boundary of its interval.
    """

    time_us: I64
    instrument: I64
    rate: F64
    interval: F64
    mark: F64
    age: F64
    estimated: Bool
    off_boundary: Bool


class Knowledge:
    """Everything known of each instrument of a stretch, asked by time."""

    def __init__(
        self, rows: OpportunityRows, history: HistoryRows, names: Universe, closing: Closing
    ) -> None:
        """Index the rows of the stretch, with the closing state as updates before all of them."""
        before, known = closing.instruments, names.known
        legs = np.concatenate([names.row_long, names.row_short])
        leg_time = np.concatenate([rows.time, rows.time])
        leg_price = np.concatenate([rows.long_price, rows.short_price])
        leg_rate = np.concatenate([rows.long_rate, rows.short_rate])
        leg_interval = np.concatenate([rows.long_interval, rows.short_interval])
        end = np.full(len(known), closing.end_us)

        def series(*updates: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]) -> Series:
            key, time, value = (np.concatenate(parts) for parts in zip(*updates, strict=True))
            return Series(key, time, value)

        # Later updates win ties: the history is named after the rows. An instrument is on one leg of
        # a row only, so within the rows the order of the data set decides, whichever side shows it.
        order = np.argsort(np.tile(np.arange(len(rows.time)), 2), kind="stable")
        legs, leg_time = legs[order], leg_time[order]
        self.history_quotes = series(
            (known, before.history_time, before.history_price),
            (names.history, history.time, _positive(history.price)),
        )
        self.row_quotes = series(
            (known, before.row_time, before.row_price), (legs, leg_time, _positive(leg_price[order]))
        )
        self.rates = series(
            (known, end, before.rate),
            (legs, leg_time, leg_rate[order]),
            (names.history, history.time, history.rate),
        )
        self.intervals = series(
            (known, end, before.interval),
            (legs, leg_time, _positive(leg_interval[order])),
            (names.history, history.time, _positive(history.interval)),
        )
        self.history_interval = self.intervals.at(names.history, history.time)
        self.settled = series(
            (known, end, before.settled_8h),
            (names.history, history.time, history.rate * 8.0 / self.history_interval),
        )

    def quote(self, instrument: NDArray[Any], time: NDArray[Any] | int) -> tuple[F64, I64, Bool]:
        """Return the newest quote at or before each time.

        Returns:
            Its price (NaN where there is none), its time (0 where there is none), and whether it comes
            from the history, as it does once the history has quoted the instrument.
        """
        place = self.history_quotes.find(instrument, time)
        row_place = self.row_quotes.find(instrument, time)
        from_history = place >= 0
        price = np.where(
            from_history, gather(self.history_quotes.value, place), gather(self.row_quotes.value, row_place)
        )
        quoted = np.where(
            from_history, _at(self.history_quotes.time, place), _at(self.row_quotes.time, row_place)
        )
        return price, quoted, from_history


def age_hours(price: F64, quoted: I64, time: I64) -> F64:
    """Return the age of quotes at some times, hours; inf where there is no price."""
    return np.where(np.isnan(price), np.inf, (time - quoted) / HOUR_US)


def hour_row(time: I64, first_us: int) -> I64:
    """Return the row that learns of each time: the first hour at or after it."""
    return -((first_us - time) // HOUR_US)


def build_panel(
    knowledge: Knowledge, history: HistoryRows, names: Universe, first_us: int, n_hours: int
) -> Panel:
    """Ask everything known of every instrument at every hour of a stretch."""
    hours = (first_us + HOUR_US * np.arange(n_hours, dtype=np.int64))[:, None]
    instrument = np.broadcast_to(np.arange(names.n_instruments), (n_hours, names.n_instruments))
    mark, quoted, from_history = knowledge.quote(instrument, hours)
    rate, interval = knowledge.rates.at(instrument, hours), knowledge.intervals.at(instrument, hours)
    settled = knowledge.settled.at(instrument, hours)

    low = np.full(mark.shape, np.inf)
    high = np.full(mark.shape, -np.inf)
    row = hour_row(history.time, first_us)
    inside = row >= 0  # of the first stretch; a closing state leaves no earlier row
    np.fmin.at(low, (row[inside], names.history[inside]), history.low[inside])
    np.fmax.at(high, (row[inside], names.history[inside]), history.high[inside])
    return Panel(
        mark=mark,
        age=age_hours(mark, quoted, hours),
        low=low,
        high=high,
        rate=rate,
        interval=np.nan_to_num(interval, nan=0.0),
        from_history=from_history,
        settled_8h=np.where(from_history, settled, rate * 8.0 / interval),
    )


def build_events(
    knowledge: Knowledge, panel: Panel, history: HistoryRows, names: Universe, first_us: int
) -> FundingEvents:
    """List the funding events of a stretch: those the history settled and those that fall due.

    Due is each whole UTC hour that the newest known interval divides. What was settled at that very
    time is used, else the newest known rate; a rate settled elsewhere is an event of its own.
    """
    n_hours = panel.mark.shape[0]
    settled = np.flatnonzero(np.isfinite(history.rate) & (hour_row(history.time, first_us) >= 0))
    # Of several rates settled at one time the last one stands.
    stamp = np.stack([history.time[settled], names.history[settled]], axis=1)[::-1]
    _, last = np.unique(stamp, axis=0, return_index=True)
    settled = settled[::-1][last]
    time, instrument = history.time[settled], names.history[settled]
    interval = knowledge.history_interval[settled]

    hours = first_us + HOUR_US * np.arange(n_hours, dtype=np.int64)
    due = is_due(hours[:, None], panel.interval)
    # An hour settled by the history needs no estimate.
    on_hour = (time - first_us) % HOUR_US == 0
    due[(time[on_hour] - first_us) // HOUR_US, instrument[on_hour]] = False
    due &= np.isfinite(panel.rate) & (panel.age <= MAX_ESTIMATE_AGE_HOURS)
    due_row, due_instrument = np.nonzero(due)

    at_row, at_instrument = np.asarray(due_row), np.asarray(due_instrument)
    mark, quoted, _ = knowledge.quote(instrument, time)
    age = age_hours(mark, quoted, time)
    n_settled, n_due = len(settled), len(at_row)
    events = FundingEvents(
        time_us=np.concatenate([time, hours[at_row]]),
        instrument=np.concatenate([instrument, at_instrument]),
        rate=np.concatenate([history.rate[settled], panel.rate[at_row, at_instrument]]),
        interval=np.concatenate([interval, panel.interval[at_row, at_instrument]]),
        mark=np.concatenate([mark, panel.mark[at_row, at_instrument]]),
        age=np.concatenate([age, panel.age[at_row, at_instrument]]),
        estimated=np.repeat([False, True], [n_settled, n_due]),
        off_boundary=np.concatenate([~is_due(time, np.nan_to_num(interval)), np.zeros(n_due, dtype=bool)]),
    )
    order = np.lexsort((events.instrument, events.time_us))
    order = order[np.isfinite(events.mark[order])]  # what has no quote cannot be held
    return FundingEvents(**{name: column[order] for name, column in vars(events).items()})


def is_due(time_us: I64, interval: F64) -> Bool:
    """Return whether each time is a whole UTC hour that the interval in hours divides; 0 never is."""
    hour_of_day = time_us // HOUR_US % 24
    divides = np.fmod(hour_of_day, np.where(interval > 0, interval, 1.0)) == 0.0
    return np.asarray((time_us % HOUR_US == 0) & (interval > 0) & divides)


def _positive(values: F64) -> F64:
    return np.where(values > 0, values, np.nan)


def _at(time: I64, place: I64) -> I64:
    return np.where(place >= 0, time[place], 0) if time.size else np.zeros(place.shape, dtype=np.int64)
