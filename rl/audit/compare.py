"""Two builds or replays, number by number and by name: which one differs first, in words.

Exact equality; two NaN are equal. Numbers are looked up under their names, see `rl.audit.align`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rl.audit.align import ABSENT, Alignment, time_text
from rl.audit.rebuild import Build
from rl.audit.replay import LEGS, PAIRS, Trace
from rl.market.arrays import I64, SLOT_FEATURES, Bool, MarketArrays
from rl.market.scaler import Scaler
from rl.sim.observe import OBSERVATION_NAMES

Place = Callable[[tuple[int, ...]], str]
"""Says in words which number stands at an index."""

_BY_INSTRUMENT: Final = ("mark", "age", "low", "high", "rate", "interval", "from_history")
_BY_PAIR: Final = ("half_spread", "depth", "trail24")
_BY_SLOT: Final = ("slot_score", "slot_raw")


@dataclass
class Tally:
    """What a comparison found.

    Attributes:
        compared: Numbers compared.
        differences: The first difference of each group of numbers that has one.
    """

    compared: int = 0
    differences: list[str] = field(default_factory=list)

    def group(self, name: str, checks: Iterator[tuple[int, str | None]]) -> None:
        """Take up the checks of a group; of its differences only the first is told."""
        told = False
        for count, difference in checks:
            self.compared += count
            if difference is not None and not told:
                self.differences.append(f"{name}: {difference}")
                told = True


def compare_builds(clean: Build, dirty: Build, last: int) -> Tally:
    """Compare everything that two builds know up to a row.

    Args:
        clean: Of the rows as they are.
        dirty: Of rows with garbage after the hour of `last`, or somewhere in the hour after it.
        last: The last row of the clean market that is known.

    Returns:
        The tally; its differences are in the order in which one number makes the next.
    """
    tally = Tally()
    if clean.market.start_ms != dirty.market.start_ms:
        starts = time_text(clean.market.start_ms), time_text(dirty.market.start_ms)
        tally.differences.append(f"market: its first hour is {starts[1]} instead of {starts[0]}")
        return tally
    aligned = Alignment(clean.market, dirty.market, last)
    tally.group("market", compare_markets(aligned))
    tally.group("scaler", compare_scalers(clean.scaler, dirty.scaler))
    tally.group("quotes", _compare_quotes(aligned, clean, dirty))
    return tally


def compare_with_run(clean: Build, market: MarketArrays, scalers: Mapping[str, Scaler]) -> tuple[str, ...]:
    """Compare what the audit builds of the rows with what a run has made of them.

    Without this the audit would prove something of its own build, and nothing of the run's.

    Args:
        clean: Of the rows as they are.
        market: The run's.
        scalers: The run's, by where they come from.

    Returns:
        What differs, in words; empty where nothing does.
    """
    tally = Tally()
    starts, hours = (clean.market.start_ms, market.start_ms), (clean.market.n_hours, market.n_hours)
    if starts[0] != starts[1] or hours[0] != hours[1]:
        spans = [f"{h} hours from {time_text(s)} on" for s, h in zip(starts, hours, strict=True)]
        tally.differences.append(f"features of the run: they cover {spans[1]}, their rows {spans[0]}")
    else:
        aligned = Alignment(clean.market, market, market.n_hours - 1)
        tally.group("features of the run", compare_markets(aligned))
    for name, scaler in scalers.items():
        tally.group(name, compare_scalers(clean.scaler, scaler))
    return tuple(tally.differences)


def compare_markets(aligned: Alignment) -> Iterator[tuple[int, str | None]]:
    """Compare every array of two markets up to the last common row."""
    clean, dirty, rows = aligned.clean, aligned.dirty, slice(0, aligned.last + 1)
    yield from _compare_names(aligned)
    for index, names, noun in (
        (aligned.common_legs, aligned.legs, _BY_INSTRUMENT),
        (aligned.common_pairs, aligned.pairs, _BY_PAIR),
    ):
        for what in noun:
            a, b = getattr(clean, what)[rows][:, index[0]], getattr(dirty, what)[rows][:, index[1]]
            yield _check(aligned, a, b, _of(what, index[0], names))
    slots = aligned.in_clean(dirty.slot_pair[rows], aligned.pair_to_clean)
    yield _check(
        aligned, clean.slot_pair[rows].astype(np.int64), slots,
        lambda at: f"the pair in opportunity slot {at[1] + 1}", name=aligned.pairs,
    )  # fmt: skip
    for what in _BY_SLOT:
        yield _check(aligned, getattr(clean, what)[rows], getattr(dirty, what)[rows], _of_slot(what))
    yield _check(aligned, clean.gap[rows], dirty.gap[rows], lambda at: "whether there is a gap")
    yield from _compare_settlements(aligned)


def compare_scalers(clean: Scaler, dirty: Scaler) -> Iterator[tuple[int, str | None]]:
    """Compare the scale of each feature."""
    at = _first(clean.median, dirty.median)
    if at is not None:
        told = _change(clean.median[at], dirty.median[at])
        yield clean.median.size, f"the scale of {SLOT_FEATURES[at[0]]}, fitted on train, {told}"
    else:
        yield clean.median.size, None


def compare_traces(aligned: Alignment, first: int, clean: Trace, dirty: Trace) -> Tally:
    """Compare two replays from the same first row, as far as the dirty one goes.

    Args:
        aligned: The two markets.
        first: Row of the first decision.
        clean: At least as long as the dirty one.
        dirty: See `replay`.
    """
    tally, hours = Tally(), len(dirty.action)

    def who(run: int) -> str:
        return "{} under {}".format(*clean.runs[run])

    def check(a: NDArray, b: NDArray, place: Place) -> tuple[int, str | None]:
        return _check(aligned, a[:hours], b, lambda at: f"{place(at)} of {who(at[1])}", first=first)

    def table(a: dict[str, NDArray], b: dict[str, NDArray]) -> Iterator[tuple[int, str | None]]:
        for name, column in a.items():
            other = b[name]
            if name in PAIRS:
                other = aligned.in_clean(other, aligned.pair_to_clean)
            elif name in LEGS:
                other = aligned.in_clean(other, aligned.leg_to_clean)
            yield check(column, other, _constant(name))

    observed = check(
        clean.observation, dirty.observation, lambda at: f"number {at[2]} ({OBSERVATION_NAMES[at[2]]})"
    )
    allowed = check(clean.mask, dirty.mask, lambda at: f"whether action {at[2]} is allowed")
    tally.group("observation", iter([observed]))
    tally.group("mask", iter([allowed]))
    tally.group("decision", iter([check(clean.action, dirty.action, lambda at: "the action")]))
    tally.group("order", table(clean.orders, dirty.orders))
    tally.group("books", table(clean.books, dirty.books))
    return tally


def _compare_names(aligned: Alignment) -> Iterator[tuple[int, str | None]]:
    """Check that no pair is known by the last row in one market alone."""
    sides = (
        (aligned.clean, aligned.pairs, aligned.common_pairs[0], "no longer known"),
        (aligned.dirty, aligned.dirty_pairs, aligned.common_pairs[1], "known all of a sudden"),
    )
    for market, names, common, said in sides:
        alone = np.setdiff1d(np.arange(len(names)), common)
        seen = ~np.isnan(market.half_spread[: aligned.last + 1, alone])
        if seen.any():
            row, pair = (int(i) for i in np.argwhere(seen)[0])
            yield len(names), f"{names[alone[pair]]} is {said} at {aligned.hour(row)}"
        else:
            yield len(names), None


def _compare_settlements(aligned: Alignment) -> Iterator[tuple[int, str | None]]:
    """Compare the funding events up to the last row, of instruments that both markets have."""
    clean, dirty = aligned.clean.settlements, aligned.dirty.settlements
    kept_clean = (clean.row <= aligned.last) & np.isin(clean.instrument, aligned.common_legs[0])
    kept_dirty = (dirty.row <= aligned.last) & np.isin(dirty.instrument, aligned.common_legs[1])
    names = [f.name for f in fields(clean) if f.name != "start"]
    a = {name: getattr(clean, name)[kept_clean] for name in names}
    b = {name: getattr(dirty, name)[kept_dirty] for name in names}
    b["instrument"] = aligned.in_clean(b["instrument"], aligned.leg_to_clean)
    n = min(len(a["row"]), len(b["row"]))
    found = []
    for name in names:
        at = _first(a[name][:n], b[name][:n])
        if at is not None:
            found.append((at[0], name))
    count = len(names) * n
    if found:
        event, name = min(found)
        leg = aligned.legs[int(a["instrument"][event])]
        told = _change(a[name][event], b[name][event])
        yield count, f"{name} of the funding of {leg} at {time_text(int(a['time_ms'][event]))} {told}"
    elif len(a["row"]) != len(b["row"]):
        yield count, f"there are {len(b['row'])} funding events up to it instead of {len(a['row'])}"
    else:
        yield count, None


def _compare_quotes(aligned: Alignment, clean: Build, dirty: Build) -> Iterator[tuple[int, str | None]]:
    """Compare what the simulator reads; a slot that is empty holds nothing to read."""
    rows = slice(0, aligned.last + 1)
    a, b = clean.quotes, dirty.quotes
    for what, index, names in (
        ("legs", aligned.common_legs, aligned.legs),
        ("pairs", aligned.common_pairs, aligned.pairs),
    ):
        yield _check(
            aligned, getattr(a, what)[rows][:, index[0]], getattr(b, what)[rows][:, index[1]],
            _of(f"what the simulator reads in its {what}", index[0], names),
        )  # fmt: skip
    filled = (clean.market.slot_pair[rows] >= 0)[:, :, None]
    yield _check(
        aligned, np.where(filled, a.offers[rows], 0.0), np.where(filled, b.offers[rows], 0.0),
        lambda at: f"column {at[2]} of the simulator's offer {at[1] + 1}",
    )  # fmt: skip
    told = None
    if not np.array_equal(a.fee[aligned.common_legs[0]], b.fee[aligned.common_legs[1]]):
        told = "the fee of an instrument changed"
    yield len(aligned.common_legs[0]), told
    yield _check(aligned, a.hour_of_day[rows], b.hour_of_day[rows], lambda at: "the hour of the day")


def _of(what: str, index: I64, names: Sequence[str]) -> Place:
    """Name a number of (row, instrument or pair, ...)."""
    return lambda at: f"{what} of {names[index[at[1]]]}"


def _of_slot(what: str) -> Place:
    """Name a number of (row, opportunity slot, feature)."""
    return lambda at: f"{SLOT_FEATURES[at[2]] if len(at) > 2 else what} of opportunity slot {at[1] + 1}"


def _constant(text: str) -> Place:
    return lambda at: text


def _check(
    aligned: Alignment,
    clean: NDArray,
    dirty: NDArray,
    place: Place,
    *,
    first: int = 0,
    name: Sequence[str] = (),
) -> tuple[int, str | None]:
    """Compare two arrays with hours on their first axis; the earliest difference is put into words."""
    at = _first(clean, dirty)
    if at is None:
        return clean.size, None
    values = [_named(array[at], name) for array in (clean, dirty)]
    return clean.size, f"{place(at)} at {aligned.hour(first + at[0])} {_change(*values)}"


def _first(clean: NDArray, dirty: NDArray) -> tuple[int, ...] | None:
    """Return the index of the first difference, in the order of the first axis; None where there is none."""
    if clean.shape != dirty.shape:
        raise ValueError(f"arrays of {clean.shape} and {dirty.shape} cannot be compared")
    same: Bool = np.asarray(clean == dirty)
    if np.issubdtype(clean.dtype, np.floating):
        same |= np.isnan(clean) & np.isnan(dirty)
    if same.all():
        return None
    return tuple(int(i) for i in np.unravel_index(int(np.argmin(same)), same.shape))


def _named(value: Any, names: Sequence[str]) -> Any:
    if not names:
        return value
    return names[int(value)] if value >= 0 else "another" if value == ABSENT else "none"


def _change(clean: Any, dirty: Any) -> str:
    def text(value: Any) -> str:
        return str(value) if isinstance(value, str | bool | np.bool_) else f"{value:.17g}"

    return f"was {text(clean)} and became {text(dirty)}"
