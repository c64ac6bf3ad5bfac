"""The causality audit: whether anything a run knows, decides or books depends on what comes later.

audit.json   every sampled time, what was compared, and the first differences in words
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.audit import AUDIT
from schemas.manifest import Ref
from schemas.params import Advanced
from schemas.trading import PRESETS, MarketRules
from tasks import ui
from tasks.cache import Cached, run_cached
from tasks.features import features as build_features
from tasks.files import sha256_file
from tasks.ingest import ingest
from tasks.models import find_model
from tasks.rows import clean_rows
from tasks.store import Store, content_hash, resolve_root

STEP = "audit"


def audit(
    dataset: Ref,
    features: Ref,
    model: Ref | str | None = None,
    *,
    rules: MarketRules,
    book: str,
    times: int,
    seed: int,
) -> Cached:
    """Put garbage after sampled times of validation and test, and compare what is known by then.

    No result of the policy is looked at, so this opens no window and the ledger hears nothing.

    Args:
        dataset: What `ingest` made.
        features: What `features` made of it, with its splits.
        model: A training artifact, an alias, a version or a file; None audits without a policy.
        rules: What venues charge and how orders fill.
        book: Knows the alias or version.
        times: How many times are sampled.
        seed: Of the times, the garbage and the random actions.

    Raises:
        ArtifactError: There is no such model.
    """
    store = Store(resolve_root())
    data, made = store.manifest(dataset), store.manifest(features)
    inputs = {"dataset": content_hash(data), "features": content_hash(made)}
    path = find_model(store, model, book) if model is not None else None
    if path is not None:
        inputs["model"] = sha256_file(path)

    def compute(folder: Path) -> Mapping[str, Any]:
        return _audit(store, dataset, features, path, folder, rules, times, seed)

    return run_cached(
        store,
        STEP,
        modules=("tasks.audit",),
        inputs=inputs,
        params={
            "rules": rules.model_dump(mode="json"),
            "presets": {name: profile.model_dump(mode="json") for name, profile in PRESETS.items()},
            "times": times,
            "seed": seed,
        },
        compute=compute,
    )


def audit_data(
    data: Path,
    history: Path | None,
    model: str | None,
    *,
    book: str,
    times: int,
    seed: int,
    advanced: Advanced,
) -> Cached:
    """Audit any data with any policy; the steps before are those of a run.

    Args:
        data: Opportunities, like a run's.
        history: Market history, if any.
        model: An alias, a version or a checkpoint file; its own rules and episode length are taken.
        book: Whose aliases and versions.
        times: How many times are sampled.
        seed: Of the times, the garbage and the random actions.
        advanced: Input rules, and without a policy the market's rules and the episode length.

    Raises:
        UserError: The model or the data is not there or not right, or too short to be split.
    """
    rules, episode_hours = advanced.rules, advanced.training.episode_hours
    found = None
    if model is not None:
        found = find_model(Store(resolve_root()), model, book)

        from rl.checkpoint import load_checkpoint

        info = load_checkpoint(found).info
        rules, episode_hours = info.rules, info.training.episode_hours
    dataset = ingest(
        data,
        history,
        **advanced.input_rules(),
    )
    built = build_features(dataset.ref, rules=rules, episode_hours=episode_hours)
    return audit(
        dataset.ref,
        built.ref,
        str(found) if found is not None else None,
        rules=rules,
        book=book,
        times=times,
        seed=seed,
    )


def _audit(
    store: Store,
    dataset: Ref,
    features: Ref,
    path: Path | None,
    folder: Path,
    rules: MarketRules,
    times: int,
    seed: int,
) -> dict[str, Any]:
    from rl.audit.compare import compare_with_run
    from rl.audit.garbage import Tables
    from rl.audit.replay import make_deciders
    from rl.audit.run import audit as run_audit
    from rl.checkpoint import load_checkpoint
    from rl.identity import version_of
    from rl.market.assemble import assemble
    from rl.market.scaler import Scaler
    from rl.market.splits import Splits

    ui.say("Auditing: what is known by a time must not depend on what comes later", transient=True)
    source = store.local(features)
    data_hash = store.manifest(features).inputs["dataset"]
    splits = Splits.model_validate_json((source / "splits.json").read_text(encoding="utf-8"))
    scalers = {"scaler of the run": Scaler.from_json((source / "scaler.json").read_text(encoding="utf-8"))}
    checkpoint = load_checkpoint(path) if path is not None else None
    if checkpoint is not None and checkpoint.info.data_hash == data_hash:
        train = (splits.train.start.isoformat(), splits.train.end.isoformat())
        if checkpoint.info.windows.train == train:  # else it has seen other hours, and scales by those
            scalers["scaler of the policy"] = checkpoint.scaler()
    market = assemble(sorted((source / "days").iterdir()), rules)
    report = run_audit(
        Tables(*clean_rows(store.local(dataset))),
        splits,
        rules,
        {str(name): profile for name, profile in PRESETS.items()},
        make_deciders(checkpoint.policy() if checkpoint is not None else None, seed),
        times=times,
        seed=seed,
        on_clean=lambda clean: compare_with_run(clean, market, scalers),
        on_progress=lambda done, total: ui.say(f"Audit: {done} of {total} rebuilt", transient=True),
    ).model_copy(
        update={
            "data_hash": data_hash,
            "version": version_of(checkpoint) if checkpoint is not None else None,
        }
    )
    (folder / AUDIT).write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    verdict = "nothing depends on what comes later" if report.holds else "FAILED"
    ui.say(f"Audit: {len(report.times)} times, {report.compared:,} numbers compared, {verdict}")
    return {
        "holds": report.holds,
        "times": len(report.times),
        "leaking": report.leaking,
        "compared": report.compared,
        "version": report.version,
    }
