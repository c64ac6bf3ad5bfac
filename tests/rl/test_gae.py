"""Advantages against a definition written out term by term, and minibatches."""

import numpy as np
import pytest
import torch

from rl.ppo import RewardScaler, explained_variance, gae, minibatches

GAMMA, LAMBDA = 0.97, 0.9


def by_definition(
    reward: np.ndarray,
    value: np.ndarray,
    final_value: np.ndarray,
    next_value: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
) -> np.ndarray:
    """O(T^2): A_t is the sum over the rest of the episode of (gamma lambda)^k times the TD error."""
    steps, n = reward.shape
    advantage = np.zeros((steps, n))
    for i in range(n):
        for t in range(steps):
            for k in range(t, steps):
                if terminated[k, i]:
                    after = 0.0
                elif truncated[k, i]:
                    after = final_value[k, i]
                elif k == steps - 1:
                    after = next_value[i]
                else:
                    after = value[k + 1, i]
                error = reward[k, i] + GAMMA * after - value[k, i]
                advantage[t, i] += (GAMMA * LAMBDA) ** (k - t) * error
                if terminated[k, i] or truncated[k, i]:
                    break
    return advantage


@pytest.mark.parametrize("seed", range(5))
def test_gae_is_its_definition_with_terminations_and_truncations_mixed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reward, value, final = rng.normal(size=(3, 40, 17))
    ends = rng.random((40, 17))
    terminated, truncated = ends < 0.08, ends > 0.92
    final = np.where(truncated, final, 0.0)
    next_value = rng.normal(size=17)
    assert terminated[-1].any() or truncated[-1].any() or seed
    advantage, returns = gae(reward, value, final, next_value, terminated, truncated, GAMMA, LAMBDA)
    expected = by_definition(reward, value, final, next_value, terminated, truncated)
    np.testing.assert_allclose(advantage, expected, atol=1e-12)
    np.testing.assert_allclose(returns, expected + value, atol=1e-12)


def test_truncation_bootstraps_and_termination_does_not() -> None:
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    yes, no = np.ones((1, 1), bool), np.zeros((1, 1), bool)
    end = gae(one, zero, zero, np.array([9.0]), yes, no, GAMMA, LAMBDA)[1]
    cut = gae(one, zero, 5.0 * one, np.array([9.0]), no, yes, GAMMA, LAMBDA)[1]
    on = gae(one, zero, zero, np.array([9.0]), no, no, GAMMA, LAMBDA)[1]
    assert end[0, 0] == 1.0
    assert cut[0, 0] == 1.0 + GAMMA * 5.0
    assert on[0, 0] == 1.0 + GAMMA * 9.0


def test_a_value_learnt_with_truncation_is_that_of_the_rollout_continued() -> None:
    # Reward 1 for ever: V = 1 / (1 - gamma), although every episode is cut after 10 steps.
    value, steps = 0.0, 10
    no = np.zeros((steps, 1), bool)
    cut = no.copy()
    cut[-1] = True
    for _ in range(400):
        v = np.full((steps, 1), value)
        final = np.where(cut, value, 0.0)
        returns = gae(np.ones((steps, 1)), v, final, np.array([value]), no, cut, GAMMA, LAMBDA)[1]
        value += 0.5 * (float(returns.mean()) - value)
    assert value == pytest.approx(1.0 / (1.0 - GAMMA), rel=1e-3)


def test_reward_scaler_divides_by_the_deviation_of_discounted_returns() -> None:
    rng = np.random.default_rng(0)
    scaler = RewardScaler(3, GAMMA)
    seen, running = [], np.zeros(3)
    for _ in range(4):
        reward = rng.normal(2.0, 3.0, (25, 3))
        terminated, truncated = rng.random((2, 25, 3)) < 0.05
        scaler.observe(reward, terminated, truncated)
        for t in range(25):
            running = running * GAMMA + reward[t]
            seen.append(running.copy())
            running = np.where(terminated[t] | truncated[t], 0.0, running)
    assert scaler.deviation == pytest.approx(np.std(seen), rel=1e-12)
    assert scaler.mean == pytest.approx(np.mean(seen), rel=1e-12)


def test_explained_variance() -> None:
    returns = np.array([[1.0, 2.0, 3.0]])
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(np.full((1, 3), 2.0), returns) == pytest.approx(0.0)
    assert np.isnan(explained_variance(returns, np.ones((1, 3))))


@pytest.mark.parametrize(
    ("groups", "members", "batch"), [(1000, 1, 128), (111, 7, 64), (64, 1, 64), (50, 8, 7)]
)
def test_minibatches_hold_every_group_once(groups: int, members: int, batch: int) -> None:
    generator = torch.Generator().manual_seed(0)
    parts = list(minibatches(groups, members, batch, generator))
    assert torch.cat(parts).sort()[0].tolist() == list(range(groups))
    assert max(p.numel() for p in parts) * members < batch + members, "at most a group over, where it must be"
    assert not torch.equal(torch.cat(parts), torch.cat(list(minibatches(groups, members, batch, generator))))
