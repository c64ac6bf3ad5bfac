"""Features: the clean days of a data set to a market by hour, its windows and its scaler.

days/YYYY-MM-DD.zip         what was known at each hour, and what the next day needs to know
splits.json, scaler.json    windows as timestamps, and the scale learnt from train alone
features.json               a summary

Each day needs the closing state of the day before, so days are built one after the other; while one is
built, the one before is written and published by another thread.
"""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schemas.manifest import FileEntry, Manifest, Ref
from schemas.trading import MarketRules
from tasks import ui
from tasks.cache import Cached, Linked, run_cached
from tasks.store import Store, content_hash, resolve_root

if TYPE_CHECKING:
    from rl.market.closing import Closing
    from rl.market.offered import DayOffers
    from rl.market.plan import DayPlan

STEP = "features"
DAY_STEP = "features-day"
DAY_FILE: Final = "day.zip"
_DAYS_AT_ONCE: Final = 3
"""One is built, the others are read, written, or waiting for the disk."""


def features(dataset: Ref, *, rules: MarketRules, episode_hours: int, split: bool = True) -> Cached:
    """Build a data set's features by day, split its hours, and fit the scaler on train.

    A day that was built before from the same rows and the same closing state of the day before is not
    built again.

    Args:
        dataset: What `ingest` made.
        rules: Fees and spreads, which the round-trip cost is made of.
        episode_hours: Longest episode; the embargo depends on it.
        split: Without it there is neither a split nor a scaler, and the data may be of any length.

    Raises:
        DataError: The data is too short to split.
    """
    store = Store(resolve_root())
    manifest = store.manifest(dataset)

    def compute(folder: Path) -> Linked:
        return _build(store, dataset, manifest, folder, rules, episode_hours, split)

    return run_cached(
        store,
        STEP,
        modules=("tasks.features",),
        inputs={"dataset": content_hash(manifest)},
        params={"rules": rules.model_dump(mode="json"), "episode_hours": episode_hours, "split": split},
        compute=compute,
    )


def feature_days(dataset: Ref) -> dict[str, Path]:
    """Build a data set's features by day, and leave each day where it was built.

    For who needs the last few days of a long data set every hour: nothing is copied, split or fitted.

    Args:
        dataset: What `ingest` made.

    Returns:
        The file of each UTC day, `YYYY-MM-DD`, in order and without a hole.
    """
    store = Store(resolve_root())
    return {name: day.cached.path / DAY_FILE for name, day in _days(store, dataset, store.manifest(dataset))}


def _days(store: Store, dataset: Ref, manifest: Manifest) -> Iterator[tuple[str, _Day]]:
    """Yield each UTC day of a data set, in order, with its features."""
    from rl.market.plan import plan_days

    source = store.local(dataset)
    facts = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    first = min(facts["first"], facts["history_first"] or facts["first"])
    plans = plan_days(first, facts["last"])
    before: Future[_Handed] | None = None
    waiting: deque[tuple[str, Future[_Day]]] = deque()
    with ThreadPoolExecutor(_DAYS_AT_ONCE, thread_name_prefix="features") as pool:
        for number, plan in enumerate(plans, start=1):
            ui.say(f"Features of {plan.day} ({number} of {len(plans)})", transient=True)
            handed: Future[_Handed] = Future()
            waiting.append((plan.day, pool.submit(_day, store, source, manifest, plan, before, handed)))
            before = handed
            if len(waiting) == _DAYS_AT_ONCE:
                name, day = waiting.popleft()
                yield name, day.result()
        for name, day in waiting:
            yield name, day.result()


def _build(
    store: Store,
    dataset: Ref,
    manifest: Manifest,
    folder: Path,
    rules: MarketRules,
    episode_hours: int,
    split: bool,
) -> Linked:
    from rl.market.offered import offered
    from rl.market.scaler import Scaler
    from rl.market.splits import split_windows

    days, reused = 0, 0
    parts: list[DayOffers] = []
    linked: dict[str, FileEntry] = {}
    (folder / "days").mkdir()
    for name, day in _days(store, dataset, manifest):
        file, target = day.cached.path / DAY_FILE, folder / "days" / f"{name}.zip"
        if _link(file, target):
            linked[f"days/{name}.zip"] = day.cached.manifest.files[0]
        days += 1
        reused += day.cached.hit
        parts.append(day.offers())
    market = offered(parts, rules)
    summary: dict[str, Any] = {
        "days": days,
        "hours": market.n_hours,
        "start_ms": market.start_ms,
        "instruments": market.n_instruments,
        "pairs": market.n_pairs,
    }
    if split:
        splits = split_windows(market.n_hours, market.start_ms, episode_hours)
        a, b = splits.train.rows(market.start_ms)
        scaler = Scaler.fit(market.slot_raw[a:b])
        (folder / "splits.json").write_text(splits.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (folder / "scaler.json").write_text(scaler.to_json() + "\n", encoding="utf-8")
        summary |= {"warning": splits.warning}
    (folder / "features.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    ui.say(f"Features: {days} days, {reused} of them unchanged, {market.n_hours} hours, "
           f"{market.n_pairs} pairs")  # fmt: skip
    return Linked(summary | {"days_reused": reused}, linked)


@dataclass(frozen=True)
class _Day:
    """The features of a day, and its slots where they have just been built: those are not read again."""

    cached: Cached
    built: DayOffers | None

    def offers(self) -> DayOffers:
        """Return the slots of the day."""
        if self.built is not None:
            return self.built
        from rl.market.days import read_day
        from rl.market.offered import day_offers

        return day_offers(read_day(self.cached.path / DAY_FILE, closing=False))


@dataclass(frozen=True)
class _Handed:
    """What a day hands to the next one.

    Attributes:
        digest: Of its closing state.
        state: That state where it has just been built, else the day's file, which holds it.
    """

    digest: str
    state: Closing | Path


def _link(source: Path, target: Path) -> bool:
    """Give a file a second name and return true, or copy it where the disk cannot do that."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
        return False
    return True


def _day(
    store: Store,
    source: Path,
    dataset: Manifest,
    plan: DayPlan,
    before: Future[_Handed] | None,
    handed: Future[_Handed],
) -> _Day:
    """Return the features of one day, built only if its rows or the state before it have changed.

    Args:
        store: Where they go.
        source: The data set.
        dataset: Its manifest.
        plan: Which day.
        before: What the day before hands on, as soon as it is known.
        handed: Is told what this one hands on.
    """
    try:
        return _day_after(store, source, dataset, plan, None if before is None else before.result(), handed)
    except BaseException as error:
        if not handed.done():  # the next day is waiting for it
            handed.set_exception(error)
        raise


def _day_after(
    store: Store,
    source: Path,
    dataset: Manifest,
    plan: DayPlan,
    before: _Handed | None,
    handed: Future[_Handed],
) -> _Day:
    built: list[DayOffers] = []
    hashes = {entry.path: entry.sha256 for entry in dataset.files}
    tables = {table: f"{table}/{plan.day}.parquet" for table in ("opportunities", "history")}
    inputs = {table: hashes.get(path, "") for table, path in tables.items()}
    if before is not None:
        inputs["closing"] = before.digest

    def compute(folder: Path) -> Mapping[str, Any]:
        from rl.market.build import build_hours
        from rl.market.days import read_closing, write_day
        from rl.market.offered import day_offers
        from rl.market.rows import history_rows, opportunity_rows, read_history, read_opportunities

        found = {table: source / path for table, path in tables.items() if path in hashes}
        rows = (
            read_opportunities(found["opportunities"]) if "opportunities" in found else opportunity_rows(None)
        )
        past = read_history(found["history"]) if "history" in found else history_rows(None)
        closing = None
        if before is not None:
            closing = read_closing(before.state) if isinstance(before.state, Path) else before.state
        day = build_hours(rows, past, closing, plan.start_ms, plan.n_hours)
        digest = day.closing.digest()
        handed.set_result(_Handed(digest, day.closing))
        write_day(day, folder / DAY_FILE)
        built.append(day_offers(day))
        return {"hours": plan.n_hours, "closing": digest}

    params = {"day": plan.day, "start_ms": plan.start_ms, "n_hours": plan.n_hours}
    cached = run_cached(
        store, DAY_STEP, modules=("tasks.features",), inputs=inputs, params=params, compute=compute
    )
    if not built:
        handed.set_result(_Handed(cached.manifest.summary["closing"], cached.path / DAY_FILE))
    return _Day(cached, built[0] if built and not cached.adopted else None)
