"""Splits: chronological, embargoed, and refused where the data is too short."""

import pytest

from rl.market.arrays import HOUR_MS
from rl.market.splits import Splits, split_windows
from schemas.errors import DataError

START_MS = 1_746_057_600_000  # 2025-05-01T00:00Z


def lengths(splits):
    return [
        splits.train.hours,
        splits.embargo_hours,
        splits.validation.hours,
        splits.embargo_hours,
        splits.test.hours,
    ]


def test_a_week_splits_into_91_8_30_8_31_with_a_warning():
    splits = split_windows(168, START_MS, 336)
    assert lengths(splits) == [91, 8, 30, 8, 31]
    assert splits.episode_hours == 22
    assert "168 hours (7.0 days)" in splits.warning


@pytest.mark.parametrize(
    ("hours", "episode", "expected"),
    [
        (2064, 336, [1114, 103, 371, 103, 373]),  # 5 % of the hours are the smaller embargo
        (20_000, 336, [11510, 408, 3836, 408, 3838]),  # 72 h and an episode are
        (2064, 24, [1123, 96, 374, 96, 375]),
    ],
)
def test_the_embargo_is_72_hours_and_an_episode_or_5_percent(hours, episode, expected):
    splits = split_windows(hours, START_MS, episode)
    assert lengths(splits) == expected and sum(expected) == hours
    assert splits.episode_hours == min(episode, expected[0] // 4)
    assert splits.warning is None


def test_windows_are_half_open_and_apart_by_the_embargo():
    splits = split_windows(168, START_MS, 336)
    assert splits.train.start_ms == START_MS
    assert splits.train.rows(START_MS) == (0, 91)
    assert splits.validation.rows(START_MS) == (99, 129)
    assert splits.test.rows(START_MS) == (137, 168)
    assert splits.test.rows(START_MS + 100 * HOUR_MS) == (37, 68)
    assert splits.test.end_ms == START_MS + 168 * HOUR_MS
    assert not splits.train.overlaps(splits.validation)
    next_to = splits.train.model_copy(update={"start": splits.train.end, "end": splits.validation.end})
    assert not splits.train.overlaps(next_to) and next_to.overlaps(splits.validation)


def test_splits_are_written_as_utc_timestamps_and_read_back():
    splits = split_windows(168, START_MS, 336)
    text = splits.model_dump_json()
    assert '"start":"2025-05-01T00:00:00Z"' in text
    assert Splits.model_validate_json(text) == splits


def test_14_days_carry_no_warning():
    assert split_windows(14 * 24, START_MS, 336).warning is None
    assert split_windows(14 * 24 - 1, START_MS, 336).warning is not None


@pytest.mark.parametrize("hours", [0, 1, 24, 100])
def test_too_few_hours_are_refused_in_one_sentence_with_both_numbers(hours):
    with pytest.raises(DataError) as error:
        split_windows(hours, START_MS, 336)
    assert f"{hours} hours, and 132 are needed" in str(error.value)
    assert error.value.remedy


def test_the_number_of_hours_asked_for_is_the_smallest_that_works():
    assert min(lengths(split_windows(132, START_MS, 336))[::2]) == 24
    with pytest.raises(DataError):
        split_windows(131, START_MS, 336)


def test_every_length_splits_without_a_lost_hour():
    for hours in range(140, 3000, 7):
        for episode in (24, 100, 336):
            splits = split_windows(hours, START_MS, episode)
            assert sum(lengths(splits)) == hours
            assert min(lengths(splits)[::2]) >= max(24, splits.episode_hours)
            assert splits.episode_hours <= splits.train.hours / 4
