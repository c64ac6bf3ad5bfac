"""Backtest: one policy on one window of the market, under every preset, beside the rungs of the ladder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from schemas.backtest import Ladder, TrainedWindow
from schemas.errors import ConfigError, UserError
from schemas.manifest import Ref
from schemas.trading import PRESETS, MarketRules, TradingConfig
from schemas.version import Windows
from tasks import ui
from tasks.cache import Cached, run_cached
from tasks.files import canonical_json, sha256_file, sha256_text
from tasks.models import find_model
from tasks.openings import record_opening
from tasks.rivals import Found, find_rivals
from tasks.store import Store, content_hash, resolve_root

STEP = "backtest"


@dataclass(frozen=True)
class Hours:
    """A window in UTC, ISO 8601: `start` inclusive, `end` exclusive; empty is the data's own edge."""

    start: str
    end: str


def backtest(
    features: Ref,
    model: Ref | str,
    *,
    rules: MarketRules,
    book: str,
    purpose: str,
    presets: str = "all",
    custom: TradingConfig | None = None,
    window: str = "test",
    start: str = "",
    end: str = "",
    random_runs: int = 100,
    seed: int = 0,
    ladder: Ladder | None = None,
) -> Cached:
    """Replay a window of the market and write its tables; the opening goes into the book's ledger.

    The book's champion and challenger are replayed beside the candidate where they are other versions.

    Args:
        features: What `features` made.
        model: A training artifact (its best checkpoint is taken), an alias, a version or a file.
        rules: What venues charge and how orders fill.
        book: Knows the alias or version, and keeps the ledger.
        purpose: Why the window is opened.
        presets: One preset, "all", or "custom".
        custom: The risk profile of "custom".
        window: test, validation, train or all.
        start: First hour, over `window`.
        end: First hour no longer in it, over `window`.
        random_runs: Runs of the random baseline.
        seed: Seed of the random baseline.
        ladder: What cash earns, when hold-until-flip enters, and whether bounds are worked out.

    Raises:
        ArtifactError: There is no such model.
        ConfigError: The window cannot be read.
        DataError: The window is not inside the data.
    """
    root = resolve_root()
    store = Store(root)
    manifest = store.manifest(features)
    path = find_model(store, model, book)
    hours = _window(store.path(features), window, start, end)
    profiles = _profiles(presets, custom)
    shown = {name: profile.model_dump(mode="json") for name, profile in profiles.items()}
    steps = ladder or Ladder()
    candidate = sha256_file(path)
    rivals = find_rivals(store, book, candidate)
    for rival in rivals:
        if rival.missing:
            ui.note(f"The {rival.policy} {rival.version} is not replayed: {rival.missing}")

    def compute(folder: Path) -> Mapping[str, Any]:
        return _replay(
            store.local(features), path, folder, rules, profiles, hours, rivals, steps,
            random_runs=random_runs, seed=seed, data_hash=manifest.inputs["dataset"],
        )  # fmt: skip

    found = run_cached(
        store,
        STEP,
        modules=("tasks.backtest",),
        inputs={
            "features": content_hash(manifest),
            "model": candidate,
            **{rival.policy: rival.content for rival in rivals},
        },
        params={
            "rules": rules.model_dump(mode="json"),
            "presets": shown,
            "start": hours.start,
            "end": hours.end,
            "random_runs": random_runs,
            "seed": seed,
            "ladder": steps.model_dump(mode="json"),
        },
        compute=compute,
    )
    summary = found.manifest.summary
    record_opening(
        root,
        book,
        data=manifest.inputs["dataset"],
        window=[summary["start"], summary["end"]],
        version=summary["version"],
        trial=summary["trial"],
        config=sha256_text(canonical_json({"presets": shown, "rules": rules.model_dump(mode="json")})),
        purpose=purpose,
        result=summary["returns_pct"],
        daily_sharpe=summary["daily_sharpe"],
    )
    return found


def _replay(
    source: Path,
    path: Path,
    folder: Path,
    rules: MarketRules,
    presets: Mapping[str, TradingConfig],
    hours: Hours,
    found: Sequence[Found],
    ladder: Ladder,
    *,
    random_runs: int,
    seed: int,
    data_hash: str,
) -> dict[str, Any]:
    import pandas as pd

    from rl.backtest import agent_actor, run_backtest, window_rows
    from rl.checkpoint import load_checkpoint
    from rl.identity import trial_of, version_of
    from rl.judge.daily import daily_sharpes
    from rl.ladder import RivalVersion
    from rl.market.assemble import assemble

    ui.say("Replaying the window", transient=True)
    market = assemble(sorted((source / "days").iterdir()), rules)
    checkpoint = load_checkpoint(path)
    rows = window_rows(market, _instant(hours.start, "start"), _instant(hours.end, "end"))
    version = version_of(checkpoint)

    def as_rival(one: Found) -> RivalVersion:
        if one.path is None:
            return RivalVersion(one.policy, one.version, None, missing=one.missing)
        try:
            known = load_checkpoint(one.path)
        except UserError as error:
            return RivalVersion(one.policy, one.version, None, missing=str(error))
        actor = agent_actor(known.policy(), known.scaler(), market)
        return RivalVersion(one.policy, one.version, actor, _trained_on(known.info.windows))

    summary = run_backtest(
        market,
        rows,
        agent_actor(checkpoint.policy(), checkpoint.scaler(), market),
        rules,
        presets,
        out_dir=folder,
        random_runs=random_runs,
        seed=seed,
        trained_on=_trained_on(checkpoint.info.windows),
        rivals=[as_rival(one) for one in found if one.version != version],
        ladder=ladder,
        version=version,
        data_hash=data_hash,
        on_progress=lambda done, total: ui.say(f"Backtest: hour {done} of {total}", transient=True),
    )
    returns = {
        preset: {r.policy: r.return_pct for r in summary.results if r.preset == preset} for preset in presets
    }
    return {
        "version": version,
        "trial": trial_of(checkpoint),
        "start": summary.start.isoformat(),
        "end": summary.end.isoformat(),
        "in_sample": summary.in_sample,
        "returns_pct": returns,
        "daily_sharpe": daily_sharpes(
            pd.read_parquet(folder / "equity.parquet", columns=["preset", "policy", "run", "time", "nlv"])
        ),
    }


def _trained_on(seen: Windows) -> list[TrainedWindow]:
    """Return the hours a version was trained and selected on."""
    spans: tuple[tuple[Literal["train", "validation"], tuple[str, str]], ...] = (
        ("train", seen.train),
        ("validation", seen.validation),
    )
    return [
        TrainedWindow(name=name, start=datetime.fromisoformat(start), end=datetime.fromisoformat(end))
        for name, (start, end) in spans
    ]


def _window(features: Path, window: str, start: str, end: str) -> Hours:
    """Return the hours asked for; the names of windows are those of the features' split."""
    edges = {"start": "", "end": ""}
    splits = features / "splits.json"
    if window != "all" and splits.is_file() and not (start and end):
        edges = json.loads(splits.read_text(encoding="utf-8"))[window]
    asked = Hours(start or edges["start"], end or edges["end"])
    _instant(asked.start, "start")
    _instant(asked.end, "end")
    return asked


def _instant(text: str, what: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not a time.", f"--{what}", "Write 2025-10-03T16:00.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _profiles(presets: str, custom: TradingConfig | None) -> dict[str, TradingConfig]:
    if presets == "custom":
        return {"custom": custom or TradingConfig()}
    return {name: profile for name, profile in PRESETS.items() if presets in ("all", name)}
