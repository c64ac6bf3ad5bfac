"""Stress: the policy that a backtest judged, on the same window, with one thing made worse at a time.

stress.json   every outcome, where the profit came from, what each venue would lack, capacity, the placebo
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from schemas.backtest import BacktestSummary
from schemas.errors import ConfigError
from schemas.manifest import Ref
from schemas.stress import STRESS, StressReport, StressSettings
from tasks import ui
from tasks.cache import Cached, run_cached
from tasks.files import sha256_file
from tasks.models import find_model
from tasks.rows import clean_rows
from tasks.store import Store, content_hash, resolve_root

STEP = "stress"


def stress(
    dataset: Ref,
    features: Ref,
    model: Ref | str,
    tested: Ref,
    *,
    book: str,
    preset: str,
    settings: StressSettings | None = None,
) -> Cached:
    """Replay the policy of a backtest under every stress: its window, its rules, one of its risk profiles.

    The backtest has written down that it opened the window; the same version on the same hours is no further
    look at them, so the ledger hears nothing.

    Args:
        dataset: What `ingest` made; the placebo is built of its rows.
        features: What `features` made of it.
        model: What the backtest replayed: a training artifact, an alias, a version or a file.
        tested: What `backtest` made of these.
        book: Knows the alias or version.
        preset: The risk profile that is judged.
        settings: What cannot be read off the data.

    Raises:
        ArtifactError: There is no such model.
        ConfigError: The backtest did not replay that risk profile.
    """
    store = Store(resolve_root())
    asked = settings or StressSettings()
    path = find_model(store, model, book)
    text = (store.local(tested) / "backtest.json").read_text(encoding="utf-8")
    plain = BacktestSummary.model_validate_json(text)
    if preset not in plain.presets:
        raise ConfigError(
            f"the backtest did not replay {preset!r}.", "preset", f"It has {', '.join(plain.presets)}."
        )

    def compute(folder: Path) -> Mapping[str, Any]:
        return _stress(store, dataset, features, path, folder, plain, preset, asked)

    return run_cached(
        store,
        STEP,
        modules=("tasks.stress",),
        inputs={
            "dataset": content_hash(store.manifest(dataset)),
            "features": content_hash(store.manifest(features)),
            "model": sha256_file(path),
        },
        # What is taken from the backtest, and not its hash: more random runs there change nothing here.
        params={
            "rules": plain.rules.model_dump(mode="json"),
            "preset": preset,
            "config": plain.presets[preset].model_dump(mode="json"),
            "start": plain.start.isoformat(),
            "end": plain.end.isoformat(),
            "settings": asked.model_dump(mode="json"),
        },
        compute=compute,
    )


def read_stress(stressed: Cached) -> StressReport:
    """Return a stress artifact's report."""
    return StressReport.model_validate_json((stressed.path / STRESS).read_text(encoding="utf-8"))


def _stress(
    store: Store,
    dataset: Ref,
    features: Ref,
    path: Path,
    folder: Path,
    plain: BacktestSummary,
    preset: str,
    settings: StressSettings,
) -> dict[str, Any]:
    from rl.backtest import agent_actor
    from rl.checkpoint import load_checkpoint
    from rl.identity import version_of
    from rl.market.assemble import assemble
    from rl.stress.run import run_stress
    from rl.stress.subject import Subject, rows_between

    ui.say("Stress: the same window with one thing made worse at a time", transient=True)
    market = assemble(sorted((store.local(features) / "days").iterdir()), plain.rules)
    checkpoint = load_checkpoint(path)
    opportunities, history = clean_rows(store.local(dataset))
    report = run_stress(
        Subject(
            market=market,
            window=rows_between(market, plain.start, plain.end),
            rules=plain.rules,
            preset=preset,
            config=plain.presets[preset],
            actor_of=partial(agent_actor, checkpoint.policy(), checkpoint.scaler()),
        ),
        opportunities,
        history,
        settings,
        version=version_of(checkpoint),
        data_hash=store.manifest(features).inputs["dataset"],
        on_progress=lambda what: ui.say(f"Stress: {what}", transient=True),
    )
    (folder / STRESS).write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    worst = min(report.outcomes, key=lambda outcome: outcome.return_pct)
    ui.say(f"Stress: {len(report.outcomes)} tried; the worst, {worst.name}, left {worst.return_pct:+.2f} %")
    return {
        "version": report.version,
        "preset": preset,
        "plain_pct": report.plain.return_pct,
        "worst": worst.name,
        "worst_pct": worst.return_pct,
        "placebo_pct": report.placebo.beyond_pct,
    }
