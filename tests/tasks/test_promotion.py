"""Promotion registers the candidate, moves the alias only if every gate holds, and looks at it every time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.backtest import BacktestSummary, PolicyResult, ProfitSplit
from schemas.checkpoint import BEST_MODEL, TRAINING, ModelFacts, RunShape, TrainingResult
from schemas.errors import ArtifactError
from schemas.manifest import Manifest, Ref
from schemas.promotion import Gate
from schemas.registry import Windows
from schemas.trading import PRESETS, MarketRules
from schemas.training import TrainingConfig
from tasks.promotion import promote
from tasks.registry import Registry
from tasks.store import Store

VERSION = "0123456789ab"
WINDOWS = Windows(
    train=("2025-01-01T00:00Z", "2025-01-05T00:00Z"),
    validation=("2025-01-06T00:00Z", "2025-01-07T00:00Z"),
    test=("2025-01-08T00:00Z", "2025-01-09T00:00Z"),
)


def publish(
    root: Path,
    step: str,
    files: dict[str, str],
    summary: dict[str, Any] | None = None,
    inputs: dict[str, str] | None = None,
    **facts: Any,
) -> Ref:
    store = Store(root)
    with store.tmp() as folder:
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
        key = f"{abs(hash((step, json.dumps(files)))):016x}".ljust(64, "0")[:64]
        known = {"params": {}, "created": "2025-01-01T00:00:00+00:00"}
        manifest = Manifest(
            step=step, key=key, inputs=inputs or {}, versions={}, code="", summary=summary or {},
            **known | facts,
        )  # fmt: skip
        return store.publish(folder, manifest)


def trained(root: Path, version: str = VERSION) -> Ref:
    result = TrainingResult(
        finished=True, reason="episodes", updates=1, episodes=8, steps=10, seconds=1.0, steps_per_second=10.0,
        parameters=792_000, episode_hours=24, preset="moderate", training=TrainingConfig(seed=3),
        shape=RunShape(n_envs=1, n_cohorts=1, rollout_steps=2, updates=1),
        scaler_median=(1.0,), data_hash="d", windows=WINDOWS, torch="t", device="cpu", threads=1,
        models=(ModelFacts(file=BEST_MODEL, weights="w", update=1, episodes=8, validation_pct=0.7),),
    )  # fmt: skip
    files = {BEST_MODEL: version, TRAINING: result.model_dump_json()}
    return publish(root, "train", files, {"version": version})


def backtested(root: Path, version: str = VERSION) -> Ref:
    result = PolicyResult(
        preset="moderate", policy="agent", runs=1, return_pct=1.2, max_drawdown_pct=0.1, final_nlv=10_120.0,
        trades=9.0, split=ProfitSplit(funding=200.0, fees=-80.0), hours=24,
    )  # fmt: skip
    summary = BacktestSummary(
        version=version, start=datetime(2025, 1, 8, tzinfo=UTC), end=datetime(2025, 1, 9, tzinfo=UTC),
        hours=24, initial_capital=10_000.0, in_sample=False, overlap_hours=0, seed=0, random_runs=0,
        presets=dict(PRESETS), rules=MarketRules(), results=(result,),
    )  # fmt: skip
    return publish(root, "backtest", {"backtest.json": summary.model_dump_json()})


def judged(root: Path, *verdicts: str) -> Ref:
    gates = [
        Gate(name=f"gate {i}", value=1.0, threshold=0.0, verdict=v, reason=f"Gate {i} said {v}.")  # type: ignore[arg-type]
        for i, v in enumerate(verdicts)
    ]
    return publish(root, "judgement", {"gates.json": json.dumps([g.model_dump(mode="json") for g in gates])})


def decide(root: Path, *verdicts: str, version: str = VERSION, dry_run: bool = False) -> Any:
    return promote(
        trained(root, version), backtested(root, version), judged(root, *verdicts),
        book="b", preset="moderate", dry_run=dry_run,
    )  # fmt: skip


def test_all_gates_held_the_alias_moves_and_the_history_says_why(artifacts: Path) -> None:
    decision = decide(artifacts, "pass", "pass")
    registry = Registry(artifacts, "b")
    assert (decision.promoted, decision.moved) == (True, True)
    assert registry.aliases() == {"challenger": VERSION, "champion": None}
    [move] = registry.history()
    assert (move.before, move.after, move.reason) == (None, VERSION, decision.reason)


def test_one_gate_missed_nothing_moves_and_every_gate_is_listed(artifacts: Path) -> None:
    decision = decide(artifacts, "pass", "fail", "pass")
    registry = Registry(artifacts, "b")
    assert (decision.promoted, decision.moved) == (False, False)
    assert decision.reason.startswith("Not promoted, because gate 1 said fail")
    assert [gate.verdict for gate in decision.gates] == ["pass", "fail", "pass"]
    assert registry.aliases()["challenger"] is None


@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_the_candidate_is_registered_either_way_with_its_windows(artifacts: Path, verdict: str) -> None:
    decide(artifacts, verdict)
    [record] = Registry(artifacts, "b").versions()
    assert (record.version, record.seed, record.preset, record.data) == (VERSION, 3, "moderate", "d")
    assert record.windows == WINDOWS
    assert record.metrics == {"validation_pct": 0.7, "agent_test_pct": 1.2}


def test_a_dry_run_does_all_but_move_the_alias(artifacts: Path) -> None:
    decision = decide(artifacts, "pass", dry_run=True)
    assert (decision.promoted, decision.moved) == (True, False)
    registry = Registry(artifacts, "b")
    assert registry.aliases()["challenger"] is None
    assert len(registry.versions()) == 1


def test_promoting_again_finds_the_alias_there_and_moves_nothing(artifacts: Path) -> None:
    decide(artifacts, "pass")
    decision = decide(artifacts, "pass")
    assert (decision.promoted, decision.moved) == (True, False)
    assert "already" in decision.reason
    assert len(Registry(artifacts, "b").history()) == 1


def test_an_alias_moved_by_another_run_meanwhile_is_looked_at_again(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Registry.move
    raced = []

    def late(self: Registry, *words: Any, **flags: Any) -> Any:
        if not raced:
            raced.append(True)  # the same version, moved by a run a moment earlier
            move(self, "challenger", VERSION, reason="the other run")
        return move(self, *words, **flags)

    monkeypatch.setattr(Registry, "move", late)
    decision = decide(artifacts, "pass")
    assert (decision.promoted, decision.moved) == (True, False)
    assert len(Registry(artifacts, "b").history()) == 1


def test_a_backtest_of_another_version_is_not_taken_for_evidence(artifacts: Path) -> None:
    with pytest.raises(ArtifactError, match="another version"):
        promote(
            trained(artifacts), backtested(artifacts, "ffffffffffff"), judged(artifacts, "pass"),
            book="b", preset="moderate",
        )  # fmt: skip
    assert Registry(artifacts, "b").aliases()["challenger"] is None


def test_altered_gates_are_not_believed(artifacts: Path) -> None:
    gates = judged(artifacts, "fail")
    path = Store(artifacts).path(gates) / "gates.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"fail"', '"pass"'), encoding="utf-8")
    with pytest.raises(ArtifactError):
        promote(trained(artifacts), backtested(artifacts), gates, book="b", preset="moderate")
    assert Registry(artifacts, "b").aliases()["challenger"] is None
