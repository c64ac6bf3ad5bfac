"""The figures that are reported agree with an independent library on random series."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from rl.judge.daily import Daily
from rl.judge.evidence import build_evidence
from rl.judge.metrics import DAY_MS, drawdown, return_pct, sharpe
from rl.judge.sharpe import sharpe_ratio
from rl.judge.trials import Trials
from schemas.evidence import DAYS_PER_YEAR
from schemas.promotion import PromotionPolicy

MIDNIGHT = 20_000 * DAY_MS


@pytest.fixture(scope="module")
def empyrical() -> ModuleType:
    return pytest.importorskip("empyrical", reason="empyrical-reloaded, of the dev extras")


def series(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Daily returns with heavy tails, and the NLV at midnights."""
    rng = np.random.default_rng(seed)
    returns = 2e-3 * rng.standard_t(3, 30 + 40 * seed) + 2e-4 * rng.normal()
    return returns, 10_000.0 * np.concatenate([[1.0], np.cumprod(1.0 + returns)])


@pytest.mark.parametrize("seed", range(6))
def test_return_drawdown_and_sharpe_ratio(empyrical: ModuleType, seed: int) -> None:
    returns, nlv = series(seed)
    assert return_pct(nlv, nlv[0]) == pytest.approx(100 * empyrical.cum_returns_final(returns), rel=1e-9)
    assert drawdown(nlv).max() == pytest.approx(-empyrical.max_drawdown(returns), rel=1e-9)
    told = sharpe(returns)
    assert told.annual == pytest.approx(
        empyrical.sharpe_ratio(returns, annualization=DAYS_PER_YEAR), rel=1e-9
    )
    daily = sharpe_ratio(returns)
    assert daily == pytest.approx(empyrical.sharpe_ratio(returns, annualization=1), rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_what_evidence_says_of_a_year_over_cash(empyrical: ModuleType, seed: int) -> None:
    returns, nlv = series(seed)
    time = MIDNIGHT + DAY_MS * np.arange(len(nlv), dtype=np.int64)
    policy = PromotionPolicy(cash_apr=4.0)
    told = build_evidence(Daily.of(time, nlv), policy, Trials(), source="walk-forward")
    cash = 0.04 / DAYS_PER_YEAR
    expected = empyrical.sharpe_ratio(returns, risk_free=cash, annualization=DAYS_PER_YEAR)
    assert told.sharpe == pytest.approx(expected, rel=1e-9)
    assert told.over_cash is not None
    deviation = empyrical.annual_volatility(returns, annualization=DAYS_PER_YEAR)
    assert told.over_cash.annual().mean == pytest.approx(100 * expected * deviation, rel=1e-9)
