"""Judgement: the gates of both aliases, what a backtest proves, and the report a person reads.

gates.json, evidence.json, report.html and its pictures. What the registry and the ledger say enters as
parameters: who reigns, and what was tried. No alias is moved: that is promotion's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rl.judge.champion import Reigning
from rl.judge.trials import Trials
from schemas.audit import AUDIT, AuditReport
from schemas.backtest import BacktestSummary
from schemas.checkpoint import TRAINING, TrainingResult
from schemas.evidence import Evidence, Source
from schemas.health import HealthReport
from schemas.judgement import EVIDENCE, GATES, Judgement
from schemas.manifest import Ref
from schemas.promotion import PromotionDecision, PromotionPolicy
from schemas.registry import ALIASES
from schemas.stress import STRESS, StressReport
from schemas.walk_forward import CURVE
from tasks import ui
from tasks.cache import Cached, run_cached
from tasks.commands import replay_command
from tasks.drift import drift_facts, keep_quality, trained_on
from tasks.evidence import known_trials, reigning_champion, walk_forward_of
from tasks.quality_page import PAGE
from tasks.store import Store, content_hash, resolve_root

STEP = "judgement"


@dataclass(frozen=True)
class _Case:
    """Everything a judgement looks at."""

    tested: Ref
    preset: str
    policy: PromotionPolicy
    trials: Trials
    reigning: Reigning | None
    audited: Ref | None
    stressed: Ref | None
    dataset: Ref | None
    trained: Ref | None
    described: Ref | None
    joined: Ref | None
    book: str
    title: str

    @property
    def source(self) -> Source:
        """What the curve that is weighed is called; without an audit nobody asks for a promotion."""
        if self.joined is not None:
            return "walk-forward"
        return "replayed window" if self.audited is None else "test window"


def judge(
    tested: Ref,
    *,
    preset: str,
    policy: PromotionPolicy,
    book: str,
    audited: Ref | None = None,
    stressed: Ref | None = None,
    dataset: Ref | None = None,
    trained: Ref | None = None,
    described: Ref | None = None,
    title: str = "Backtest",
) -> Cached:
    """Apply every gate to a backtest, weigh what it proves, and write its report.

    Args:
        tested: What `backtest` made.
        preset: The risk profile that is judged; the others are shown.
        policy: The thresholds.
        book: Whose champion is to be replaced, and whose ledger knows what was tried.
        audited: The causality audit of the same policy on the same data; without one its gate does not hold.
        stressed: The stress tests of the same run; without them their gates do not hold.
        dataset: Whose quality the report tells, if any.
        trained: What `train` made, whose signs the report tells, if any. With the data set it names the
            recipe, whose walk-forward is the evidence where there is one.
        described: What `quality` made of the data set, whose page and training data are kept beside the
            judgement; without it the drift gate does not hold.
        title: Of the report.
    """
    root = resolve_root()
    store = Store(root)
    manifest = store.manifest(tested)
    inputs = {"backtest": content_hash(manifest)}
    joined = None
    if dataset is not None and trained is not None:
        joined = walk_forward_of(store, trained, content_hash(store.manifest(dataset)), preset)
    others = {
        "dataset": dataset,
        "audit": audited,
        "stress": stressed,
        "trained": trained,
        "quality": described,
        "walk-forward": joined,
    }
    inputs |= {name: content_hash(store.manifest(ref)) for name, ref in others.items() if ref is not None}
    case = _Case(
        tested=tested,
        preset=preset,
        policy=policy,
        trials=known_trials(
            root,
            book,
            manifest if joined is None else store.manifest(joined),
            preset=preset,
            own=manifest.summary.get("trial") or "",
        ),
        reigning=reigning_champion(root, book, manifest.summary.get("version")),
        audited=audited,
        stressed=stressed,
        dataset=dataset,
        trained=trained,
        described=described,
        joined=joined,
        book=book,
        title=title,
    )

    def compute(folder: Path) -> Mapping[str, Any]:
        return _judge(store, case, folder)

    return run_cached(
        store,
        STEP,
        modules=("tasks.judgement",),
        inputs=inputs,
        params={
            "preset": preset,
            "policy": policy.model_dump(mode="json"),
            "title": title,
            "book": book,
            "trials": {"count": case.trials.count, "scores": list(case.trials.scores)},
            "reigning": None if case.reigning is None else asdict(case.reigning),
        },
        compute=compute,
    )


def read_evidence(folder: Path) -> Evidence | None:
    """Return what a judgement's folder says is proven; None where there was no policy to weigh."""
    path = folder / EVIDENCE
    return Evidence.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def _judge(store: Store, case: _Case, folder: Path) -> dict[str, Any]:
    import pandas as pd

    from rl.judge.champion import champion_gates
    from rl.judge.drift import drift_gates
    from rl.judge.gates import all_hold, basic_gates
    from rl.judge.review import review_champion
    from rl.judge.stress_gates import stress_gates
    from rl.judge.weigh import weigh
    from tasks.report import write_report

    ui.say("Judging, and writing the report", transient=True)
    source = store.local(case.tested)
    summary = BacktestSummary.model_validate_json((source / "backtest.json").read_text(encoding="utf-8"))
    audit = stress = None
    if case.audited is not None:
        text = (store.local(case.audited) / AUDIT).read_text(encoding="utf-8")
        audit = AuditReport.model_validate_json(text)
    if case.stressed is not None:
        text = (store.local(case.stressed) / STRESS).read_text(encoding="utf-8")
        stress = StressReport.model_validate_json(text)
    drift = None if case.described is None else keep_quality(store.local(case.described), folder, summary)
    rival = None if case.reigning is None else case.reigning.version
    equity = pd.read_parquet(source / "equity.parquet", columns=["preset", "policy", "run", "time", "nlv"])
    evidence = weigh(
        summary,
        equity,
        case.preset,
        case.policy,
        case.trials,
        source=case.source,
        rival=rival,
        joined=None if case.joined is None else pd.read_parquet(store.local(case.joined) / CURVE),
    )
    basic = basic_gates(summary, case.preset, case.policy, audit)
    stressed = stress_gates(stress, summary, case.preset, case.policy)
    gates = Judgement(
        challenger=tuple(basic),
        champion=tuple(
            champion_gates(
                basic,
                evidence,
                stressed,
                case.policy,
                drift=drift_gates(
                    drift,
                    case.policy.drift,
                    data=summary.data_hash,
                    reigning=trained_on(store, case.book, rival),
                ),
                reigning=case.reigning,
            )
        ),
        compared_with=rival,
        review=review_champion(summary, equity, case.preset, case.policy),
    )
    (folder / GATES).write_text(gates.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if evidence is not None:
        (folder / EVIDENCE).write_text(evidence.model_dump_json(indent=1) + "\n", encoding="utf-8")
    write_report(
        source,
        folder,
        preset=case.preset,
        gates=gates.challenger,
        champion_gates=gates.champion,
        review=gates.review,
        evidence=evidence,
        stress=stress,
        decisions=_refusals(summary, case, gates),
        quality=[*_facts(store, case.dataset), *drift_facts(drift, case.policy.drift)],
        quality_page=PAGE if drift is not None else "",
        health=_health(store, case.trained),
        lineage=_lineage(case, summary),
        command=replay_command(summary, case.book, stress=stress is not None) if summary.version else "",
        title=case.title,
    )
    return {
        "preset": case.preset,
        "holds": all_hold(gates.challenger),
        "champion_holds": all_hold(gates.champion),
    }


def _refusals(summary: BacktestSummary, case: _Case, gates: Judgement) -> list[PromotionDecision]:
    """Return the decisions that need no look at the registry; a replay without an audit asks for none."""
    from rl.judge.gates import all_hold, conclude

    if case.audited is None:
        return []
    return [
        conclude(summary.version or "this policy", alias, case.preset, gates.gates(alias))
        for alias in ALIASES
        if not all_hold(gates.gates(alias))
    ]


def _lineage(case: _Case, summary: BacktestSummary) -> list[Any]:
    from tasks.report import Lineage

    refs = {
        "Backtest": case.tested,
        "Audit": case.audited,
        "Stress": case.stressed,
        "Walk-forward": case.joined,
        "Training": case.trained,
        "Data set": case.dataset,
        "Data quality": case.described,
    }
    lineage = [Lineage(what, str(ref)) for what, ref in refs.items() if ref is not None]
    if summary.version:
        lineage.append(Lineage("Version", summary.version))
    return lineage


def _health(store: Store, trained: Ref | None) -> HealthReport | None:
    """Return the signs of the training that made the version, where they are known."""
    if trained is None:
        return None
    text = (store.local(trained) / TRAINING).read_text(encoding="utf-8")
    return TrainingResult.model_validate_json(text).health


def _facts(store: Store, dataset: Ref | None) -> list[Any]:
    """Return the few facts about the data that a reader of a result must know."""
    if dataset is None:
        return []
    from tasks.report import Fact

    known = json.loads((store.local(dataset) / "dataset.json").read_text(encoding="utf-8"))
    bad = known["quarantined"]
    facts = [
        Fact("Opportunities", f"{known['opportunity_rows']:,} rows"),
        Fact("Market history", f"{known['history_rows']:,} rows" if known["has_history"] else "none",
             "ok" if known["has_history"] else "warn"),
        Fact("Covers", f"{known['first'][:16]} to {known['last'][:16]} UTC"),
        Fact("Quarantined", f"{bad:,} rows", "warn" if bad else "ok"),
        Fact("Duplicates dropped", f"{known['duplicates']:,} rows"),
    ]  # fmt: skip
    return facts
