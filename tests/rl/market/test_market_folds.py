"""Folds: the newest hours held out in parts, each judged by what was trained and chosen before it."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.market.arrays import HOUR_MS
from rl.market.folds import fold_windows
from rl.market.splits import split_windows
from schemas.errors import DataError
from schemas.walk_forward import FoldPlan

START_MS = 1_746_057_600_000  # 2025-05-01T00:00Z


def rows(splits):
    return [getattr(splits, name).rows(START_MS) for name in ("train", "validation", "test")]


def plans():
    return st.builds(
        FoldPlan,
        n_folds=st.integers(2, 12),
        scheme=st.sampled_from(["expanding", "rolling"]),
        held_out_share=st.floats(0.1, 0.9),
        validation_share=st.floats(0.1, 0.6),
    )


def folds_of(hours, episode, plan):
    """Return the folds, or None where the data is too short, which is refused in words."""
    try:
        return fold_windows(hours, START_MS, episode, plan)
    except DataError as error:
        assert f"the data has {hours} hours" in str(error) and error.remedy
        return None


def test_86_days_in_four_folds():
    folds = fold_windows(2064, START_MS, 336, FoldPlan())
    assert [rows(fold) for fold in folds] == [
        [(0, 620), (723, 929), (1032, 1290)],
        [(0, 813), (916, 1187), (1290, 1548)],
        [(0, 1007), (1110, 1445), (1548, 1806)],
        [(0, 1200), (1303, 1703), (1806, 2064)],
    ]
    assert {(fold.embargo_hours, fold.episode_hours) for fold in folds} == {(103, 155)}


def test_rolling_folds_have_the_first_ones_hours_moved_on():
    first, *others = fold_windows(2064, START_MS, 336, FoldPlan(scheme="rolling"))
    assert rows(first) == rows(fold_windows(2064, START_MS, 336, FoldPlan())[0])
    for number, fold in enumerate(others, start=1):
        assert rows(fold) == [(a + 258 * number, b + 258 * number) for a, b in rows(first)]


@settings(deadline=None)
@given(st.integers(1, 9000), st.integers(2, 400), plans())
def test_held_out_parts_are_disjoint_and_cover_the_newest_hours(hours, episode, plan):
    folds = folds_of(hours, episode, plan)
    if folds is None:
        return
    tests = [fold.test.rows(START_MS) for fold in folds]
    assert len(tests) == plan.n_folds
    assert all(before[1] == after[0] for before, after in pairwise(tests))
    assert tests[-1][1] == hours
    assert hours - tests[0][0] == int(hours * plan.held_out_share)
    lengths = [b - a for a, b in tests]
    assert set(lengths[:-1]) == {lengths[0]}
    assert 0 <= lengths[-1] - lengths[0] < plan.n_folds  # what is left over goes to the last


@settings(deadline=None)
@given(st.integers(1, 9000), st.integers(2, 400), plans())
def test_nothing_of_a_fold_reaches_into_its_held_out_part_and_the_embargo_is_kept(hours, episode, plan):
    folds = folds_of(hours, episode, plan)
    if folds is None:
        return
    embargo = min(72 + episode, hours // 20)
    for fold in folds:
        train, validation, test = rows(fold)
        assert fold.embargo_hours == embargo
        assert 0 <= train[0] < train[1] and train[1] + embargo == validation[0]
        assert validation[0] < validation[1] and validation[1] + embargo == test[0]


@settings(deadline=None)
@given(st.integers(1, 9000), st.integers(2, 400), plans())
def test_no_part_is_shorter_than_a_day_or_an_episode_and_all_folds_share_their_length(hours, episode, plan):
    folds = folds_of(hours, episode, plan)
    if folds is None:
        return
    assert len({fold.episode_hours for fold in folds}) == 1
    for fold in folds:
        shortest = min(fold.train.hours, fold.validation.hours, fold.test.hours)
        assert shortest >= max(24, fold.episode_hours)
        assert fold.episode_hours <= min(episode, fold.train.hours // 4)


@settings(deadline=None)
@given(st.integers(1, 9000), st.integers(2, 400), plans())
def test_validation_is_its_share_rounded_down_and_train_starts_where_the_scheme_says(hours, episode, plan):
    folds = folds_of(hours, episode, plan)
    if folds is None:
        return
    for fold in folds:
        rest = fold.train.hours + fold.validation.hours
        assert fold.validation.hours == int(rest * plan.validation_share)
        if plan.scheme == "rolling":
            assert rest == folds[0].train.hours + folds[0].validation.hours
        else:
            assert fold.train.rows(START_MS)[0] == 0


def test_the_embargo_is_that_of_a_split_of_the_same_hours():
    for hours in (400, 2064, 20_000):
        plan = FoldPlan(n_folds=2)
        assert (
            fold_windows(hours, START_MS, 336, plan)[0].embargo_hours
            == split_windows(hours, START_MS, 336).embargo_hours
        )


def test_too_few_hours_are_refused_with_the_number_that_would_do():
    plan = FoldPlan()
    with pytest.raises(DataError) as error:
        fold_windows(168, START_MS, 336, plan)
    said = str(error.value)
    assert said.startswith("the data has 168 hours, and ") and "4 folds" in said
    needed = int(said.split("and ")[1].split()[0])
    assert fold_windows(needed, START_MS, 336, plan)
    with pytest.raises(DataError):
        fold_windows(needed - 1, START_MS, 336, plan)


@pytest.mark.parametrize("hours", [0, 1, 30])
def test_next_to_no_hours_are_refused_too(hours):
    with pytest.raises(DataError, match=f"the data has {hours} hours"):
        fold_windows(hours, START_MS, 336, FoldPlan())


def test_a_plan_that_no_data_of_a_decade_can_fill_is_refused_without_a_number():
    plan = FoldPlan(n_folds=5000, held_out_share=0.01)
    with pytest.raises(DataError, match=r"the data has 500 hours for 5000 folds"):
        fold_windows(500, START_MS, 336, plan)


def test_windows_are_whole_hours_after_the_markets_first():
    for fold in fold_windows(2064, START_MS, 336, FoldPlan()):
        for window in (fold.train, fold.validation, fold.test):
            assert (window.start_ms - START_MS) % HOUR_MS == 0
            assert window.end_ms <= START_MS + 2064 * HOUR_MS
