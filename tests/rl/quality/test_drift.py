"""Drift is measured as the literature has it, and sees what happens to a feed."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.special import rel_entr
from scipy.stats import ks_2samp

from rl.quality.day import DayFacts
from rl.quality.drift import (
    EMPTY,
    FEATURES,
    PER_HOUR,
    VENUES,
    by_name,
    by_value,
    coarse,
    ks_statistic,
    make_reference,
    measure_drift,
    stability_index,
)
from rl.quality.sketch import empty, sketch
from schemas.drift import DriftReport, FeatureDrift, Reference

FIRST = 480_000  # in hours since 1970
WEEK = 168


def counts(*rows: float) -> np.ndarray:
    return np.array(rows, dtype=np.int64)


def test_the_stability_index_by_hand() -> None:
    # (0.25 - 0.5) ln(0.25 / 0.5) + (0.75 - 0.5) ln(0.75 / 0.5) = 0.17329 + 0.10137
    found = stability_index(counts(5e8, 5e8), counts(2.5e8, 7.5e8))
    assert found == pytest.approx(0.274653, abs=1e-6)
    assert stability_index(counts(10, 20, 70), counts(100, 200, 700)) == pytest.approx(0.0, abs=2e-3)


def test_the_stability_index_is_the_sum_of_both_relative_entropies() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = rng.integers(1, 10**6, (2, 10))
        p, q = (a + EMPTY) / (a + EMPTY).sum(), (b + EMPTY) / (b + EMPTY).sum()
        assert stability_index(a, b) == pytest.approx(float(rel_entr(p, q).sum() + rel_entr(q, p).sum()))


def test_an_empty_bin_says_as_much_as_its_rows_can_tell() -> None:
    tenth = counts(*[1000] * 10)
    emptied = counts(0, *[10_000 / 9] * 9)
    by_hand = (10_000 / 9 / 10_000 - 0.1) * math.log(10 / 9) * 9 + 0.1 * math.log(0.1 * 10_005 / 0.5)
    assert stability_index(tenth, emptied) == pytest.approx(by_hand, rel=0.01)
    few = stability_index(counts(*[100] * 10), counts(0, *[18] * 9))
    assert 0.2 < few < 0.5 < stability_index(tenth, emptied)
    assert math.isfinite(stability_index(counts(10, 0), counts(0, 10)))
    assert stability_index(counts(500, 0, 500), counts(5, 0, 5)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("kind", ["normal", "lognormal", "half at one rate"])
def test_the_ks_statistic_is_scipys_to_the_width_of_a_bin(kind: str, shift: float) -> None:
    rng = np.random.default_rng(3)

    def draw(n: int, by: float) -> np.ndarray:
        values = rng.normal(by, 1, n)
        if kind == "lognormal":
            return np.exp(values)
        return np.where(rng.random(n) < 0.5, 0.01, values) if kind != "normal" else values

    known, recent = draw(20_000, 0.0), draw(3_000, shift)
    binned = by_value(sketch(known))
    edges = np.array(binned.edges)
    now = np.bincount(np.searchsorted(edges, recent), minlength=len(edges) + 1)
    ours, exact = ks_statistic(np.array(binned.counts), now), ks_2samp(known, recent).statistic
    assert ours == pytest.approx(exact, abs=0.02)
    told = measured({"volume_24h": known}, {"volume_24h": recent})["volume_24h"]
    assert told.ks == pytest.approx(exact, abs=0.02)


def test_a_coarse_bin_holds_a_tenth_and_a_value_that_many_have_stays_alone() -> None:
    groups = coarse(counts(*[1] * 100))
    assert Counter(groups.tolist()) == dict.fromkeys(range(10), 10)
    assert coarse(counts(0, 700, 0, 200, 3, 97)).tolist() == [0, 1, 2, 3, 4, 4]
    assert coarse(counts(5, 5, 5, 5, 1)).tolist() == [0, 1, 2, 3, 4]
    assert coarse(counts(0, 0)).tolist() in ([0, 0], [0, 1])


def facts(
    columns: dict[str, np.ndarray], venues: dict[str, int] | None = None, hours: int = WEEK
) -> DayFacts:
    rows = max(map(len, columns.values()), default=0)
    return DayFacts(
        rows=rows,
        sketches={name: sketch(values) for name, values in columns.items()},
        venues=venues or {"binance": rows, "bybit": rows},
        hours=dict.fromkeys(range(FIRST, FIRST + hours), rows // hours),
    )


def reference(columns: dict[str, np.ndarray], venues: dict[str, int] | None = None) -> Reference:
    return make_reference(facts(columns, venues), "d", FIRST, FIRST + WEEK)


def measured(
    known: dict[str, np.ndarray], now: dict[str, np.ndarray], **more: Any
) -> dict[str, FeatureDrift]:
    report = measure_drift(facts(now, **more), "d", FIRST, FIRST + WEEK, reference(known))
    return {one.feature: one for one in report.features}


def test_the_same_rows_have_not_moved() -> None:
    rows = np.random.default_rng(4).normal(0, 1, 5000)
    same = measured(dict.fromkeys(FEATURES, rows), dict.fromkeys(FEATURES, rows))
    assert set(same) >= {*FEATURES, PER_HOUR, VENUES}
    assert max(one.psi or 0.0 for one in same.values()) == 0.0
    assert max(one.ks or 0.0 for one in same.values()) == 0.0


@pytest.mark.parametrize("to", [1.0, 4.0, 7.9, 8.2])
def test_a_value_that_all_rows_had_is_left_on_either_side_and_that_is_seen(to: float) -> None:
    eight = np.full(4000, 8.0)
    moved = measured({"volume_24h": eight}, {"volume_24h": np.where(np.arange(4000) < 2000, 8.0, to)})
    assert moved["volume_24h"].psi > 2.0  # type: ignore[operator]
    assert moved["volume_24h"].ks == pytest.approx(0.5)
    assert measured({"volume_24h": eight}, {"volume_24h": eight})["volume_24h"].psi == 0.0


def test_a_column_that_is_empty_now_or_was_until_now_has_moved_and_one_that_always_was_has_not() -> None:
    there, gone = np.random.default_rng(5).normal(0, 1, 4000), np.full(4000, np.nan)
    left = measured({"volume_24h": there}, {"volume_24h": gone})["volume_24h"]
    assert left.psi > 4.0 and left.ks is None and left.note == "empty now"  # type: ignore[operator]
    assert left.missing == (0.0, 1.0)
    come = measured({"volume_24h": gone}, {"volume_24h": there})["volume_24h"]
    assert come.psi > 4.0 and come.note == "empty until now"  # type: ignore[operator]
    never = measured({"volume_24h": gone}, {"volume_24h": gone})["volume_24h"]
    assert (never.psi, never.ks, never.note) == (None, None, "empty in both")


def test_a_venue_that_is_gone_and_one_that_is_new_are_named() -> None:
    known = reference({"volume_24h": np.ones(1000)}, {"binance": 1000, "bybit": 1000})
    now = facts({"volume_24h": np.ones(1000)}, {"binance": 1000, "<b>okx</b>": 1000})
    report = measure_drift(now, "d", FIRST, FIRST + WEEK, known)
    [venues] = [one for one in report.features if one.feature == VENUES]
    assert venues.psi > 4.0 and venues.ks is None  # type: ignore[operator]
    assert venues.note == "gone: bybit; new: <b>okx</b>"
    rates = {one.feature for one in report.features if "@" in one.feature}
    assert rates == {"rate_8h@binance", "rate_8h@bybit", "interval_hours@binance", "interval_hours@bybit"}


def test_of_a_hundred_thousand_venues_the_largest_are_kept_and_the_reference_stays_small() -> None:
    many = {f"venue {i}": 1 for i in range(100_000)} | {"binance": 50_000}
    kept = by_name(many)
    assert kept.names[0] == "binance" and len(kept.names) == 30 and sum(kept.counts) == 150_000
    rng = np.random.default_rng(6)
    wide = {name: rng.standard_t(2, 20_000) for name in FEATURES}
    text = reference(wide, many).model_dump_json()
    assert len(text) < 100_000
    assert Reference.model_validate_json(text) == reference(wide, many)


def test_hours_without_a_row_count_as_nothing_on_offer_and_are_not_judged() -> None:
    known = reference({"volume_24h": np.ones(WEEK * 10)})
    now = facts({"volume_24h": np.ones(WEEK * 10)}, hours=WEEK // 2)
    report = measure_drift(now, "d", FIRST, FIRST + WEEK, known)
    [offered] = [one for one in report.features if one.feature == PER_HOUR]
    assert not offered.judged
    assert offered.ks == pytest.approx(0.5)  # twice as many in half of the hours, none in the others
    assert report.hours == WEEK // 2


def test_less_than_a_day_is_not_known() -> None:
    known = reference({"volume_24h": np.ones(1000)})
    short = measure_drift(facts({"volume_24h": np.ones(50)}, hours=23), "d", FIRST, FIRST + 23, known)
    assert short.unknown == "The recent window has 23 hours with rows, and 24 are needed."
    nothing = measure_drift(DayFacts(), "d", FIRST, FIRST + 23, None, unknown="Nobody knows.")
    assert (nothing.features, nothing.unknown) == ((), "Nobody knows.")
    assert DriftReport.model_validate_json(short.model_dump_json()) == short


def test_an_empty_feature_has_a_distribution_too() -> None:
    nothing = by_value(empty(7))
    assert (nothing.known, nothing.rows, nothing.middle) == (0, 7, None)
