"""The opponent in the training benchmark plays by the rules, and is the network it is said to be."""

from types import ModuleType

import numpy as np
import pytest
import torch

from rl.market.scaler import Scaler
from rl.policy import INTERVAL_FEATURE
from schemas.trading import PRESETS, MarketRules
from schemas.training import TrainingConfig
from tests.rl.test_train import market_of

MARKET = market_of()
SLOTS = Scaler.fit(MARKET.slot_raw).scale(MARKET.slot_raw)
RULES = MarketRules()
WINDOW = (0, 99)
RECIPE = TrainingConfig(episode_hours=12, n_envs=6, n_cohorts=4, rollout_steps=24, batch_size=36, n_epochs=2)


@pytest.fixture(scope="module")
def maskable() -> ModuleType:
    pytest.importorskip(
        "sb3_contrib", reason="the benchmark of training wants sb3-contrib, of the dev extras"
    )
    from benchmarks import _maskable

    return _maskable


@pytest.mark.parametrize("network", ["attention", "mlp"])
def test_masks_are_respected_and_rewards_are_per_exposure(maskable: ModuleType, network: str) -> None:
    model = maskable.maskable_ppo(MARKET, SLOTS, RULES, WINDOW, RECIPE, network=network)
    env = model.get_env().venv
    step, seen = env.step_wait, []

    def look() -> tuple:
        sim = env.sim
        assert sim.mask()[np.arange(6), env._action].all(), "a forbidden action was sent"
        exposure, nlv = sim.state.leverage * sim.state.utilization, sim.state.nlv.copy()
        out = step()
        on = ~out[2]
        percent = 100 * (sim.state.nlv - nlv) / sim.state.initial
        np.testing.assert_allclose(out[1][on], (percent / exposure)[on], rtol=1e-5, atol=1e-9)
        seen.append(out)
        return out

    env.step_wait = look
    before = torch.nn.utils.parameters_to_vector(model.policy.parameters()).detach().clone()
    assert maskable.advance(model) == maskable.advance(model) == 6 * 24
    assert not torch.equal(before, torch.nn.utils.parameters_to_vector(model.policy.parameters()))
    assert len(seen) == 48
    assert sum((out[1] != 0).sum() for out in seen) > 10, "the test must see trades"
    for *_, done, infos in seen:
        assert [bool(d) for d in done] == ["terminal_observation" in info for info in infos]
        assert all(info["TimeLimit.truncated"] for d, info in zip(done, infos, strict=True) if d)
    assert sum(done.sum() for *_, done, _ in seen) >= 6 * 48 // 12


def test_the_last_observation_is_that_of_the_hour_the_episode_ended(maskable: ModuleType) -> None:
    recipe = RECIPE.model_copy(update={"burn_in_share": 0.0})
    env = maskable.maskable_ppo(MARKET, SLOTS, RULES, WINDOW, recipe).get_env().venv
    env.reset()
    for _ in range(12):
        t, config = env.sim.t.copy(), env.sim.private()[:, :5]
        observation, reward, done, infos = env.step(np.zeros(6, np.int64))
    assert done.all()
    assert (reward == 0).all(), "nothing was traded"
    for i, info in enumerate(infos):
        last = info["terminal_observation"]
        np.testing.assert_array_equal(last[75:], SLOTS[t[i] + 1].ravel())
        np.testing.assert_array_equal(last[:5], config[i])
        assert not np.array_equal(last, observation[i])


def test_the_attention_network_has_as_many_parameters_as_the_policy(maskable: ModuleType) -> None:
    policy = maskable.maskable_ppo(MARKET, SLOTS, RULES, WINDOW, RECIPE).policy
    assert abs(sum(p.numel() for p in policy.parameters()) - 792_000) <= 7_920


def test_an_empty_slot_changes_nothing_in_the_attention_network(maskable: ModuleType) -> None:
    extractor = maskable.AttentionExtractor(maskable.OBSERVATION)
    rng = np.random.default_rng(0)
    observation = torch.from_numpy(rng.normal(size=(8, 275)).astype(np.float32))
    slots = observation[:, 75:].view(8, 10, 20)
    slots[:, 6:, INTERVAL_FEATURE] = 0.0
    with torch.no_grad():
        before = extractor(observation)
        slots[:, 6:, 3:] += 5.0
        assert torch.equal(extractor(observation), before)
        slots[:, 0, 3:] += 5.0
        assert not torch.equal(extractor(observation), before)


def test_a_window_is_replayed_by_deterministic_decisions(maskable: ModuleType) -> None:
    model = maskable.maskable_ppo(MARKET, SLOTS, RULES, WINDOW, RECIPE)
    given = (MARKET, SLOTS, RULES, (100, 160), PRESETS)
    assert maskable.window_returns(model, *given) == dict.fromkeys(PRESETS, 0.0), "it holds at first"
    with torch.no_grad():
        model.policy.action_net.bias[0] = -5.0
    earned = maskable.window_returns(model, *given)
    assert earned == maskable.window_returns(model, *given)
    assert all(value < 0 for value in earned.values()), "trading by chance costs fees"


def test_the_learning_rate_is_annealed_over_all_steps(maskable: ModuleType) -> None:
    model = maskable.maskable_ppo(MARKET, SLOTS, RULES, WINDOW, RECIPE, network="mlp", total_steps=4 * 144)
    rates = []
    for _ in range(4):
        maskable.advance(model)
        rates.append(model.policy.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([RECIPE.learning_rate * share for share in (1.0, 0.75, 0.5, 0.25)])
