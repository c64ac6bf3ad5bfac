"""Days are whole UTC days, and two curves are compared on days that both have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rl.judge.daily import Daily, daily_of, together
from rl.judge.metrics import DAY_MS, daily_returns
from rl.market.arrays import HOUR_MS

MIDNIGHT = 20_000 * DAY_MS


def hourly(first_hour: int, hours: int) -> np.ndarray:
    return MIDNIGHT + HOUR_MS * np.arange(first_hour, first_hour + hours, dtype=np.int64)


def test_days_are_named_and_their_returns_are_those_of_the_figures() -> None:
    time, nlv = hourly(5, 24 * 3), np.linspace(100.0, 171.0, 72)
    daily = Daily.of(time, nlv)
    np.testing.assert_array_equal(daily.returns, daily_returns(time, nlv))
    assert daily.days.tolist() == (np.array([20_001, 20_002]).astype("datetime64[D]")).tolist()


def test_a_day_with_a_hole_at_its_edge_is_no_day() -> None:
    time, nlv = hourly(0, 24 * 4 + 1), np.linspace(100.0, 110.0, 97)
    kept = np.arange(97) != 48  # the midnight between the second and the third day
    daily = Daily.of(time[kept], nlv[kept])
    np.testing.assert_array_equal(daily.days.astype(np.int64), [20_000, 20_003])


def test_what_the_drawdown_limit_ended_is_flat_until_the_window_ends() -> None:
    time, nlv = hourly(0, 30), np.linspace(100.0, 71.0, 30)  # ended at 05:00 of the second day
    daily = Daily.of(time, nlv, until_ms=MIDNIGHT + 5 * DAY_MS)
    assert len(daily.days) == 5
    assert daily.returns[1] == pytest.approx(71.0 / 76.0 - 1.0)
    np.testing.assert_array_equal(daily.returns[2:], 0.0)
    assert len(Daily.of(time, nlv, until_ms=int(time[-1])).days) == 1


def test_days_since_a_moment_begin_at_or_after_it() -> None:
    daily = Daily.of(hourly(0, 24 * 4 + 1), np.linspace(100.0, 110.0, 97))
    assert len(daily.since(None).days) == 4
    assert len(daily.since(np.datetime64(MIDNIGHT + DAY_MS, "ms")).days) == 3
    assert len(daily.since(np.datetime64(MIDNIGHT + DAY_MS + HOUR_MS, "ms")).days) == 2


def test_curves_are_laid_beside_each_other_on_the_days_that_all_have() -> None:
    long = Daily.of(hourly(0, 24 * 5 + 1), 100.0 * 1.01 ** np.arange(121))
    short = Daily.of(hourly(24, 24 * 3 + 1), 100.0 * 1.02 ** np.arange(73))
    days, returns = together([long, short])
    np.testing.assert_array_equal(days, short.days)
    np.testing.assert_allclose(returns, [[1.01**24 - 1.0] * 3, [1.02**24 - 1.0] * 3])


def test_a_backtests_table_gives_the_days_of_one_policy_to_the_end_of_the_window() -> None:
    def rows(policy: str, hours: int, run: int = 0, preset: str = "moderate") -> pd.DataFrame:
        time = pd.to_datetime(hourly(0, hours), unit="ms", utc=True).as_unit("us")
        nlv = 100.0 * (1.0 + 0.001 * (run + 1)) ** np.arange(hours)
        return pd.DataFrame({"preset": preset, "policy": policy, "run": run, "time": time, "nlv": nlv})

    whole = 24 * 4 + 1
    equity = pd.concat(
        [rows("agent", 30), rows("cash", whole), rows("random", whole), rows("random", whole, run=1)],
        ignore_index=True,
    )
    ended, chance = daily_of(equity, "moderate", "agent"), daily_of(equity, "moderate", "random")
    assert ended is not None
    assert chance is not None
    np.testing.assert_allclose(ended.returns, [1.001**24 - 1.0, 1.001**5 - 1.0, 0.0, 0.0])
    np.testing.assert_allclose(chance.returns, [1.001**24 - 1.0] * 4)
    assert daily_of(equity, "moderate", "greedy") is None
    assert daily_of(equity, "other", "cash") is None
