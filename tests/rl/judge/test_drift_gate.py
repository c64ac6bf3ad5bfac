"""The drift gate says in words what moved, against what, and when it does not know."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rl.judge.champion import champion_gates
from rl.judge.drift import drift_gates, drift_words, ranked, verdict_of
from schemas.drift import Distribution, DriftLimits, DriftReport, FeatureDrift, Reference
from schemas.promotion import Gate, PromotionPolicy

LIMITS = DriftLimits()
KNOWN = Reference(
    data="d0", start=datetime(2025, 1, 1, tzinfo=UTC), end=datetime(2025, 2, 1, tzinfo=UTC), rows=9,
    features={"volume_24h": Distribution(edges=(1.0,), counts=(4, 5))},
)  # fmt: skip


def feature(name: str = "volume_24h", psi: float | None = 0.05, ks: float | None = 0.05, **more: Any) -> Any:
    facts: dict[str, Any] = {"missing": (0.0, 0.0), "middle": (1.0, 1.0)}
    return FeatureDrift(feature=name, psi=psi, ks=ks, **facts | more)


def report(*features: FeatureDrift, **changes: Any) -> DriftReport:
    facts: dict[str, Any] = {
        "data": "d1", "start": datetime(2025, 3, 1, tzinfo=UTC), "end": datetime(2025, 3, 8, tzinfo=UTC),
        "hours": 168, "rows": 100, "champion": "", "against": KNOWN, "features": features,
    }  # fmt: skip
    return DriftReport(**facts | changes)


def gate(found: DriftReport | None, limits: DriftLimits = LIMITS, **more: Any) -> Gate:
    [one] = drift_gates(found, limits, **{"data": "d1", "reigning": None} | more)
    return one


def test_rows_like_those_trained_on_pass() -> None:
    one = gate(report(feature(), feature("venues", 0.0, None)))
    assert (one.name, one.verdict, one.threshold) == ("drift", "pass", 0.7)
    assert one.reason.startswith("Of 2 features of the 168 newest hours, none moved by a major shift")
    assert "the data set's own train window" in one.reason


def test_a_major_shift_is_told_and_does_not_block() -> None:
    found = report(feature(psi=1.4, ks=0.3), feature("leg_spread"))
    one = gate(found)
    assert (one.verdict, one.value, one.threshold) == ("pass", 0.3, 0.7)
    assert "1 moved by a major shift" in one.reason and "none of them beyond the limits" in one.reason


@pytest.mark.parametrize(
    ("psi", "ks", "told"),
    [(5.0, 0.3, "a PSI of 5.00, above the 4"), (0.3, 0.8, "a KS distance of 0.80, above the 0.7")],
)
def test_either_limit_blocks_and_names_the_feature(psi: float, ks: float, told: str) -> None:
    found = report(feature("leg_spread"), feature("venues", psi, ks, note="gone: bybit"), champion="v0")
    one = gate(found, reigning=("v0", "d0"))
    assert one.verdict == "fail"
    assert "against the training data of the champion v0" in one.reason
    assert f"The farthest is venues (gone: bybit): {told} allowed." in one.reason
    assert "Look at the feed" in one.reason


def test_a_limit_is_allowed_and_beyond_it_is_not() -> None:
    assert gate(report(feature(psi=4.0))).verdict == "pass"
    assert gate(report(feature(psi=4.001))).verdict == "fail"
    assert gate(report(feature(psi=4.001)), DriftLimits(max_psi=5)).verdict == "pass"
    assert gate(report(feature(ks=0.5)), DriftLimits(max_ks=0.4)).verdict == "fail"


def test_what_is_shown_and_not_judged_blocks_nothing() -> None:
    found = report(feature(), feature("rows_per_hour", 12.0, 0.9, judged=False))
    assert gate(found).verdict == "pass"
    assert ranked(found, LIMITS)[-1].feature == "rows_per_hour"
    assert verdict_of(found.features[1], LIMITS) == "major"


def test_what_is_not_known_is_said_in_words_and_never_passes() -> None:
    old = report(champion="v0", against=None, unknown="The champion v0 was registered before.")
    for found, reigning, told in (
        (None, None, "were not compared with training data"),
        (report(feature(), data="other"), None, "were not compared with training data"),
        (old, ("v0", "d0"), "Drift is not known. The champion v0 was registered before."),
        (report(feature(), unknown="The recent window has 3 hours."), None, "The recent window has 3 hours."),
        (report(feature(psi=None, ks=None)), None, "no feature has a value on both sides"),
        (report(feature("rows_per_hour", judged=False)), None, "no feature has a value on both sides"),
        (
            report(feature(), champion="v0"),
            ("v1", "d0"),
            "v0, which is not the champion any more.",
        ),
        (report(feature(), champion="v0"), None, "v0, which is not the champion any more."),
        (report(feature()), ("v1", "d0"), "training data of the champion v1. Run again."),
    ):
        one = gate(found, reigning=reigning)
        assert (one.verdict, one.value) == ("fail", None)
        assert told in one.reason


def test_a_champion_trained_on_the_same_data_needs_no_other_comparison() -> None:
    assert gate(report(feature()), reigning=("v1", "d1")).verdict == "pass"


def test_a_policy_may_let_drift_be_told_alone() -> None:
    told = DriftLimits(blocks=False)
    assert drift_gates(None, told, data="d1", reigning=None) == []
    assert "beyond the limits: venues" in drift_words(report(feature("venues", 9.0, None)), told)


def test_the_champion_is_asked_for_it() -> None:
    asked = champion_gates([], None, [], PromotionPolicy(), drift=[gate(None)])
    assert [one.name for one in asked][-1] == "drift"


def test_a_verdict_goes_by_the_policys_own_thresholds() -> None:
    for psi, wanted in (
        (0.05, "steady"),
        (0.2, "watch"),
        (0.3, "major"),
        (4.5, "beyond"),
        (None, "not known"),
    ):
        assert verdict_of(feature(psi=psi), LIMITS) == wanted
    strict = DriftLimits(watch_psi=0.01, major_psi=0.02, max_psi=0.04)
    assert verdict_of(feature(psi=0.05), strict) == "beyond"
