"""A candidate as a run leaves it before it is judged, with sixty days of returns that pass every gate."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.audit import AuditedTime, AuditReport
from schemas.backtest import BacktestSummary, PolicyResult, ProfitSplit, Rival, TrainedWindow
from schemas.drift import DRIFT, Distribution, DriftReport, FeatureDrift, Reference
from schemas.manifest import Ref
from schemas.promotion import PromotionPolicy
from schemas.stress import STRESSES, StressReport
from schemas.trading import PRESETS, MarketRules
from tasks.cache import Cached
from tasks.judgement import judge
from tasks.registry import Registry
from tests.rl.judge.test_stress_gates import dealt, report, symbols
from tests.tasks.made import VERSION, content, prepared, publish, trained

START = datetime(2025, 1, 8, tzinfo=UTC)
DAYS = 60
END = START + timedelta(days=DAYS)
TRIAL = "trial of it"


def curve(daily_pct: float, seed: int, *, spread_pct: float = 0.05) -> np.ndarray:
    """An hourly NLV whose daily returns have a mean and a spread, percent."""
    draws = np.random.default_rng(seed).normal(daily_pct / 24, spread_pct / np.sqrt(24), 24 * DAYS)
    return 10_000.0 * np.cumprod(np.concatenate([[1.0], 1.0 + draws / 100]))


def table(curves: Mapping[str, np.ndarray]) -> bytes:
    """A backtest's table of curves under moderate."""
    hours = pd.date_range(START, END, freq="h", unit="us")
    parts = [
        pd.DataFrame({"preset": "moderate", "policy": name, "run": 0, "time": hours, "nlv": nlv})
        for name, nlv in curves.items()
    ]
    return parquet(pd.concat(parts, ignore_index=True))


def parquet(frame: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.to_parquet(out)
    return out.getvalue()


@dataclass
class Candidate:
    """The artifacts of a candidate in a root, and how each may be worse."""

    root: Path
    model: Ref
    tested: Ref
    audited: Ref
    stressed: Ref
    dataset: Ref
    described: Ref

    def judge(self, policy: PromotionPolicy | None = None, **more: Any) -> Cached:
        given: dict[str, Any] = {
            "preset": "moderate", "policy": policy or PromotionPolicy(), "book": "b", "audited": self.audited,
            "stressed": self.stressed, "dataset": self.dataset, "trained": self.model,
            "described": self.described,
        }  # fmt: skip
        return judge(self.tested, **given | more)


def candidate(
    root: Path,
    *,
    daily_pct: float = 0.03,
    greedy_pct: float = 0.0,
    champion: tuple[str, float] | None = None,
    champion_result: Mapping[str, Any] | None = None,
    result: Mapping[str, Any] | None = None,
    stress: Mapping[str, Any] | None = None,
    audit: bool = True,
    overlap_hours: int = 0,
    drift: Mapping[str, Any] | None = None,
) -> Candidate:
    """Leave a candidate in a root.

    Args:
        root: Root of the artifacts.
        daily_pct: Mean daily return.
        greedy_pct: Of greedy.
        champion: A reigning version that was replayed beside it, and its mean daily return.
        champion_result: The champion's result in the backtest; none by default.
        result: What of the backtest's result is otherwise.
        stress: What of the stress report is otherwise.
        audit: Whether the audit holds.
        overlap_hours: Hours of its window that it was trained on.
        drift: What of the drift is otherwise.
    """
    features = prepared(root)
    dataset = publish(root, "ingest", {"dataset.json": "d"}, inputs={"opportunities.csv": "raw d"})
    data = content(root, dataset)
    model = trained(root)
    seen = (
        TrainedWindow(name="train", start=START - timedelta(days=90), end=START - timedelta(days=30)),
        TrainedWindow(name="validation", start=START - timedelta(days=30), end=START),
    )
    facts = {
        "preset": "moderate", "policy": "agent", "runs": 1, "return_pct": 1.8, "max_drawdown_pct": 0.5,
        "final_nlv": 10_180.0, "trades": 9.0, "split": ProfitSplit(funding=280.0, fees=-100.0),
        "hours": 24 * DAYS,
    }  # fmt: skip
    curves = {"agent": curve(daily_pct, 1), "greedy": curve(greedy_pct, 2)}
    rivals: tuple[Rival, ...] = ()
    if champion is not None:
        curves["champion"] = curve(champion[1], 3)
        rivals = (Rival(policy="champion", version=champion[0], trained_on=seen, overlap_hours=0),)
    summary = BacktestSummary(
        version=VERSION, data_hash=data, start=START, end=END, hours=24 * DAYS, initial_capital=10_000.0,
        in_sample=overlap_hours > 0, overlap_hours=overlap_hours, trained_on=seen, seed=0, random_runs=0,
        presets=dict(PRESETS), rules=MarketRules(), rivals=rivals,
        results=(
            PolicyResult(**facts | dict(result or {})),
            *([] if champion_result is None else [PolicyResult.model_validate(champion_result)]),
        ),
    )  # fmt: skip
    told = {"version": VERSION, "trial": TRIAL, "start": START.isoformat(), "end": END.isoformat()}
    tested = publish(
        root, "backtest", {"backtest.json": summary.model_dump_json(), "equity.parquet": table(curves)},
        told, {"features": content(root, features)},
    )  # fmt: skip
    findings = AuditReport(
        data_hash=data, version=VERSION, with_history=True, seed=0, presets=("moderate",),
        deciders=("agent",), times=(AuditedTime(time=START, part="test", findings=()),),
        pipeline=() if audit else ("a number changed",),
    )  # fmt: skip
    audited = publish(root, "audit", {"audit.json": findings.model_dump_json()})
    survived: dict[str, Any] = {
        "version": VERSION, "data_hash": data, "start": START, "end": END, "preset": "moderate",
        "concentration": symbols(60.0, 60.0, 60.0), "placebo": dealt(-0.2),
    }  # fmt: skip
    tries: StressReport = report(**survived | dict(stress or {}))
    stressed = publish(root, "stress", {"stress.json": tries.model_dump_json()})
    moved = drifted(data, Registry(root, "b").aliases()["champion"] or "", **dict(drift or {}))
    described = publish(root, "quality", {DRIFT: moved.model_dump_json(), "quality.html": "a page"})
    return Candidate(root, model, tested, audited, stressed, dataset, described)


def drifted(data: str, champion: str, psi: float = 0.2, **changes: Any) -> DriftReport:
    """The newest week against the training data of whoever reigns, one feature of it."""
    known = Reference(
        data="trained on", start=START - timedelta(days=90), end=START - timedelta(days=30), rows=10,
        features={"volume_24h": Distribution(edges=(1.0,), counts=(5, 5))},
    )  # fmt: skip
    found = FeatureDrift(feature="volume_24h", psi=psi, ks=0.1, missing=(0.0, 0.0), middle=(1.0, 2.0))
    facts: dict[str, Any] = {
        "data": data, "start": END - timedelta(days=7), "end": END, "hours": 168, "rows": 1000,
        "champion": champion, "against": known, "features": (found,),
    }  # fmt: skip
    return DriftReport(**facts | changes)


def without_pages(patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Judge without drawing; returns what the report was asked to tell, a line per judgement."""
    asked: list[dict[str, Any]] = []

    def write(source: Path, folder: Path, **told: Any) -> None:
        asked.append(told)
        (folder / "report.html").write_text("a report")

    patch.setattr("tasks.report.write_report", write)
    patch.setattr("tasks.judgement._facts", lambda store, dataset: [])
    return asked


__all__ = ["DAYS", "END", "START", "STRESSES", "TRIAL", "Candidate", "candidate", "curve", "without_pages"]
