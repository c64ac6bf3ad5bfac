"""Features: the clean days of a data set to a market by hour, its windows and its scaler.

days/YYYY-MM-DD/*.parquet   what was known at each hour, and what the next day needs to know
splits.json, scaler.json    windows as timestamps, and the scale learnt from train alone
features.json               a summary
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.manifest import Manifest, Ref
from schemas.trading import MarketRules
from tasks import ui
from tasks.cache import Cached, run_cached
from tasks.store import Store, content_hash, resolve_root

if TYPE_CHECKING:
    from rl.market.build import DayFeatures

STEP = "features"
DAY_STEP = "features-day"
_CLOSING = "closing_"


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

    def compute(folder: Path) -> Mapping[str, Any]:
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
        The folder of each UTC day, `YYYY-MM-DD`, in order and without a hole.
    """
    store = Store(resolve_root())
    return {name: day.cached.path for name, day in _days(store, dataset, store.manifest(dataset))}


def _days(store: Store, dataset: Ref, manifest: Manifest) -> Iterator[tuple[str, _Day]]:
    """Yield each UTC day of a data set, in order, with its features."""
    from rl.market.plan import plan_days

    source = store.local(dataset)
    facts = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    first = min(facts["first"], facts["history_first"] or facts["first"])
    plans = plan_days(first, facts["last"])
    before: _Day | None = None
    for number, plan in enumerate(plans, start=1):
        ui.say(f"Features of {plan.day} ({number} of {len(plans)})", transient=True)
        before = _day(store, source, manifest, plan, before)
        yield plan.day, before


def _build(
    store: Store,
    dataset: Ref,
    manifest: Manifest,
    folder: Path,
    rules: MarketRules,
    episode_hours: int,
    split: bool,
) -> dict[str, Any]:
    from rl.market.assemble import assemble
    from rl.market.build import without_closing
    from rl.market.scaler import Scaler
    from rl.market.splits import split_windows

    days, reused = 0, 0
    # A day that was built here is not read again. Only the next day asks for its closing state.
    parts: list[DayFeatures | Path] = []
    for name, day in _days(store, dataset, manifest):
        _link_files(day.cached.path, folder / "days" / name)
        days += 1
        reused += day.cached.hit
        parts.append(day.cached.path if day.built is None else without_closing(day.built))
    market = assemble(parts, rules)
    summary: dict[str, Any] = {
        "days": days,
        "hours": market.n_hours,
        "start_ms": market.start_ms,
        "instruments": market.n_instruments,
        "pairs": len(market.pair_long),
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
           f"{len(market.pair_long)} pairs")  # fmt: skip
    return summary | {"days_reused": reused}


@dataclass(frozen=True)
class _Day:
    """The features of a day, and the same in memory where they have just been built."""

    cached: Cached
    built: DayFeatures | None


def _link_files(source: Path, target: Path) -> None:
    """Give a day's files a second name, or copy them where the disk cannot do that."""
    target.mkdir(parents=True)
    for path in sorted(source.glob("*.parquet")):
        try:
            (target / path.name).hardlink_to(path)
        except OSError:
            shutil.copyfile(path, target / path.name)


def _day(store: Store, source: Path, dataset: Manifest, plan: Any, before: _Day | None) -> _Day:
    """Return the features of one day, built only if its rows or the state before it have changed."""
    built: list[DayFeatures] = []
    hashes = {entry.path: entry.sha256 for entry in dataset.files}
    tables = {table: f"{table}/{plan.day}.parquet" for table in ("opportunities", "history")}
    inputs = {table: hashes.get(path, "") for table, path in tables.items()}
    if before is not None:
        files = before.cached.manifest.files
        inputs |= {entry.path: entry.sha256 for entry in files if entry.path.startswith(_CLOSING)}

    def compute(folder: Path) -> Mapping[str, Any]:
        import pandas as pd

        from rl.market.build import build_day
        from rl.market.days import read_closing, write_day

        rows = {table: source / path for table, path in tables.items() if path in hashes}
        frames = {table: pd.read_parquet(path) for table, path in rows.items()}
        closing = None
        if before is not None:
            closing = before.built.closing if before.built is not None else read_closing(before.cached.path)
        opportunities = frames.get("opportunities")
        if opportunities is None:  # a gap: any day's table without its rows
            first = next(path for path in sorted(hashes) if path.startswith("opportunities/"))
            opportunities = pd.read_parquet(source / first).iloc[:0]
        built.append(build_day(plan, opportunities, frames.get("history"), closing))
        write_day(built[0], folder)
        return {"hours": plan.n_hours}

    params = {"day": plan.day, "start_ms": plan.start_ms, "n_hours": plan.n_hours}
    cached = run_cached(
        store, DAY_STEP, modules=("tasks.features",), inputs=inputs, params=params, compute=compute
    )
    return _Day(cached, built[0] if built and not cached.adopted else None)
