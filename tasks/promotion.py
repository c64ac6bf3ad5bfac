"""Promotion: register the candidate, look at the registry, and move the alias if every gate holds.

Never cached: what the registry says now decides, not what it said once.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

from rl.judge.gates import conclude
from schemas.backtest import BacktestSummary
from schemas.checkpoint import BEST_MODEL, TRAINING, TrainingResult
from schemas.errors import ArtifactError
from schemas.manifest import Ref
from schemas.promotion import Alias, Gate, PromotionDecision
from schemas.registry import VersionRecord
from tasks import show, ui
from tasks.files import utc_now
from tasks.openings import flow_run
from tasks.registry import Registry
from tasks.store import Store, content_hash, resolve_root

ALIAS: Alias = "challenger"


@dataclass(frozen=True)
class Judged:
    """How a version was judged last.

    Attributes:
        created: When, UTC, ISO 8601.
        preset: The risk profile that was judged.
        gates: Every gate; None where they were altered or deleted.
    """

    created: str
    preset: str
    gates: tuple[Gate, ...] | None


def last_judgement(store: Store, version: str) -> Judged | None:
    """Return how a run judged a version last; a replay, which has no audit, is no judgement."""
    mine = set()
    found = []
    for ref in store.refs("backtest"):
        with suppress(ArtifactError):
            if (manifest := store.manifest(ref)).summary.get("version") == version:
                mine.add(content_hash(manifest))
    for ref in store.refs("judgement"):
        with suppress(ArtifactError):
            manifest = store.manifest(ref)
            if manifest.inputs.get("backtest") in mine and "audit" in manifest.inputs:
                found.append((manifest.created, ref, str(manifest.params["preset"])))
    if not found:
        return None
    created, ref, preset = max(found, key=lambda one: one[0])
    try:
        told = json.loads((store.local(ref) / "gates.json").read_text(encoding="utf-8"))
    except ArtifactError:
        return Judged(created, preset, None)
    return Judged(created, preset, tuple(Gate.model_validate(gate) for gate in told))


def promote(
    model: Ref, tested: Ref, judged: Ref, *, book: str, preset: str, dry_run: bool = False
) -> PromotionDecision:
    """Decide, and say why; not promoting is a result like any other.

    Args:
        model: The training artifact the candidate lies in.
        tested: Its backtest on the sealed window.
        judged: The gates applied to that.
        book: Whose registry.
        preset: The risk profile that was judged.
        dry_run: Do all but move the alias; the version is registered all the same.
    """
    root = resolve_root()
    store = Store(root)
    registry = Registry(root, book)
    backtest = BacktestSummary.model_validate_json(
        (store.local(tested) / "backtest.json").read_text(encoding="utf-8")
    )
    gates = [
        Gate.model_validate(gate)
        for gate in json.loads((store.local(judged) / "gates.json").read_text(encoding="utf-8"))
    ]
    record = register(registry, store, model, metrics=_metrics(backtest, preset))
    if backtest.version != record.version:
        raise ArtifactError("belongs to another version than the one trained.", str(tested))
    decision = _decide(registry, record.version, preset, gates, dry_run)
    show.promotion(decision, book)
    ui.note(decision.reason)
    return decision


def _decide(
    registry: Registry, version: str, preset: str, gates: list[Gate], dry_run: bool
) -> PromotionDecision:
    """Decide and move; another run may move the alias meanwhile, then decide anew on what it is now."""
    for last_try in (False, False, True):
        now = registry.aliases()[ALIAS]
        decision = conclude(version, ALIAS, preset, gates, points_already=now == version, dry_run=dry_run)
        if not decision.moved:
            break
        try:
            registry.move(ALIAS, version, reason=decision.reason, expect=now, run=flow_run())
        except ArtifactError:
            if last_try:
                raise
        else:
            break
    return decision


def register(
    registry: Registry, store: Store, model: Ref, *, metrics: dict[str, float | None] | None = None
) -> VersionRecord:
    """Write a trained version into the registry, promoted or not; no alias moves.

    Args:
        registry: The book's.
        store: Where the model lies.
        model: The training artifact.
        metrics: Small facts worth showing.
    """
    manifest = store.manifest(model)
    trained = TrainingResult.model_validate_json((store.path(model) / TRAINING).read_text(encoding="utf-8"))
    sha256 = next(entry.sha256 for entry in manifest.files if entry.path == BEST_MODEL)
    return registry.register(
        VersionRecord(
            version=manifest.summary["version"],
            artifact=str(model),
            file=BEST_MODEL,
            sha256=sha256,
            created=utc_now(),
            preset=trained.preset,
            seed=trained.training.seed,
            data=trained.data_hash,
            windows=trained.windows,
            metrics={"validation_pct": trained.best.validation_pct, **(metrics or {})},
        )
    )


def _metrics(backtest: BacktestSummary, preset: str) -> dict[str, float | None]:
    results = {policy: backtest.result(preset, policy) for policy in ("agent", "greedy")}
    return {f"{policy}_test_pct": r.return_pct for policy, r in results.items() if r is not None}
