"""Judgement: the gates a backtest passes or misses, and the report a person reads.

gates.json, report.html and its pictures. The registry is not looked at: that is promotion's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.audit import AUDIT, AuditReport
from schemas.backtest import BacktestSummary
from schemas.checkpoint import TRAINING, TrainingResult
from schemas.health import HealthReport
from schemas.manifest import Ref
from schemas.promotion import PromotionPolicy
from tasks import ui
from tasks.cache import Cached, run_cached
from tasks.store import Store, content_hash, resolve_root

STEP = "judgement"


def judge(
    tested: Ref,
    *,
    preset: str,
    policy: PromotionPolicy,
    audited: Ref | None = None,
    dataset: Ref | None = None,
    trained: Ref | None = None,
    title: str = "Backtest",
) -> Cached:
    """Apply the basic gates to a backtest and write its report.

    Args:
        tested: What `backtest` made.
        preset: The risk profile that is judged; the others are shown.
        policy: The thresholds.
        audited: The causality audit of the same policy on the same data; without one its gate does not hold.
        dataset: Whose quality the report tells, if any.
        trained: What `train` made, whose signs the report tells, if any.
        title: Of the report.
    """
    store = Store(resolve_root())
    inputs = {"backtest": content_hash(store.manifest(tested))}
    if dataset is not None:
        inputs["dataset"] = content_hash(store.manifest(dataset))
    if audited is not None:
        inputs["audit"] = content_hash(store.manifest(audited))
    if trained is not None:
        inputs["trained"] = content_hash(store.manifest(trained))

    def compute(folder: Path) -> Mapping[str, Any]:
        return _judge(store, tested, audited, dataset, trained, folder, preset, policy, title)

    return run_cached(
        store,
        STEP,
        modules=("tasks.judgement",),
        inputs=inputs,
        params={"preset": preset, "policy": policy.model_dump(mode="json"), "title": title},
        compute=compute,
    )


def _judge(
    store: Store,
    tested: Ref,
    audited: Ref | None,
    dataset: Ref | None,
    trained: Ref | None,
    folder: Path,
    preset: str,
    policy: PromotionPolicy,
    title: str,
) -> dict[str, Any]:
    from rl.judge.gates import all_hold, basic_gates, conclude
    from tasks.report import Lineage, write_report

    ui.say("Judging, and writing the report", transient=True)
    source = store.local(tested)
    summary = BacktestSummary.model_validate_json((source / "backtest.json").read_text(encoding="utf-8"))
    audit = None
    if audited is not None:
        audit = AuditReport.model_validate_json((store.local(audited) / AUDIT).read_text(encoding="utf-8"))
    gates = basic_gates(summary, preset, policy, audit)
    (folder / "gates.json").write_text(
        json.dumps([gate.model_dump(mode="json") for gate in gates], indent=1) + "\n", encoding="utf-8"
    )
    decision = None
    # A refusal needs no look at the registry. A replay without an audit asks for no promotion.
    if audited is not None and not all_hold(gates):
        decision = conclude(summary.version or "this policy", "challenger", preset, gates)
    lineage = [Lineage("Backtest", str(tested))]
    if audited is not None:
        lineage.append(Lineage("Audit", str(audited)))
    if trained is not None:
        lineage.append(Lineage("Training", str(trained)))
    if dataset is not None:
        lineage.append(Lineage("Data set", str(dataset)))
    if summary.version:
        lineage.append(Lineage("Version", summary.version))
    write_report(
        source,
        folder,
        preset=preset,
        gates=gates,
        decision=decision,
        quality=_facts(store, dataset),
        health=_health(store, trained),
        lineage=lineage,
        title=title,
    )
    return {"preset": preset, "holds": all_hold(gates)}


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
