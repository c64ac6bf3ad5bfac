"""Promotion: register the candidate, look at the registry, and move each alias whose gates all hold.

Never cached: what the registry says now decides, not what it said once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType

from rl.judge.approval import hold_for_approval, outrun
from rl.judge.gates import conclude
from schemas.backtest import BacktestSummary
from schemas.checkpoint import BEST_MODEL, TRAINING, TrainingResult
from schemas.errors import ArtifactError
from schemas.manifest import Ref
from schemas.promotion import Alias, Gate, PromotionDecision
from schemas.registry import VersionRecord
from tasks import show, ui
from tasks.bundles import BACKTEST, Bundles
from tasks.files import utc_now
from tasks.openings import flow_run
from tasks.registry import AliasMoved, Registry
from tasks.store import Store, resolve_root
from tasks.verdicts import read_gates


@dataclass(frozen=True)
class Case:
    """What speaks for and against giving a version an alias.

    Attributes:
        alias: The alias.
        gates: Every gate that was applied, those that hold included.
        compared_with: The version the alias pointed at when the gates were applied, where they look at it
            (None is no version); left out, they do not.
        require_approval: A person has the last word.
    """

    alias: Alias
    gates: tuple[Gate, ...]
    compared_with: str | EllipsisType | None = ...
    require_approval: bool = False


def promote_judged(
    model: Ref,
    tested: Ref,
    judged: Ref,
    *,
    book: str,
    preset: str,
    require_approval: bool = False,
    dry_run: bool = False,
) -> tuple[PromotionDecision, ...]:
    """Decide on both aliases by the gates of the judgement; the other arguments are those of `promote`.

    A judgement that nobody asked for a champion, which is an old one, decides on the challenger alone.

    Args:
        model: See `promote`, like the four that follow.
        tested: The backtest.
        judged: The judgement, with its gates and the champion they compare with.
        book: Whose registry.
        preset: The risk profile.
        require_approval: A person has the last word on the champion.
        dry_run: See `promote`.
    """
    found = read_gates(Store(resolve_root()).local(judged))
    cases = [Case("challenger", found.challenger)]
    if found.champion:
        cases.append(Case("champion", found.champion, found.compared_with, require_approval))
    return promote(model, tested, judged, cases, book=book, preset=preset, dry_run=dry_run)


def promote(
    model: Ref,
    tested: Ref,
    judged: Ref,
    cases: Sequence[Case],
    *,
    book: str,
    preset: str,
    dry_run: bool = False,
) -> tuple[PromotionDecision, ...]:
    """Decide for each alias, and say why; not promoting is a result like any other.

    The version is registered first, and kept in a folder of the book's own, so that whenever this is killed
    an alias points at a version that is whole. Nothing waits for a person: a version that needs approval is
    marked, and the run ends.

    Args:
        model: The training artifact the candidate lies in.
        tested: Its backtest on the sealed window.
        judged: The judgement of that, with the report.
        cases: The gates by alias; decided one after the other.
        book: Whose registry.
        preset: The risk profile that was judged.
        dry_run: Do all but move an alias or mark a version; it is registered all the same.

    Returns:
        A decision for each case, in their order.

    Raises:
        ArtifactError: An artifact was altered, or the backtest is of another version.
    """
    root = resolve_root()
    store = Store(root)
    registry = Registry(root, book)
    backtest = BacktestSummary.model_validate_json(
        (store.local(tested) / BACKTEST).read_text(encoding="utf-8")
    )
    if backtest.version != store.manifest(model).summary["version"]:
        raise ArtifactError("belongs to another version than the one trained.", str(tested))
    record = register(registry, store, model, tested, judged, metrics=_metrics(backtest, preset))
    decisions = tuple(
        _decide(registry, record.version, preset, case, judged, Bundles(root, book), dry_run)
        for case in cases
    )
    show.promotion(decisions, book)
    for decision in decisions:
        ui.note(f"{decision.alias.capitalize()}: {decision.reason}")
    return decisions


def _decide(
    registry: Registry,
    version: str,
    preset: str,
    case: Case,
    judged: Ref,
    bundles: Bundles,
    dry_run: bool,
) -> PromotionDecision:
    """Decide and move; another run may move the alias meanwhile, then decide anew on what it is now."""
    for last_try in (False, False, True):
        now = registry.aliases()[case.alias]
        already = now == version
        decision = conclude(version, case.alias, preset, case.gates, points_already=already, dry_run=dry_run)
        if case.require_approval:
            decision = hold_for_approval(decision, points_already=already, dry_run=dry_run)
        compared = case.compared_with
        if (decision.promoted or decision.awaiting) and not already and compared not in (..., now):
            assert not isinstance(compared, EllipsisType)
            decision = outrun(decision, compared_with=compared, now=now)
            if not dry_run:
                registry.refuse(case.alias, version, reason=decision.reason, run=flow_run())
            return decision
        try:
            if not dry_run:
                _write_down(registry, decision, now, judged, bundles)
        except AliasMoved:
            if last_try:
                raise
        else:
            break
    return decision


def _write_down(
    registry: Registry, decision: PromotionDecision, now: str | None, judged: Ref, bundles: Bundles
) -> None:
    """Make the registry say what was decided; a version that awaited approval gives way to a newer one."""
    alias, version, run = decision.alias, decision.version, flow_run()
    if decision.awaiting:
        registry.wait(
            alias, version, expected=now, judgement=str(judged), report=bundles.report(version),
            reason=decision.reason, run=run,
        )  # fmt: skip
    elif decision.moved:
        registry.move(alias, version, reason=decision.reason, expect=now, run=run)
        registry.withdraw(alias, reason=f"{version}, a newer candidate, was promoted.", run=run)
    elif not decision.promoted:
        registry.withdraw(alias, only=version, reason=f"Judged again: {decision.reason}", run=run)


def register(
    registry: Registry,
    store: Store,
    model: Ref,
    tested: Ref,
    judged: Ref,
    *,
    metrics: dict[str, float | None] | None = None,
) -> VersionRecord:
    """Keep a trained version in the book and write it into the registry, promoted or not; no alias moves.

    Args:
        registry: The book's.
        store: Where the artifacts lie.
        model: The training artifact.
        tested: The backtest of the version on the sealed window.
        judged: The judgement of that.
        metrics: Small facts worth showing.
    """
    manifest = store.manifest(model)
    version = manifest.summary["version"]
    referred = [one.report for one in registry.state().awaiting.values() if one.version == version]
    Bundles(store.root, registry.book).write(store, version, model, tested, judged, referred=referred)
    trained = TrainingResult.model_validate_json((store.path(model) / TRAINING).read_text(encoding="utf-8"))
    sha256 = next(entry.sha256 for entry in manifest.files if entry.path == BEST_MODEL)
    return registry.register(
        VersionRecord(
            version=version,
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
