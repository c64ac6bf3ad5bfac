"""`carryflow predict`: what it answers, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.trading import PRESETS, MarketRules
from tasks.features import features
from tasks.ingest import ingest
from tasks.registry import Registry
from tests.flows.conftest import Answer
from tests.tasks.test_registry import A, record

Predict = Callable[..., Answer]


@pytest.fixture(scope="module")
def built(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact root in which the sample's features are built."""
    root = tmp_path_factory.mktemp("predict") / "artifacts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARRYFLOW_ARTIFACTS", str(root))
        features(ingest(sample).ref, rules=MarketRules(), episode_hours=336, split=False)
    return root


@pytest.fixture
def registry(built: Path, artifacts: Path) -> Registry:
    """A book with a version that no alias points at."""
    shutil.copytree(built, artifacts)
    registry = Registry(artifacts, "b")
    registry.register(record(A))
    return registry


@pytest.fixture
def predict(carryflow, registry: Registry, sample: Path) -> Predict:
    """Ask for a decision."""
    return lambda *words: carryflow("predict", "--data", sample, "--book", "b", *words)


def test_an_alias_that_was_retired_means_hold(predict: Predict, registry: Registry) -> None:
    registry.move("challenger", A, reason="gates hold")
    registry.move("challenger", None, reason="lost money for a week.")
    answer = predict()
    assert (answer.code, answer.err) == (0, "")
    assert "challenger of book b is set to none since 20" in answer.out
    assert "(lost money for a week), which means hold." in answer.out
    for preset in PRESETS:
        [line] = [line for line in answer.out.splitlines() if line.startswith(f"{preset}  ")]
        assert line.split()[1:5] == ["hold", "-", "-", "1.00"]
    told: dict[str, Any] = json.loads(predict("--json").out)
    assert told["version"] is None
    assert told["why"].endswith("which means hold.")
    assert [(made["decision"]["kind"], made["value"]) for made in told["presets"]] == [("hold", None)] * 3


def test_an_alias_that_never_pointed_anywhere_means_hold(predict: Predict) -> None:
    answer = predict("--preset", "moderate", "--model", "champion")
    assert answer.code == 0
    assert "champion of book b is set to none: no version was promoted yet, which means hold." in answer.out


def test_a_book_that_holds_no_version_is_a_mistake_and_not_a_decision(carryflow, predict, sample) -> None:
    answer = carryflow("predict", "--data", sample, "--book", "deks")
    assert answer.code == 2
    assert "Nothing is registered yet" in answer.err
    assert predict("--model", "nobody").code == 2
