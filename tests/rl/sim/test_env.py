"""Masks, observations and the interfaces of Gymnasium."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rl.baselines import random_valid
from rl.sim.env import VectorSim
from rl.sim.gym_env import CarryEnv, CarryVectorEnv
from rl.sim.state import INVALID, VOIDS, ConfigArrays, SimState
from schemas.errors import ConfigError
from schemas.trading import PRESETS, MarketRules, TradingConfig
from schemas.training import TrainingConfig
from tests.rl.sim.markets import Builder, random_market

MARKET = random_market(1)
SLOTS = MARKET.slot_raw.astype(np.float32)
RULES = MarketRules()


def fresh(n: int, rules: MarketRules = RULES, seed: int = 0) -> VectorSim:
    sim = VectorSim(MARKET, SLOTS, rules, n)
    rng = np.random.default_rng(seed)
    sim.reset(np.arange(n), np.zeros(n, int), np.full(n, MARKET.n_hours - 1), ConfigArrays.sample(n, rng))
    return sim


def valid_actions(sim: VectorSim, rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.choice(np.nonzero(m)[0]) for m in sim.mask()])


@pytest.mark.parametrize("delay", [0, 1])
def test_the_mask_says_accepted_if_and_only_if_the_order_is_accepted(delay: int) -> None:
    rules = MarketRules(fill_delay_steps=delay)
    sim = fresh(4, rules)
    sim.state.max_positions[:2] = 5
    rng = np.random.default_rng(5)
    probe = VectorSim(MARKET, SLOTS, rules, 36)
    seen = np.zeros(36, int)
    for _ in range(40):
        mask = sim.mask().copy()
        for env in range(4):
            if sim.state.done[env]:
                continue
            probe.put(np.arange(36), sim.state.take(np.full(36, env)))
            before = probe.state.counts.copy()
            probe.step(np.arange(36))
            gained = probe.state.counts - before
            np.testing.assert_array_equal(gained[:, INVALID] == 0, mask[env])
            if delay == 0:
                assert (gained[:, VOIDS] == 0).all()  # accepted = executed
            seen += mask[env]
        sim.step(valid_actions(sim, rng))
    assert (seen > 0).all(), "every action must have been valid somewhere"


def test_an_invalid_action_acts_as_hold_and_is_counted() -> None:
    a, b = fresh(1), fresh(1)
    a.step(np.array([35]))
    b.step(np.array([0]))
    assert a.state.counts[0, INVALID] == 1
    assert a.state.nlv[0] == b.state.nlv[0]


def test_the_observation_of_a_flat_account_by_hand() -> None:
    market = Builder({("X", "a"): [100.0] * 4, ("X", "b"): [100.0] * 4}).build()
    sim = VectorSim(market, market.slot_raw.astype(np.float32), RULES, 1)
    sim.reset(np.array([0]), np.array([2]), np.array([3]), ConfigArrays.of([PRESETS["moderate"]]))
    private = sim.private()[0]
    np.testing.assert_allclose(private[:5], [0.3, 0.6, 0.6, -0.2, 0.3], rtol=1e-6)
    # equity, free cash, margin, positions, closed P&L, drawdown, worst drawdown, hour 2 of 8, distance, gross
    np.testing.assert_allclose(private[5:15], [1, 1, 0, 0, 0, 0, 0, 2 / 8, 1, 0], rtol=1e-6)
    assert (private[15:] == 0).all()
    assert sim.observe().shape == (1, 275)
    assert sim.observe().dtype == np.float32


def test_the_observation_of_a_held_position_by_hand() -> None:
    names = ("X", "a"), ("X", "b")
    builder = Builder(
        {names[0]: [100, 100, 101], names[1]: [100, 100, 102]},
        events=[(1, names[0], 1e-4), (2, names[1], 4e-4)],
        intervals={names[0]: 1, names[1]: 4},
    )
    market = builder.build()
    rules = MarketRules(slippage=False, default_taker_fee=0.0)
    config = TradingConfig(
        leverage=2, target_utilization=0.5, max_positions=1, stop_loss=0, liquidation_buffer=0.1
    )
    sim = VectorSim(market, market.slot_raw.astype(np.float32), rules, 1)
    sim.reset(np.array([0]), np.array([0]), np.array([2]), ConfigArrays.of([config]))
    sim.step(np.array([21]))
    sim.step(np.array([0]))
    q = 0.5 * 10_000 / 2 * 2 / 100
    funding = q * 102 * 4e-4
    share = q * (1 - 2) + funding
    nlv = 10_000 + share
    long_left, short_left = q * 50 + q, q * 50 - 2 * q
    distance = [
        (long_left - 0.005 * q * 101) / (q * 50 - 0.005 * q * 100),
        (short_left - 0.005 * q * 102) / (q * 50 - 0.005 * q * 100),
    ]
    notional = q * 200
    expected = [
        1,
        share / notional,
        1 / 72,
        funding / notional,
        4e-4 * 8 / 4 - 1e-4 * 8,
        1 / 101.5,
        0,
        notional / nlv,
        -q * 101 * 1e-4 / notional,  # only the hourly leg settles in the next hour
        q * 1 / notional,
        -q * 2 / notional,
        min(distance),
    ]
    np.testing.assert_allclose(sim.private()[0, 15:27], expected, rtol=1e-5)
    assert (sim.private()[0, 27:] == 0).all()


def test_one_episode_and_many_give_the_same_bits() -> None:
    n = 256
    many = fresh(n, seed=9)
    states = many.state.take(np.arange(n))
    rng = np.random.default_rng(2)
    watched = [0, 100, 255]
    singles = []
    for env in watched:
        sim = VectorSim(MARKET, SLOTS, RULES, 1)
        sim.put(np.array([0]), states.take(np.array([env])))
        singles.append(sim)
    for _ in range(60):
        action = valid_actions(many, rng)
        result = many.step(action)
        private, mask = many.private(), many.mask()
        for env, sim in zip(watched, singles, strict=True):
            alone = sim.step(action[env : env + 1])
            assert alone.reward[0] == result.reward[env]
            assert alone.nlv[0] == result.nlv[env]
            assert (sim.private()[0] == private[env]).all()
            assert (sim.mask()[0] == mask[env]).all()


def test_a_delayed_order_fills_two_hours_later_at_those_quotes() -> None:
    market = Builder({("X", "a"): [100, 101, 103, 103.0], ("X", "b"): [100, 101, 104, 104.0]}).build()
    sim = VectorSim(market, market.slot_raw.astype(np.float32), MarketRules(fill_delay_steps=2), 1)
    sim.reset(np.array([0]), np.array([0]), np.array([3]), ConfigArrays.of([PRESETS["moderate"]]))
    sim.step(np.array([21]))
    assert not sim.state.active.any()
    sim.step(np.array([0]))
    assert sim.state.entry[0, 0].tolist() == [103, 104]


def test_running_out_of_time_truncates_and_the_drawdown_limit_terminates() -> None:
    crash = Builder({("X", "a"): [100, 100, 30, 30.0], ("X", "b"): [100, 100, 100, 100.0]}).build()
    config = TradingConfig(
        leverage=1, target_utilization=1, max_positions=1, stop_loss=0, liquidation_buffer=0.05
    )
    rules = MarketRules(slippage=False, default_taker_fee=0.0)
    sim = VectorSim(crash, crash.slot_raw.astype(np.float32), rules, 2)
    sim.reset(np.arange(2), np.zeros(2, int), np.full(2, 3), ConfigArrays.of([config] * 2))
    sim.step(np.array([21, 0]))
    out = sim.step(np.array([0, 0]))
    assert out.terminated.tolist() == [True, False]
    assert not out.truncated.any()
    out = sim.step(np.array([0, 0]))
    assert out.truncated.tolist() == [False, True]
    assert out.reward[0] == 0.0
    assert sim.t.tolist() == [2, 3]


@pytest.mark.filterwarnings("ignore:.*A Box observation space:UserWarning:gymnasium")
def test_the_single_environment_passes_gymnasiums_checker() -> None:
    check_env(CarryEnv(MARKET, SLOTS, RULES, PRESETS["moderate"]), skip_render_check=True)


def test_the_vector_environment_resets_in_the_same_step_and_hands_out_the_last_observation() -> None:
    training = TrainingConfig(episode_hours=12, burn_in_share=0.0)
    env = CarryVectorEnv(MARKET, SLOTS, RULES, training, num_envs=4)
    obs, info = env.reset(seed=3)
    assert obs.shape == (4, 275)
    assert env.metadata["autoreset_mode"] is gym.vector.AutoresetMode.SAME_STEP
    for _ in range(12):
        assert not info.get("_final_obs", np.zeros(1)).any()
        obs, _, terminated, truncated, info = env.step(np.zeros(4, int))
    assert truncated.all()
    assert not terminated.any()
    assert info["_final_obs"].all()
    assert info["final_obs"].shape == (4,)  # an array of arrays, also when every episode ends at once
    assert (info["final_obs"][0].shape, info["final_obs"][0].dtype) == ((275,), np.float32)
    assert (obs[:, 5] == 1).all()  # equity over capital of the new episode


def test_an_episode_of_the_vector_environment_is_the_same_alone_and_among_256() -> None:
    training = TrainingConfig(episode_hours=60, burn_in_share=0.0, sample_random_config=False)
    hours, watched = 60, 137
    choices = np.random.default_rng(4).random((hours, 256))

    def episode(num_envs: int, lane: int) -> list[bytes]:
        env = CarryVectorEnv(MARKET, SLOTS, RULES, training, num_envs=num_envs)
        obs, info = env.reset(seed=11)
        seen = [obs[lane].tobytes(), info["action_mask"][lane].tobytes()]
        for t in range(hours):
            draws = choices[t] if num_envs == 256 else choices[t, watched : watched + 1]
            actions = random_valid(info["action_mask"], draws)
            obs, reward, terminated, truncated, info = env.step(actions)
            over = bool(terminated[lane] or truncated[lane])
            last = info["final_obs"][lane] if over else obs[lane]
            seen += [last.tobytes(), reward[lane].tobytes(), bytes([bool(terminated[lane]), over])]
            if over:
                assert t > 20, "a short episode would show little"
                break
        return seen

    assert episode(1, 0) == episode(256, watched)


def test_an_impossible_episode_is_refused_in_words() -> None:
    env = CarryEnv(MARKET, SLOTS, RULES, PRESETS["moderate"])
    with pytest.raises(ConfigError, match="cannot run from row"):
        env.reset(options={"start": MARKET.n_hours})


def test_states_survive_a_round_trip_through_arrays() -> None:
    sim = fresh(5)
    rng = np.random.default_rng(0)
    for _ in range(20):
        sim.step(valid_actions(sim, rng))
    again = SimState.from_arrays(sim.state.to_arrays())
    other = VectorSim(MARKET, SLOTS, RULES, 5)
    other.put(np.arange(5), again)
    action = valid_actions(sim, rng)
    assert (other.private() == sim.private()).all()
    assert (other.step(action).reward == sim.step(action).reward).all()
