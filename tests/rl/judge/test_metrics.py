"""Figures are computed from days of NLV, and not claimed where there are too few."""

from __future__ import annotations

import numpy as np
import pytest

from rl.judge.metrics import (
    DAY_MS,
    MIN_DAYS,
    daily_returns,
    drawdown,
    overlap_hours,
    profit_split,
    return_pct,
    sharpe,
)
from rl.market.arrays import HOUR_MS

MIDNIGHT = 20_000 * DAY_MS


def hours(start_hour: int, n: int) -> np.ndarray:
    return MIDNIGHT + (start_hour + np.arange(n, dtype=np.int64)) * HOUR_MS


def test_return_is_in_percent_of_the_initial_capital() -> None:
    assert return_pct(np.array([10_000.0, 9_000.0, 10_150.0]), 10_000.0) == pytest.approx(1.5)


def test_drawdown_counts_from_the_running_peak_the_start_included() -> None:
    np.testing.assert_allclose(drawdown(np.array([100.0, 90.0, 120.0, 60.0])), [0.0, 0.1, 0.0, 0.5])


def test_daily_returns_use_whole_utc_days_only() -> None:
    time = hours(5, 24 * 3)  # 05:00 of the first day to 04:00 of the fourth: two whole days
    nlv = np.linspace(100.0, 171.0, 72)
    at_midnight = nlv[19::24]
    np.testing.assert_allclose(daily_returns(time, nlv), at_midnight[1:] / at_midnight[:-1] - 1)
    assert len(daily_returns(time, nlv)) == 2
    assert len(daily_returns(hours(1, 23), np.ones(23))) == 0


def test_hourly_bounce_does_not_enter_the_daily_figure() -> None:
    time = hours(0, 24 * 40 + 1)
    trend = np.linspace(10_000, 10_400, len(time))
    bounce = np.where(np.arange(len(time)) % 2 == 0, 0.0, 50.0)
    np.testing.assert_array_equal(daily_returns(time, trend + bounce), daily_returns(time, trend))


def test_no_sharpe_ratio_is_claimed_under_thirty_days() -> None:
    rng = np.random.default_rng(0)
    short = sharpe(rng.normal(1e-3, 1e-3, MIN_DAYS - 1))
    assert short.annual is None
    assert short.note == "insufficient evidence: 29 whole days, 30 are needed"
    daily = rng.normal(1e-3, 1e-3, MIN_DAYS)
    enough = sharpe(daily)
    assert enough.annual == pytest.approx(daily.mean() / daily.std(ddof=1) * np.sqrt(365))
    assert enough.note == ""


def test_a_curve_that_does_not_move_has_no_sharpe_ratio() -> None:
    assert sharpe(np.zeros(60)).annual is None


def test_the_parts_of_a_profit_add_up_to_it() -> None:
    booked = {
        "funding": 90.0,
        "price": 12.0,
        "fee": -20.0,
        "slippage": -7.0,
        "penalty": -3.0,
        "liquidation": -11.0,
    }
    split = profit_split(booked, unrealised=5.0, closing_costs=4.0)
    assert split.total == pytest.approx(sum(booked.values()) + 5.0 - 4.0)
    assert split.carry == pytest.approx(90.0 - 20.0 - 7.0 - 4.0)
    assert split.prices == pytest.approx(12.0 + 5.0 - 11.0)


def test_hours_in_two_windows_count_once_and_the_end_of_a_window_is_outside() -> None:
    time = hours(0, 10)
    at = [int(t) for t in time]
    assert overlap_hours(time, [(at[2], at[5])]) == 3
    assert overlap_hours(time, [(at[2], at[5]), (at[4], at[6])]) == 4
    assert overlap_hours(time, [(at[0] - 50 * HOUR_MS, at[0])]) == 0
    assert overlap_hours(time, []) == 0
