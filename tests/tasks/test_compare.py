"""Two versions side by side: what differs, what they earned on equal hours, and what makes it unfair."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from schemas.comparison import Comparison
from schemas.errors import ArtifactError, ConfigError
from schemas.version import Windows
from tasks.bundles import Bundles
from tasks.compare import compare
from tasks.registry import Registry
from tasks.store import Store
from tests.tasks.made import OTHER, VERSION, backtested, gate, judgement, kept

LATER = Windows(
    train=("2025-01-01T00:00Z", "2025-01-08T06:00Z"),
    validation=("2025-01-08T12:00Z", "2025-01-10T00:00Z"),
    test=("2025-01-11T00:00Z", "2025-01-12T00:00Z"),
)


def side_by_side(root: Path) -> Comparison:
    return compare(Store(root), "b", VERSION, OTHER)


def differences(root: Path) -> list[tuple[str, Any, Any]]:
    return [(one.parameter, one.a, one.b) for one in side_by_side(root).recipe]


def test_only_parameters_that_differ_are_listed_and_the_seed_is_none_of_them(artifacts: Path) -> None:
    kept(artifacts, VERSION, seed=3, learning_rate=1e-3, rules={"fees": {"x": 1}})
    kept(artifacts, OTHER, seed=4, learning_rate=3e-4, rules={"fees": {"x": 2}})
    found = side_by_side(artifacts)
    assert differences(artifacts) == [("rules.fees.x", 1, 2), ("training.learning_rate", 1e-3, 3e-4)]
    assert (found.a.seed, found.b.seed) == (3, 4)
    shutil.rmtree(artifacts / "store")
    assert side_by_side(artifacts).recipe == found.recipe


def test_equal_recipes_differ_in_nothing(artifacts: Path) -> None:
    kept(artifacts, VERSION, seed=3)
    kept(artifacts, OTHER, seed=4)
    found = side_by_side(artifacts)
    assert (found.recipe_known, found.recipe) == (True, ())
    assert found.warnings == ()


def test_a_recipe_that_is_gone_is_unknown_and_not_equal(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    kept(artifacts, OTHER)
    shutil.rmtree(artifacts / "store")
    shutil.rmtree(Bundles(artifacts, "b").folder(OTHER))
    assert not side_by_side(artifacts).recipe_known


def test_the_last_gates_and_every_alias_are_side_by_side(artifacts: Path) -> None:
    kept(artifacts, VERSION, "pass", "fail")
    kept(artifacts, OTHER, "pass")
    registry = Registry(artifacts, "b")
    for alias in ("challenger", "champion"):
        registry.move(alias, VERSION, reason="x")
    registry.wait("champion", OTHER, expected=VERSION, judgement="j", report="r", reason="x")
    found = side_by_side(artifacts)
    assert {name: gate.verdict for name, gate in found.a.gates.items()} == {
        "gate 0": "pass",
        "gate 1": "fail",
    }
    assert {name: gate.verdict for name, gate in found.b.gates.items()} == {"gate 0": "pass"}
    assert (found.a.aliases, found.a.awaiting) == (("challenger", "champion"), ())
    assert (found.b.aliases, found.b.awaiting) == ((), ("champion",))


def test_a_test_window_the_other_was_trained_on_is_warned_of(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    kept(artifacts, OTHER, windows=LATER, data="more")
    found = side_by_side(artifacts)
    assert found.fair_from == "2025-01-10T00:00:00+00:00"
    assert found.warnings == (
        f"The test window of {VERSION} begins before the validation of {OTHER} ended (it shares hours with "
        "its train and validation): compare only on hours after both models' validation end, "
        "2025-01-10T00:00 UTC.",
        "Their test windows are not the same, so their test returns are of different hours.",
        "They were trained on different data.",
    )


def test_a_test_window_wholly_before_the_others_training_is_warned_of_too(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    day = [f"2025-02-0{n}T00:00Z" for n in range(1, 7)]
    kept(artifacts, OTHER, windows=Windows(train=day[0:2], validation=day[2:4], test=day[4:6]))  # type: ignore[arg-type]
    warnings = side_by_side(artifacts).warnings
    assert "ended: compare only on hours after both models' validation end, 2025-02-04" in warnings[0]
    assert not any(f"test window of {OTHER}" in warning for warning in warnings)


def test_backtests_of_equal_hours_and_data_are_paired_and_others_are_not(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    kept(artifacts, OTHER, windows=LATER)
    for day, pct in ((11, 2.0), (12, 3.0)):
        backtested(artifacts, VERSION, day=day, return_pct=pct)
    backtested(artifacts, OTHER, day=11, return_pct=-1.0)
    backtested(artifacts, OTHER, day=12, data="other data", return_pct=9.0)
    found = side_by_side(artifacts).shared
    assert [(s.start[:10], s.preset, s.a_pct, s.b_pct, s.fair) for s in found] == [
        ("2025-01-08", "moderate", 1.2, 1.2, False),  # their own tests, before the later validation ended
        ("2025-01-11", "moderate", 2.0, -1.0, True),
    ]


def test_gates_of_other_thresholds_and_profiles_are_warned_of(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    kept(artifacts, OTHER)
    stricter = [gate("gate 0").model_copy(update={"threshold": 0.5})]
    tested = backtested(artifacts, OTHER)
    judgement(artifacts, stricter, tested=tested, created="2025-02-01T00:00:00+00:00", preset="aggressive")
    assert side_by_side(artifacts).warnings == (
        "They were judged under different risk profiles: moderate and aggressive.",
        "They were judged against different thresholds: gate 0.",
    )


def test_a_backtest_that_was_altered_is_not_compared(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    kept(artifacts, OTHER)
    for version in (VERSION, OTHER):
        ref = backtested(artifacts, version, day=11)
    path = Store(artifacts).path(ref) / "backtest.json"
    path.write_text(path.read_text().replace("1.2", "9.2"))
    assert [s.start[:10] for s in side_by_side(artifacts).shared] == ["2025-01-08"]


def test_what_cannot_be_compared_is_refused(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    with pytest.raises(ConfigError, match=f"are the same version, {VERSION}"):
        compare(Store(artifacts), "b", VERSION, VERSION[:5])
    with pytest.raises(ArtifactError, match="there is no version 'ffff'"):
        compare(Store(artifacts), "b", VERSION, "ffff")
