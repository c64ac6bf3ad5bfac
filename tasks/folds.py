"""One fold of a walk-forward: a data set's features with windows and a scaler of its own.

days/YYYY-MM-DD/*.parquet   the features' own; they depend on no window
splits.json, scaler.json    the fold's windows, and the scale learnt from its train hours alone
features.json               a summary

Training and backtest take a fold for features; each fold's model is thereby an artifact of its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.manifest import Ref
from schemas.trading import MarketRules
from schemas.walk_forward import FoldPlan
from tasks import ui
from tasks.cache import Cached, run_cached
from tasks.store import Store, content_hash, resolve_root

STEP = "fold"


def fold(features: Ref, *, number: int, plan: FoldPlan, rules: MarketRules, episode_hours: int) -> Cached:
    """Cut one fold out of a data set's features and fit its scaler.

    Args:
        features: What `features` made, with or without a split.
        number: Which fold, from 1.
        plan: How the hours are cut.
        rules: Fees and spreads, which the round-trip cost is made of.
        episode_hours: Longest episode; the embargo depends on it.

    Raises:
        DataError: The data is too short for the plan.
    """
    store = Store(resolve_root())
    manifest = store.manifest(features)

    def compute(folder: Path) -> Mapping[str, Any]:
        return _cut(store.local(features), folder, number, plan, rules, episode_hours)

    return run_cached(
        store,
        STEP,
        modules=("tasks.folds",),
        inputs={"dataset": manifest.inputs["dataset"], "features": content_hash(manifest)},
        params={
            "number": number,
            "plan": plan.model_dump(mode="json"),
            "rules": rules.model_dump(mode="json"),
            "episode_hours": episode_hours,
        },
        compute=compute,
    )


def _cut(
    source: Path, folder: Path, number: int, plan: FoldPlan, rules: MarketRules, episode_hours: int
) -> dict[str, Any]:
    from rl.market.assemble import assemble
    from rl.market.folds import fold_windows
    from rl.market.scaler import Scaler

    market = assemble(sorted((source / "days").iterdir()), rules)
    splits = fold_windows(market.n_hours, market.start_ms, episode_hours, plan)[number - 1]
    a, b = splits.train.rows(market.start_ms)
    scaler = Scaler.fit(market.slot_raw[a:b])
    shutil.copytree(source / "days", folder / "days")
    (folder / "splits.json").write_text(splits.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / "scaler.json").write_text(scaler.to_json() + "\n", encoding="utf-8")
    summary: dict[str, Any] = {
        "fold": number,
        "folds": plan.n_folds,
        "hours": market.n_hours,
        "start_ms": market.start_ms,
        "embargo_hours": splits.embargo_hours,
        "episode_hours": splits.episode_hours,
    }
    for name in ("train", "validation", "test"):
        window = getattr(splits, name)
        summary[name] = [window.start.isoformat(), window.end.isoformat()]
    (folder / "features.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    ui.say(
        f"Fold {number} of {plan.n_folds}: {splits.train.hours} h of training, "
        f"{splits.validation.hours} h of validation, {splits.test.hours} h held out from "
        f"{splits.test.start:%Y-%m-%d %H:%M} UTC"
    )
    return summary
