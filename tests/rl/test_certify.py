"""Each bar holds what it says, and a certification trains, judges, resumes and is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rl.certify import as_informed, certify, play
from rl.market.known import generate
from rl.market.scaler import Scaler
from schemas.certify import BARS, Bar, Budget, Certificate, MarketName, Played, Verdict
from schemas.checkpoint import BEST_MODEL, TRAINING, TrainingResult
from schemas.trading import MarketRules
from schemas.training import TrainingConfig
from tasks.certify import certify as certify_step
from tasks.certify import read_certificate

RECIPE = TrainingConfig(
    episode_hours=48, n_envs=4, n_cohorts=2, rollout_steps=24, batch_size=96, n_epochs=1, burn_in_share=0.0,
    threads=1,
)  # fmt: skip
EPISODES = 8
BUDGET = Budget(num_episodes=EPISODES, days=20, unseen=1, unseen_days=8)
BY_NAME = {(bar.market, bar.profile): bar for bar in BARS}


def played(pct: float, exposure: float = 0.5, liquidations: int = 0) -> Played:
    """Two markets whose mean return is given; exposure and liquidations in the second one alone."""
    return Played(
        returns_pct=(pct - 1.0, pct + 1.0), exposure=(0.0, exposure), liquidations=(0, liquidations),
        trades=(1, 2),
    )  # fmt: skip


def holds(bar: Bar, policy: Played, greedy: float = 0.0, informed: float = 10.0) -> bool:
    return Verdict(bar=bar, policy=policy, greedy=played(greedy), informed=played(informed)).holds


def test_no_edge_asks_for_less_than_two_percent_of_exposure_whatever_was_earned() -> None:
    bar = BY_NAME["no edge", "moderate"]
    assert holds(bar, played(-1.0, exposure=0.039), informed=0.0)  # a mean of 0.0195
    assert not holds(bar, played(5.0, exposure=0.04), informed=0.0)


def test_persistent_edge_asks_for_four_fifths_of_the_informed_optimum() -> None:
    bar = BY_NAME["persistent edge", "moderate"]
    assert holds(bar, played(8.0), greedy=9.0)
    assert not holds(bar, played(7.99))


def test_the_decoy_asks_for_seven_tenths_and_more_than_greedy() -> None:
    bar = BY_NAME["decoy", "moderate"]
    assert holds(bar, played(7.0), greedy=6.99)
    assert not holds(bar, played(7.0), greedy=7.0)
    assert not holds(bar, played(6.99), greedy=-5.0)


def test_the_trap_asks_for_a_profit_at_one_times() -> None:
    bar = BY_NAME["leverage trap", "1x"]
    assert bar.config.leverage == 1.0
    assert holds(bar, played(0.01))
    assert not holds(bar, played(0.0))


def test_the_trap_asks_for_half_of_the_optimum_at_ten_times_without_a_liquidation() -> None:
    bar = BY_NAME["leverage trap", "10x"]
    assert bar.config.leverage == 10.0
    assert holds(bar, played(5.0))
    assert not holds(bar, played(4.99))
    assert not holds(bar, played(9.0, liquidations=1))


@pytest.mark.parametrize("earned", [0.0, -1.0])
def test_there_is_no_share_of_an_optimum_that_earns_nothing_and_a_bar_that_asks_for_one_is_missed(
    earned: float,
) -> None:
    for bar in BARS:
        verdict = Verdict(bar=bar, policy=played(8.0), greedy=played(0.0), informed=played(earned))
        assert verdict.share is None
        assert verdict.holds == (bar.rule == "profit")


def test_a_certificate_holds_if_every_bar_of_it_does() -> None:
    def with_policy(*returns: float) -> Certificate:
        bars = (BY_NAME["leverage trap", "1x"], BY_NAME["leverage trap", "10x"])
        verdicts = tuple(
            Verdict(bar=bar, policy=played(pct), greedy=played(0.0), informed=played(10.0))
            for bar, pct in zip(bars, returns, strict=True)
        )
        return Certificate(
            market="leverage trap", seed=0, episodes=1, steps=1, finished=True, seconds=1.0, verdicts=verdicts
        )

    assert with_policy(1.0, 6.0).holds
    assert not with_policy(1.0, 4.0).holds
    assert not with_policy(-1.0, 6.0).holds


def test_a_replay_reports_each_unseen_market_and_the_exposure_of_its_hours() -> None:
    bar, rules = BY_NAME["persistent edge", "moderate"], MarketRules()
    markets = [generate("persistent edge", 8, seed) for seed in (1000, 1001)]
    scaler = Scaler.fit(markets[0].market.slot_raw)
    informed = play(bar, scaler, markets, rules, lambda known: as_informed(known, bar.config))
    alone = [play(bar, scaler, [m], rules, lambda known: as_informed(known, bar.config)) for m in markets]
    assert informed.returns_pct == tuple(one.returns_pct[0] for one in alone)
    cash = play(bar, scaler, markets, rules, lambda known: lambda sim: 0)
    assert (cash.returns_pct, cash.exposure, cash.trades) == ((0.0, 0.0), (0.0, 0.0), (0, 0))
    # Full, three positions are 0.6 of equity as margin, three times that as notional.
    assert all(0.0 < exposure < 1.9 for exposure in informed.exposure)
    assert all(trades > 0 for trades in informed.trades)


def whole(folder: Path, time_budget: float | None = None) -> Certificate:
    return certify(
        "persistent edge", RECIPE, BUDGET, work_dir=folder / "work", out_dir=folder / "out",
        time_budget=time_budget,
    )  # fmt: skip


def facts(certificate: Certificate) -> dict[str, object]:
    """Everything but how long it took."""
    return certificate.model_dump(exclude={"seconds"})


def test_a_training_of_a_few_episodes_is_not_certified_and_one_cut_short_ends_as_if_it_had_not_been(
    tmp_path: Path,
) -> None:
    told = whole(tmp_path / "whole")
    assert told.finished and told.episodes >= EPISODES
    [verdict] = told.verdicts
    assert verdict.informed.mean_pct > 0.3
    assert not told.holds
    assert (tmp_path / "whole" / "out" / BEST_MODEL).is_file()

    cut = whole(tmp_path / "cut", time_budget=1e-3)
    assert not cut.finished and 0 < cut.steps < told.steps
    assert len(cut.verdicts) == 1
    assert facts(whole(tmp_path / "cut")) == facts(told)
    trained = (tmp_path / "cut" / "out" / TRAINING).read_text(encoding="utf-8")
    assert TrainingResult.model_validate_json(trained).resumed_at >= 1, "it went on and did not begin again"


def test_the_step_keeps_a_certificate_once_it_is_reached_and_goes_on_with_one_cut_short(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(seed: int = 0, time_budget: float = 0.0, market: MarketName = "persistent edge"):
        training = RECIPE.model_copy(update={"seed": seed})
        return certify_step(market, training=training, budget=BUDGET, time_budget=time_budget)

    cut = ask(time_budget=1e-3)
    assert cut.partial and not read_certificate(cut.ref).finished
    made = ask()
    assert not made.hit and not made.partial
    certificate = read_certificate(made.ref)
    assert certificate.finished and certificate.steps > read_certificate(cut.ref).steps
    assert made.manifest.summary["holds"] is False

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("it was there and was made again")

    monkeypatch.setattr("rl.certify.certify", never)
    again = ask(time_budget=5.0)
    assert again.hit and again.ref == made.ref
    assert read_certificate(again.ref) == certificate
    with pytest.raises(AssertionError, match="made again"):
        ask(seed=1)
    with pytest.raises(AssertionError, match="made again"):
        ask(market="decoy")


def test_unseen_markets_are_none_that_training_saw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def watched(name: str, days: int, seed: int, rules: MarketRules):
        asked.append((days, seed))
        return generate(name, days, seed, rules)

    monkeypatch.setattr("rl.certify.generate", watched)
    budget = BUDGET.model_copy(update={"unseen": 2, "num_episodes": 1})
    told = certify("decoy", RECIPE, budget, work_dir=tmp_path / "w", out_dir=tmp_path / "o")
    trained, *unseen = asked
    assert trained == (20, 0) and unseen == [(8, 1000), (8, 1001)]
    assert len(told.verdicts[0].policy.returns_pct) == 2
    assert np.isfinite(told.verdicts[0].greedy.mean_pct)
