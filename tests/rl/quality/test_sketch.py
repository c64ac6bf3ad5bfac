"""A sketch says of a column what sorting all of it would, to one percent, however its rows are cut."""

from __future__ import annotations

import numpy as np
import pytest

from rl.quality.sketch import ACCURACY, Sketch, empty, merge, sketch, tops_of, values_of

DRAWS = {
    "prices": lambda rng: np.exp(rng.normal(0, 3, 5000)),
    "rates of either sign": lambda rng: rng.standard_t(3, 5000) * 1e-4,
    "half zeros": lambda rng: np.where(rng.random(5000) < 0.5, 0.0, rng.normal(0, 1, 5000)),
    "one value": lambda rng: np.full(100, 8.0),
}


def same(a: Sketch, b: Sketch) -> bool:
    arrays = [np.array_equal(getattr(a, name), getattr(b, name)) for name in ("keys", "counts", "least")]
    return all(arrays) and (a.nulls, a.low, a.high) == (b.nulls, b.low, b.high)


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("q", [0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 1.0])
def test_a_quantile_is_a_value_that_occurs_within_a_percent_of_the_one_with_that_rank(
    name: str, q: float
) -> None:
    values = DRAWS[name](np.random.default_rng(1))
    found = sketch(values).quantile(q)
    exact = np.sort(values)[max(int(np.ceil(q * len(values))), 1) - 1]
    assert found in values
    assert found == pytest.approx(exact, rel=2.1 * ACCURACY, abs=1e-9)


def test_days_add_up_to_all_of_their_rows_in_any_order_bit_for_bit() -> None:
    rng = np.random.default_rng(2)
    values = np.where(rng.random(4000) < 0.1, np.nan, rng.normal(0, 1, 4000))
    cuts = np.split(values, [1, 700, 701, 3000])
    whole = sketch(values)
    assert same(merge([sketch(part) for part in cuts]), whole)
    assert same(merge([sketch(part) for part in cuts[::-1]]), whole)
    assert same(merge([merge([sketch(cuts[0]), empty()]), *map(sketch, cuts[1:])]), whole)
    assert (whole.nulls, whole.rows) == (int(np.isnan(values).sum()), 4000)


def test_nothing_is_too_large_or_too_small_and_nothing_at_all_has_no_quantile() -> None:
    found = sketch(np.array([np.inf, -np.inf, 1e300, -1e300, 1e-300, 0.0, np.nan]))
    assert (found.known, found.nulls, len(found.keys)) == (6, 1, 3)
    assert empty(5).quantile(0.5) is None and (empty(5).rows, empty(5).known) == (5, 0)
    assert sketch(np.array([np.nan, np.nan])).rows == 2


def test_buckets_follow_each_other_and_hold_the_values_they_stand_for() -> None:
    keys = np.arange(-3000, 3001)
    ends, inside = tops_of(keys), values_of(keys)
    assert (np.diff(ends) > 0).all()
    assert (inside[1:] > ends[:-1]).all() and (inside[:-1] < ends[:-1]).all()
