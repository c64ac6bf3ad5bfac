"""Training episodes: cohorts, plans, burn-ins and gaps."""

import numpy as np
import pytest

from rl.sim.env import VectorSim
from rl.sim.episodes import EpisodeRunner, last_rows
from schemas.errors import DataError
from schemas.trading import MarketRules
from schemas.training import TrainingConfig
from tests.rl.sim.markets import Builder, random_market

MARKET = random_market(4, hours=200)
SLOTS = MARKET.slot_raw.astype(np.float32)


def runner_of(
    training: TrainingConfig, n: int = 16, cohorts: int = 4, seed: int = 0, length: int = 24
) -> EpisodeRunner:
    # A low limit, so that episodes do end early.
    sim = VectorSim(MARKET, SLOTS, MarketRules(drawdown_limit=0.05), n)
    return EpisodeRunner(sim, (10, 180), training, np.random.default_rng(seed), length, cohorts)


def act(runner: EpisodeRunner, rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.choice(np.nonzero(m)[0]) for m in runner.sim.mask()])


def test_the_plan_holds_whatever_the_actions_are() -> None:
    runner = runner_of(TrainingConfig())
    runner.start()
    rng = np.random.default_rng(1)
    terminated = 0
    for _ in range(4):
        rows = runner.plan(40)
        for i in range(40):
            np.testing.assert_array_equal(runner.sim.t, rows[i][runner.cohort])
            out = runner.step(act(runner, rng))
            terminated += int(out.terminated.sum())
        np.testing.assert_array_equal(runner.sim.t, rows[40][runner.cohort])
        assert rows.min() >= 10
        assert rows.max() <= 180
    assert terminated > 0, "the walk must include episodes that the drawdown limit ended"


def test_environments_of_a_cohort_share_their_hours() -> None:
    runner = runner_of(TrainingConfig(), n=16, cohorts=2)
    runner.start()
    assert runner.plan(30).shape == (31, 2)
    hours = runner.sim.t.reshape(2, 8)
    assert (hours == hours[:, :1]).all()
    assert hours[0, 0] != hours[1, 0]


def test_half_of_the_episodes_start_inside_trading_with_their_equity_as_capital() -> None:
    runner = runner_of(TrainingConfig(burn_in_share=0.5), n=256, cohorts=4)
    runner.start()
    s = runner.sim.state
    assert 0.25 < s.active.any(axis=1).mean() < 0.55
    np.testing.assert_array_equal(s.initial, s.nlv)
    np.testing.assert_array_equal(s.peak, s.nlv)
    assert (s.counts == 0).all()
    held = s.opened[s.active]
    assert (held <= np.broadcast_to(s.t[:, None], s.active.shape)[s.active]).all()
    assert held.min() >= 10  # the burn-in stays inside the window


def test_rewards_sum_to_the_return_through_a_burn_in() -> None:
    runner = runner_of(TrainingConfig(burn_in_share=1.0), n=32)
    runner.start()
    initial = runner.sim.state.initial.copy()
    runner.plan(23)
    rng = np.random.default_rng(3)
    total = np.zeros(32)
    ended = np.zeros(32, bool)
    for _ in range(23):
        out = runner.step(act(runner, rng))
        total += np.where(ended, 0.0, out.reward)
        ended |= out.terminated
    s = runner.sim.state
    kept = ~ended
    assert kept.sum() > 8
    np.testing.assert_allclose(total[kept], 100 * (s.nlv / initial - 1)[kept], atol=1e-9)


def test_no_episode_crosses_a_gap() -> None:
    gap = np.array([0, 0, 0, 1, 1, 0, 0, 0, 0, 0], bool)
    np.testing.assert_array_equal(last_rows(gap, 0, 9), [2, 2, 2, 3, 4, 9, 9, 9, 9, 9])
    ages = [0.0] * 10 + [4.0] * 3 + [0.0] * 10
    market = Builder(
        {("X", "a"): [100.0] * 23, ("X", "b"): [100.0] * 23}, age={("X", "a"): ages, ("X", "b"): ages}
    ).build()
    sim = VectorSim(market, market.slot_raw.astype(np.float32), MarketRules(), 4)
    runner = EpisodeRunner(sim, (0, 22), TrainingConfig(), np.random.default_rng(0), 8, 1)
    runner.start()
    rows = np.concatenate([runner.plan(1)[0]] + [_walk_one(runner) for _ in range(60)])
    assert not np.isin(rows, [10, 11, 12]).any()


def _walk_one(runner: EpisodeRunner) -> np.ndarray:
    out = runner.step(np.zeros(runner.sim.n, int))
    runner.plan(1)
    return out.final_t


def test_a_window_without_two_hours_is_refused_in_words() -> None:
    sim = VectorSim(MARKET, SLOTS, MarketRules(), 4)
    with pytest.raises(DataError, match="no two consecutive hours"):
        EpisodeRunner(sim, (10, 10), TrainingConfig(), np.random.default_rng(0), 8, 1)


def test_a_saved_runner_continues_bit_for_bit() -> None:
    a = runner_of(TrainingConfig(), seed=7)
    a.start()
    rng = np.random.default_rng(1)
    a.plan(30)
    for _ in range(30):
        a.step(act(a, rng))
    saved, generator = a.state_arrays(), a.rng.bit_generator.state
    b = runner_of(TrainingConfig(), seed=99)
    b.load_state_arrays(saved)
    b.rng.bit_generator.state = generator
    rng_b = np.random.default_rng()
    rng_b.bit_generator.state = rng.bit_generator.state
    np.testing.assert_array_equal(a.plan(50), b.plan(50))
    for _ in range(50):
        x, y = a.step(act(a, rng)), b.step(act(b, rng_b))
        np.testing.assert_array_equal(x.reward, y.reward)
        np.testing.assert_array_equal(x.final_private, y.final_private)
        assert x.finished == y.finished
