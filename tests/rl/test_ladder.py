"""Every rung of the ladder is replayed under the same rules, and what nobody can beat stands above them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rl.backtest import run_backtest
from rl.ladder import RivalVersion
from rl.market.arrays import MarketArrays
from schemas.backtest import POLICIES, BacktestSummary, Ladder, TrainedWindow
from schemas.trading import PRESETS, MarketRules
from tests.rl.sim.markets import START_MS
from tests.rl.test_backtest import HOURS, eager, lively_market

START = datetime.fromtimestamp(START_MS / 1000, UTC)
RULES = MarketRules()
NO_BOUND = Ladder(bound=False)


def rarely(t: int, private: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Take the highest valid action in every seventh hour."""
    last = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
    return last if t % 7 == 0 else np.zeros(len(mask), np.int64)


def seen(first: int, last: int) -> list[TrainedWindow]:
    start, end = START + timedelta(hours=first), START + timedelta(hours=last)
    return [TrainedWindow(name="train", start=start, end=end)]


@pytest.fixture(scope="module")
def market() -> MarketArrays:
    return lively_market()


def climb(market: MarketArrays, out: Path, **changes: Any) -> BacktestSummary:
    asked = {"random_runs": 4, "trained_on": seen(-50, -40), "version": "candidate"} | changes
    return run_backtest(market, (10, HOURS - 1), eager, RULES, PRESETS, out_dir=out, **asked)


@pytest.fixture(scope="module")
def whole(market: MarketArrays, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BacktestSummary]:
    """A backtest with every rung."""
    out = tmp_path_factory.mktemp("ladder")
    rivals = [
        RivalVersion("champion", "v-old", rarely, seen(0, 15)),
        RivalVersion("challenger", "v-new", eager, seen(-9, 0)),
    ]
    return out, climb(market, out, rivals=rivals)


def test_every_rung_is_replayed_under_every_preset_in_the_ladders_order(
    whole: tuple[Path, BacktestSummary],
) -> None:
    out, told = whole
    for preset in PRESETS:
        assert [r.policy for r in told.results if r.preset == preset] == list(POLICIES)
        flip = told.result(preset, "flip")
        assert flip is not None and flip.trades > 0
    equity, trades = pd.read_parquet(out / "equity.parquet"), pd.read_parquet(out / "trades.parquet")
    assert set(equity["policy"]) == set(POLICIES)
    assert set(trades["policy"]) == set(POLICIES) - {"cash"}
    written = BacktestSummary.model_validate_json((out / "backtest.json").read_text("utf-8"))
    assert written == told


def test_a_rival_decides_for_itself_and_its_seen_hours_are_told(whole: tuple[Path, BacktestSummary]) -> None:
    told = whole[1]
    for preset in PRESETS:
        agent, challenger = told.result(preset, "agent"), told.result(preset, "challenger")
        champion = told.result(preset, "champion")
        assert agent is not None and challenger is not None and champion is not None
        assert challenger.return_pct == agent.return_pct != champion.return_pct  # it decides alike
    champion_seen, challenger_seen = told.rival("champion"), told.rival("challenger")
    assert champion_seen is not None and challenger_seen is not None
    assert (champion_seen.version, champion_seen.overlap_hours, champion_seen.in_sample) == ("v-old", 5, True)
    assert (challenger_seen.overlap_hours, challenger_seen.in_sample) == (0, False)
    assert (told.in_sample, told.overlap_hours) == (False, 0)  # the candidate's own hours are its own


def test_a_rival_that_cannot_be_replayed_is_named_and_has_no_result(
    market: MarketArrays, tmp_path: Path
) -> None:
    gone = RivalVersion("champion", "v-gone", None, missing="its files are gone.")
    told = climb(market, tmp_path, rivals=[gone], ladder=NO_BOUND)
    known = told.rival("champion")
    assert known is not None
    assert (known.version, known.missing, known.overlap_hours) == ("v-gone", "its files are gone.", None)
    assert told.result("moderate", "champion") is None
    assert told.rival("challenger") is None


def test_hold_until_flip_goes_by_the_threshold_of_the_ladder(market: MarketArrays, tmp_path: Path) -> None:
    """Every slot of this market shows 547.5 % a year over three days."""
    for apr, trades in ((547.4, True), (547.6, False)):
        told = climb(market, tmp_path, ladder=Ladder(flip_apr=apr, bound=False))
        flip = told.result("moderate", "flip")
        assert flip is not None
        assert (flip.trades > 0) == trades


def test_cash_earns_its_apr_and_nobody_else_does(market: MarketArrays, tmp_path: Path) -> None:
    without = climb(market, tmp_path, ladder=NO_BOUND)
    told = climb(market, tmp_path, ladder=Ladder(cash_apr=4.0, bound=False))
    hours = HOURS - 1 - 10
    equity = pd.read_parquet(tmp_path / "equity.parquet")
    for preset in PRESETS:
        cash = told.result(preset, "cash")
        assert cash is not None
        assert cash.return_pct == pytest.approx(4.0 * hours / 8760)
        assert told.cash_pct(4.0) == without.cash_pct(4.0) == pytest.approx(cash.return_pct)
        assert cash.split.total == pytest.approx(cash.final_nlv - RULES.initial_capital)
        assert sum(cash.split.told(RULES.initial_capital)) == pytest.approx(cash.return_pct)
        assert (cash.trades, cash.max_drawdown_pct) == (0, 0)
        curve = equity[(equity["preset"] == preset) & (equity["policy"] == "cash")]
        np.testing.assert_allclose(np.diff(curve["nlv"]), 10_000.0 * 0.04 / 8760)
        np.testing.assert_allclose(curve["balance"], curve["nlv"])
        for policy in ("agent", "greedy", "flip", "random"):
            assert told.result(preset, policy) == without.result(preset, policy)


def test_nobody_in_the_backtest_is_above_the_bound_of_its_preset(whole: tuple[Path, BacktestSummary]) -> None:
    out, told = whole
    equity = pd.read_parquet(out / "equity.parquet")
    assert [bound.preset for bound in told.bounds] == list(PRESETS)
    for bound in told.bounds:
        highest = equity[equity["preset"] == bound.preset]["nlv"].max()
        assert highest <= RULES.initial_capital * (1 + bound.bound_pct / 100) + 1e-6
        assert 0 < bound.plan_pct <= bound.bound_pct + 1e-9
        assert 0 < bound.funding_plan_pct <= bound.funding_bound_pct + 1e-9
    # A different profile has different bounds: more leverage, more to gain.
    assert told.bounds[0].bound_pct < told.bounds[1].bound_pct < told.bounds[2].bound_pct


def test_skill_is_the_share_of_the_way_from_greedy_to_the_funding_bound(
    whole: tuple[Path, BacktestSummary],
) -> None:
    told = whole[1]
    for bound in told.bounds:
        greedy = told.result(bound.preset, "greedy")
        assert greedy is not None
        assert set(bound.skill) == {"agent", "champion", "challenger", "flip"}
        for policy, value in bound.skill.items():
            result = told.result(bound.preset, policy)
            assert result is not None
            share = (result.return_pct - greedy.return_pct) / (bound.funding_bound_pct - greedy.return_pct)
            assert value == pytest.approx(share)


def test_bounds_can_be_left_out(market: MarketArrays, tmp_path: Path) -> None:
    told = climb(market, tmp_path, ladder=NO_BOUND)
    assert told.bounds == ()
    assert told.bound("moderate") is None
