"""Versions as a run leaves them: the artifacts of training, backtest and judgement, tiny and instant."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas.backtest import BacktestSummary, PolicyResult, ProfitSplit
from schemas.checkpoint import BEST_MODEL, TRAINING, ModelFacts, RunShape, TrainingResult
from schemas.manifest import Manifest, Ref
from schemas.promotion import Gate
from schemas.registry import VersionRecord
from schemas.trading import PRESETS, MarketRules
from schemas.training import TrainingConfig
from schemas.version import Windows
from tasks.files import sha256_text
from tasks.promotion import register
from tasks.registry import Registry
from tasks.store import Store, content_hash

VERSION = "0123456789ab"
OTHER = "fedcba987654"
WINDOWS = Windows(
    train=("2025-01-01T00:00Z", "2025-01-05T00:00Z"),
    validation=("2025-01-06T00:00Z", "2025-01-07T00:00Z"),
    test=("2025-01-08T00:00Z", "2025-01-09T00:00Z"),
)


def publish(
    root: Path,
    step: str,
    files: Mapping[str, str | bytes],
    summary: dict[str, Any] | None = None,
    inputs: dict[str, str] | None = None,
    **facts: Any,
) -> Ref:
    store = Store(root)
    with store.tmp() as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        key = sha256_text(repr([step, dict(files), inputs, sorted(facts.items())]))
        known = {"params": {}, "created": "2025-01-01T00:00:00+00:00", "code": f"code of {step}"}
        manifest = Manifest(
            step=step, key=key, inputs=inputs or {}, versions={}, summary=summary or {}, **known | facts
        )
        return store.publish(folder, manifest)


def content(root: Path, ref: Ref) -> str:
    return content_hash(Store(root).manifest(ref))


def prepared(root: Path, data: str = "d") -> Ref:
    """Data and features; every version of the same data comes from the same."""
    dataset = publish(root, "ingest", {"dataset.json": data}, inputs={"opportunities.csv": f"raw {data}"})
    return publish(root, "features", {"scaler.json": data}, inputs={"dataset": content(root, dataset)})


def trained(
    root: Path, version: str = VERSION, *, windows: Windows = WINDOWS, data: str = "d", seed: int = 3,
    rules: dict[str, Any] | None = None, code: str = "code of train", start_from: str = "", **recipe: Any,
) -> Ref:  # fmt: skip
    training = TrainingConfig(seed=seed, **recipe)
    result = TrainingResult(
        finished=True, reason="episodes", updates=1, episodes=8, steps=10, seconds=1.0, steps_per_second=10.0,
        parameters=792_000, episode_hours=24, preset="moderate", training=training,
        shape=RunShape(n_envs=1, n_cohorts=1, rollout_steps=2, updates=1),
        scaler_median=(1.0,), data_hash=data, windows=windows, torch="t", device="cpu", threads=1,
        models=(ModelFacts(file=BEST_MODEL, weights="w", update=1, episodes=8, validation_pct=0.7),),
    )  # fmt: skip
    files = {BEST_MODEL: f"weights of {version}", TRAINING: result.model_dump_json()}
    params = {"training": training.model_dump(mode="json"), "preset": "moderate", "rules": rules or {}}
    inputs = {"features": content(root, prepared(root, data))}
    inputs |= {"start_from": start_from} if start_from else {}
    return publish(root, "train", files, {"version": version}, inputs, params=params, code=code)


def backtested(
    root: Path, version: str = VERSION, *, day: int = 8, data: str = "d", return_pct: float = 1.2
) -> Ref:
    result = PolicyResult(
        preset="moderate", policy="agent", runs=1, return_pct=return_pct, max_drawdown_pct=0.1,
        final_nlv=10_120.0, trades=9.0, split=ProfitSplit(funding=200.0, fees=-80.0), hours=24,
    )  # fmt: skip
    summary = BacktestSummary(
        version=version, start=datetime(2025, 1, day, tzinfo=UTC), end=datetime(2025, 1, day + 1, tzinfo=UTC),
        hours=24, initial_capital=10_000.0, in_sample=False, overlap_hours=0, seed=0, random_runs=0,
        presets=dict(PRESETS), rules=MarketRules(), results=(result,), data_hash=data,
    )  # fmt: skip
    return publish(root, "backtest", {"backtest.json": summary.model_dump_json()}, {"version": version})


def gate(name: str, verdict: str = "pass") -> Gate:
    reason = f"{name.capitalize()} said {verdict}."
    return Gate(name=name, value=1.0, threshold=0.0, verdict=verdict, reason=reason)  # type: ignore[arg-type]


def gates(*verdicts: str) -> tuple[Gate, ...]:
    return tuple(gate(f"gate {i}", verdict) for i, verdict in enumerate(verdicts))


def judged(root: Path, *verdicts: str, tested: Ref | None = None, report: str = "a report") -> Ref:
    return judgement(root, gates(*verdicts), tested=tested, report=report)


def judgement(
    root: Path, found: Sequence[Gate], *, tested: Ref | None = None, report: str = "a report",
    created: str = "2025-01-10T00:00:00+00:00", audited: bool = True, preset: str = "moderate",
) -> Ref:  # fmt: skip
    told = json.dumps([g.model_dump(mode="json") for g in found])
    inputs = {"backtest": content(root, tested)} if tested is not None else {}
    inputs |= {"audit": "an audit"} if audited else {}
    files = {"gates.json": told, "report.html": f"<p>{report}</p>", "made": created}
    return publish(root, "judgement", files, inputs=inputs, params={"preset": preset}, created=created)


def kept(root: Path, version: str = VERSION, *verdicts: str, book: str = "b", **facts: Any) -> VersionRecord:
    """Register a version as a run does, judged with these verdicts; no alias moves."""
    model = trained(root, version, **facts)
    tested = backtested(root, version, data=facts.get("data", "d"))
    verdict = judged(root, *(verdicts or ("pass",)), tested=tested, report=version)
    return register(Registry(root, book), Store(root), model, tested, verdict)
