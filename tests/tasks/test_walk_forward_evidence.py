"""A recipe that has a walk-forward is judged by it; another recipe's proves nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.evidence import Evidence
from schemas.manifest import Ref
from schemas.trading import PRESETS, MarketRules
from schemas.training import TrainingConfig
from schemas.walk_forward import FoldPlan, FoldResult, FoldRun, Span, WalkForwardSummary
from tasks.cache import Cached
from tasks.evidence import walk_forward_of
from tasks.openings import record_opening
from tasks.store import Store
from tests.tasks.candidate import START, Candidate, candidate, curve, parquet, without_pages
from tests.tasks.made import OTHER, content, publish, trained

BEGIN = START - timedelta(days=30)  # earlier than the sealed window, as held-out parts are


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    return without_pages(monkeypatch)


def walked(
    root: Path, made: Candidate, models: list[Ref], *, preset: str = "moderate", data: str = "",
    created: str = "2025-02-01T00:00:00+00:00", daily_pct: float = 0.02,
) -> Ref:  # fmt: skip
    """Leave a walk-forward of two seeds whose only fold has these trainings."""
    hours = pd.date_range(BEGIN, periods=24 * 60 + 1, freq="h", unit="us")
    parts = [
        pd.DataFrame({"preset": "moderate", "who": who, "seed": seed, "fold": 1, "time": hours, "nlv": nlv})
        for who, seed, nlv in (
            ("agent", 0, curve(daily_pct, 5)), ("agent", 1, curve(daily_pct, 6)),
            ("candidate", -1, curve(daily_pct, 5)), ("greedy", -1, curve(0.0, 7)),
        )
    ]  # fmt: skip
    span = Span(start=hours[0], end=hours[-1])
    runs = tuple(
        FoldRun(seed=i, version=OTHER, trial=f"t{i}", model=str(ref), backtest="backtest/" + "0" * 64,
                episodes=8, validation_pct=0.1, results=())
        for i, ref in enumerate(models)
    )  # fmt: skip
    fold = FoldResult(
        number=1, features="fold/" + "0" * 64, train=span, validation=span, test=span, runs=runs, chosen=0,
        baselines=(),
    )  # fmt: skip
    summary = WalkForwardSummary(
        data_hash="d", preset=preset, plan=FoldPlan(), seeds=(0, 1), training=TrainingConfig(),
        rules=MarketRules(), presets=dict(PRESETS), embargo_hours=1, episode_hours=24, start=hours[0],
        end=hours[-1], hours=len(hours), folds=(fold,), curves=(),
    )  # fmt: skip
    files = {
        "walk_forward.json": summary.model_dump_json(),
        "curve.parquet": parquet(pd.concat(parts, ignore_index=True)),
        "made": created,
    }
    told = {"start": BEGIN.isoformat(), "end": hours[-1].isoformat()}
    inputs = {"dataset": data or content(root, made.dataset)}
    return publish(root, "walk-forward", files, told, inputs, params={"preset": preset}, created=created)


def evidence(judged: Cached) -> Evidence:
    return Evidence.model_validate_json((judged.path / "evidence.json").read_text(encoding="utf-8"))


def seeds(root: Path, **recipe: Any) -> list[Ref]:
    return [trained(root, version, seed=seed, **recipe) for seed, version in enumerate((OTHER, "a" * 12))]


def test_the_joined_curve_of_the_same_recipe_is_the_evidence(
    artifacts: Path, pages: list[dict[str, Any]]
) -> None:
    made = candidate(artifacts)
    before = made.judge()
    walk = walked(artifacts, made, seeds(artifacts))
    judged = made.judge()
    assert judged.ref != before.ref
    found = evidence(judged)
    assert (found.source, found.start, found.seeds) == ("walk-forward", BEGIN, 2)
    assert found.over_cash is not None and found.recipe is not None and found.over_greedy is not None
    assert found.over_cash.mean == pytest.approx(0.02, abs=0.015)
    assert evidence(before).over_cash != found.over_cash
    assert str(walk) in {item.reference for item in pages[-1]["lineage"]}
    assert made.judge().hit


def test_trials_are_counted_on_the_hours_of_the_joined_curve(artifacts: Path) -> None:
    made = candidate(artifacts)
    walked(artifacts, made, seeds(artifacts))
    record_opening(
        artifacts, "b", data="d", trial="earlier", version="v", config="c", purpose="p", result={},
        window=[BEGIN.isoformat(), (BEGIN + timedelta(days=5)).isoformat()],
    )  # fmt: skip
    assert evidence(made.judge()).trials == 2
    assert evidence(made.judge(trained=None)).trials == 1  # on the sealed window alone


def test_the_champion_is_compared_with_the_version_itself_and_not_with_its_recipe(artifacts: Path) -> None:
    from tests.tasks.test_judgement import crown

    crown(artifacts)
    made = candidate(artifacts, champion=(OTHER, 0.0))
    alone = evidence(made.judge()).over_champion
    walked(artifacts, made, seeds(artifacts), daily_pct=5.0)
    found = evidence(made.judge())
    assert found.source == "walk-forward"
    assert found.over_champion == alone is not None


@pytest.mark.parametrize(
    "other",
    [{"num_episodes": 77}, {"clip": 0.3}, {"rules": {"taker_fee": 1.0}}, {"code": "other code"},
     {"start_from": "weights"}],
    ids=str,
)  # fmt: skip
def test_another_recipe_proves_nothing_for_this_one(artifacts: Path, other: dict[str, Any]) -> None:
    made = candidate(artifacts)
    same = seeds(artifacts)
    walked(artifacts, made, [same[0], seeds(artifacts, **other)[1]])  # one training of it is enough
    assert evidence(made.judge()).source == "test window"


def test_other_data_and_another_profile_prove_nothing(artifacts: Path) -> None:
    made = candidate(artifacts)
    walked(artifacts, made, seeds(artifacts), data="other data")
    walked(artifacts, made, seeds(artifacts), preset="aggressive")
    assert evidence(made.judge()).source == "test window"


def test_a_candidate_that_started_from_other_weights_is_no_run_of_the_recipe(artifacts: Path) -> None:
    made = candidate(artifacts)
    walked(artifacts, made, seeds(artifacts))
    data = content(artifacts, made.dataset)
    store = Store(artifacts)
    assert walk_forward_of(store, made.model, data, "moderate") is not None
    tuned = trained(artifacts, start_from="weights")
    assert walk_forward_of(store, tuned, data, "moderate") is None


def test_the_newest_of_several_counts_and_an_altered_one_does_not(artifacts: Path) -> None:
    made = candidate(artifacts)
    old = walked(artifacts, made, seeds(artifacts))
    new = walked(artifacts, made, seeds(artifacts), created="2025-03-01T00:00:00+00:00")
    data, store = content(artifacts, made.dataset), Store(artifacts)
    assert walk_forward_of(store, made.model, data, "moderate") == new
    path = store.path(new) / "walk_forward.json"
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert walk_forward_of(store, made.model, data, "moderate") == old
    assert np.isfinite(evidence(made.judge()).blocks)
