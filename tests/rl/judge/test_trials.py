"""Trials are counted once each, if and only if their hours overlap what is judged."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rl.judge.daily import daily_sharpes
from rl.judge.trials import Trials, count_trials

START = datetime(2025, 3, 1, tzinfo=UTC)
END = START + timedelta(days=30)


def opening(trial: str | None, first: int = 0, last: int = 30, **more: Any) -> dict[str, Any]:
    """An opening from day `first` to day `last`, of the window that begins on day 0 and ends on day 30."""
    window = [(START + timedelta(days=day)).isoformat() for day in (first, last)]
    return {
        "kind": "opening",
        "trial": trial,
        "window": window,
        "purpose": "promotion",
        "version": "v",
        **more,
    }


def count(*lines: dict[str, Any], own: str = "") -> int:
    return count_trials(lines, START, END, preset="moderate", own=own).count


def test_the_same_trial_opened_again_counts_once_whatever_for() -> None:
    assert count(opening("a"), opening("a", purpose="ad hoc", version="w"), opening("a", 3, 40)) == 1
    assert count(opening("a"), opening("b"), opening("b", config="other")) == 2


@pytest.mark.parametrize(
    ("first", "last", "counts"),
    [(-5, 0, False), (-5, 1, True), (29, 60, True), (30, 60, False), (5, 6, True)],
)
def test_only_windows_that_share_an_hour_count(first: int, last: int, counts: bool) -> None:
    assert count(opening("a"), opening("b", first, last)) == 1 + counts


def test_the_trial_that_is_judged_counts_also_if_nothing_was_written_down() -> None:
    assert count() == 1
    assert count(opening("a"), own="a") == 1
    assert count(opening("a"), own="b") == 2
    assert count(opening("old", -9, -1), own="b") == 1


def test_lines_that_are_no_openings_or_tell_no_window_are_passed_over() -> None:
    strange: list[dict[str, Any]] = [
        opening("t") | {"kind": "trial"},
        opening("u") | {"window": None},
        opening("v") | {"window": ["yesterday", "today"]},
        opening("w") | {"window": [1, 2]},
        {"kind": "opening"},
        opening(None, version=None),
    ]
    assert count(opening("a"), *strange) == 1


def test_an_old_line_without_a_trial_stands_for_its_version() -> None:
    old = opening(None)
    assert count(opening("a"), old, old) == 2


def test_windows_without_a_zone_are_utc() -> None:
    naive = opening("b") | {"window": ["2025-03-30T23:00", "2025-04-02T00:00"]}
    assert count(opening("a"), naive) == 2


def test_folds_end_to_end_are_one_curve_and_seeds_on_the_same_hours_are_several() -> None:
    def folds(*names: str, purpose: str = "walk-forward") -> list[dict[str, Any]]:
        return [
            opening(f"{name}{k}", 10 * k, 10 * k + 10, purpose=purpose) for k in range(3) for name in names
        ]

    assert count(*folds("s")) == 1
    assert count(*folds("s", "t")) == 2
    assert count(*folds("s", "t"), opening("a")) == 3
    assert count(*folds("s", purpose="promotion")) == 3
    assert count(*folds("s"), opening("s1", 10, 20)) == 2  # opened on its own as well


def test_sharpe_ratios_are_those_of_the_judged_profile_and_each_trial_has_one() -> None:
    def told(sharpe: float, days: float = 30) -> dict[str, Any]:
        return {
            "daily_sharpe": {"moderate": {"sharpe": sharpe, "days": days}, "other": {"sharpe": 9, "days": 30}}
        }

    lines = [opening("a", **told(0.1)), opening("a", **told(0.1)), opening("b", **told(0.3)), opening("c")]
    trials = count_trials(lines, START, END, preset="moderate")
    assert trials.count == 3
    assert trials.variance(30) == pytest.approx(np.var([0.1, 0.3], ddof=1))
    # A short window's ratio varies more, and says as much about a long one as its days allow.
    short = count_trials([opening("a", **told(0.4, 10)), opening("b")], START, END, preset="moderate")
    assert short.scores == pytest.approx((0.4 * math.sqrt(10),))
    assert short.variance(30) is None


@pytest.mark.parametrize(
    "told", [None, {}, {"moderate": None}, {"moderate": {"sharpe": None, "days": 3}}, {"moderate": 0.3}]
)
def test_an_old_line_without_a_sharpe_ratio_counts_and_says_nothing_of_how_far_trials_are_apart(
    told: Any,
) -> None:
    trials = count_trials([opening("a", daily_sharpe=told), opening("b")], START, END, preset="moderate")
    assert (trials.count, trials.scores) == (2, ())


def test_worthless_trials_of_any_length_have_scores_of_variance_one() -> None:
    rng = np.random.default_rng(0)
    scores = []
    for days in (20, 60) * 1_000:
        daily = rng.normal(size=days)
        scores.append(daily.mean() / daily.std(ddof=1) * math.sqrt(days))
    assert Trials(len(scores), tuple(scores)).variance(1) == pytest.approx(1.0, abs=0.2)


def test_a_backtest_tells_the_daily_sharpe_ratio_of_the_agent_under_each_profile() -> None:
    time = pd.date_range("2025-03-01", periods=24 * 5 + 1, freq="h", tz="UTC", unit="us")
    rng = np.random.default_rng(0)
    parts = {
        ("moderate", "agent"): 100 + rng.normal(size=len(time)).cumsum(),
        ("moderate", "greedy"): 100 + rng.normal(size=len(time)).cumsum(),
        ("idle", "agent"): np.full(len(time), 100.0),
    }
    equity = pd.concat(
        pd.DataFrame({"preset": preset, "policy": policy, "run": 0, "time": time, "nlv": nlv})
        for (preset, policy), nlv in parts.items()
    )
    midnights = parts["moderate", "agent"][::24]
    daily = midnights[1:] / midnights[:-1] - 1
    assert daily_sharpes(equity) == {
        "moderate": {"sharpe": pytest.approx(daily.mean() / daily.std(ddof=1)), "days": 5.0}
    }
