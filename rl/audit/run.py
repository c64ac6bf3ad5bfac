"""The audit itself: sampled times, garbage after each, and everything known by then built anew.

For each sampled time and each kind of garbage the whole way from clean rows to a decision is gone twice: with
the rows as they are, and with every row that arrives after the time replaced. What an agent could know by
then has to be the same to the last bit: the market, the scaler (fitted on train, whose hours are fixed), what
the simulator reads, all 275 observed numbers, masks, decisions, orders with their sizes, and the books,
replayed from the beginning of the part that the time lies in. The quotes that an order of the last hour fills
at come an hour later, and are garbage; so that fill is not made.

What a number is compared with is what the same code makes of other input, so the audit needs no second
implementation, and does not say that a number is right: only that it does not come from the future.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from rl.audit.align import Alignment
from rl.audit.compare import compare_builds, compare_traces
from rl.audit.garbage import HOUR_US, KINDS, Garbage, Tables
from rl.audit.rebuild import Build, Pipeline, rebuild
from rl.audit.replay import Decider, Trace, replay
from rl.market.splits import Splits, Window
from schemas.audit import AuditedTime, AuditReport, GarbageFinding, Part
from schemas.trading import MarketRules, TradingConfig

PARTS: Final[tuple[Part, ...]] = ("validation", "test")


@dataclass(frozen=True)
class SampledTime:
    """A time in one of the parts that no decision was learnt on, UTC epoch microseconds."""

    us: int
    part: Part


def sample_times(splits: Splits, n: int, seed: int) -> list[SampledTime]:
    """Draw times from validation and test in turn, of each part as many on the hour as within one.

    On the hour is where a look one row ahead shows most clearly; elsewhere is where a rounded time does.

    Args:
        splits: The windows.
        n: How many; both parts are in it from two on.
        seed: Of the draw.

    Returns:
        The times, earliest first.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for place, part in enumerate(PARTS):
        window: Window = getattr(splits, part)
        hours = window.hours
        mine = len(range(place, n, len(PARTS)))
        whole = (mine + 1) // 2
        rows = rng.choice(hours, whole, replace=whole > hours)
        inside = rng.integers(0, hours * HOUR_US, mine - whole)
        offsets = [*(int(row) * HOUR_US for row in rows), *map(int, inside)]
        drawn += [SampledTime(window.start_ms * 1000 + offset, part) for offset in offsets]
    return sorted(drawn, key=lambda time: time.us)


def audit(
    tables: Tables,
    splits: Splits,
    rules: MarketRules,
    presets: Mapping[str, TradingConfig],
    deciders: Mapping[str, Decider],
    *,
    times: int,
    seed: int,
    pipeline: Pipeline | None = None,
    kinds: Mapping[str, Garbage] = KINDS,
    on_clean: Callable[[Build], tuple[str, ...]] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> AuditReport:
    """Audit the way from clean rows to decisions.

    Args:
        tables: The clean rows of a data set.
        splits: Its windows. They are timestamps, and stay where they are whatever the garbage does.
        rules: What venues charge and how orders fill.
        presets: Risk profiles to replay.
        deciders: Who decides, from `make_deciders`.
        times: How many times are sampled.
        seed: Of the times and of the garbage.
        pipeline: The functions under audit; None is those of the product.
        kinds: What the future is replaced by.
        on_clean: Compares the build of the rows as they are with what a run has made of them; returns what
            differs, in words.
        on_progress: Told (builds done, builds in all).
    """
    functions = pipeline or Pipeline()
    clean = rebuild(functions, tables, splits.train, rules)
    sampled = sample_times(splits, times, seed)
    start_us = clean.market.start_ms * 1000
    # One replay of the rows as they are serves every time of its part: it begins as a shorter one does.
    replays: dict[Part, tuple[int, Trace]] = {}
    for part in PARTS:
        mine = [time.us for time in sampled if time.part == part]
        if mine:
            first = getattr(splits, part).rows(clean.market.start_ms)[0]
            last = min((max(mine) - start_us) // HOUR_US, clean.market.n_hours - 1)
            replays[part] = first, replay(clean, (first, last), rules, presets, deciders)

    told: list[AuditedTime] = []
    for number, time in enumerate(sampled):
        first, trace = replays[time.part]
        findings = []
        for kind, (name, garbage) in enumerate(kinds.items()):
            rng = np.random.default_rng([seed, number, kind])
            dirty = rebuild(functions, garbage(tables, time.us, rng), splits.train, rules)
            last = (time.us - start_us) // HOUR_US
            findings.append(_compare(name, clean, dirty, first, last, trace, rules, presets, deciders))
            if on_progress is not None:
                on_progress(number * len(kinds) + kind + 1, len(sampled) * len(kinds))
        told.append(AuditedTime(time=_utc(time.us), part=time.part, findings=tuple(findings)))
    return AuditReport(
        with_history=tables.history is not None,
        seed=seed,
        presets=tuple(presets),
        deciders=tuple(deciders),
        pipeline=on_clean(clean) if on_clean is not None else (),
        times=tuple(told),
    )


def _compare(
    kind: str,
    clean: Build,
    dirty: Build,
    first: int,
    last: int,
    trace: Trace,
    rules: MarketRules,
    presets: Mapping[str, TradingConfig],
    deciders: Mapping[str, Decider],
) -> GarbageFinding:
    """Compare what two builds know, and what is done in them, from row `first` to row `last`."""
    built = compare_builds(clean, dirty, last)
    aligned = Alignment(clean.market, dirty.market, last)
    compared, differences = built.compared, built.differences
    # Without a later row the market may end before the time, in a gap in which nothing is on offer.
    if clean.market.start_ms == dirty.market.start_ms and aligned.last >= first:
        done = replay(dirty, (first, aligned.last), rules, presets, deciders)
        followed = compare_traces(aligned, first, trace, done)
        compared, differences = compared + followed.compared, [*differences, *followed.differences]
    return GarbageFinding(
        kind=kind,
        last_hour=_utc(clean.market.hour_ms(aligned.last) * 1000),
        compared=compared,
        differences=tuple(differences),
    )


def _utc(us: int) -> datetime:
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)
