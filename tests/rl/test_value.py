"""What the critic learns, beside what happens when a rollout is continued past its cut."""

import numpy as np
import pytest
import torch
from torch import Tensor

from schemas.training import TrainingConfig
from tests.rl.classic import Learner, SmallPolicy, Step

STATES, CUT, GAMMA = 8, 6, 0.95
PAYS = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0])  # for leaving a state
ENDS = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1])  # probability that it was the last


class Ring:
    """A walk around eight states, by chance one step or two; every episode is cut after six steps.

    Episodes start in the first half, where nothing is paid, so a cut one goes on to better things than a
    new one; and the observation does not tell how near the cut is.
    """

    actions = 2

    def __init__(self, n: int, seed: int) -> None:
        self.rng, self.n = np.random.default_rng(seed), n
        self.clock = np.zeros(n, np.int64)
        self.at = self.rng.integers(0, STATES // 2, n)

    def plan(self, steps: int) -> np.ndarray:
        return np.zeros((steps + 1, self.n), np.int64)

    def private(self) -> np.ndarray:
        return np.eye(STATES, dtype=np.float32)[self.at]

    def mask(self) -> np.ndarray:
        return np.ones((self.n, self.actions), bool)

    def step(self, action: np.ndarray) -> Step:
        reward = PAYS[self.at]
        terminated = self.rng.random(self.n) < ENDS[self.at]
        self.at = (self.at + 1 + action) % STATES
        self.clock += 1
        truncated = ~terminated & (self.clock >= CUT)
        final, over = self.private(), terminated | truncated
        self.at = np.where(over, self.rng.integers(0, STATES // 2, self.n), self.at)
        self.clock[over] = 0
        return Step(reward, terminated, truncated, final, np.zeros(self.n, np.int64), [])


class Wanderer(SmallPolicy):
    """Acts by chance, whatever it learns: its value is that of a policy that stands still."""

    def heads(self, code: tuple[Tensor, ...], private: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full(mask.shape, 0.5).log(), self.critic(private).squeeze(-1)


def continued(walks: int = 4000, steps: int = 150) -> np.ndarray:
    """Mean discounted return of walks from each state that nobody cuts."""
    rng = np.random.default_rng(0)
    at = np.repeat(np.arange(STATES), walks)
    total, alive = np.zeros(at.size), np.ones(at.size, bool)
    for k in range(steps):
        total += np.where(alive, GAMMA**k * PAYS[at], 0.0)
        alive &= rng.random(at.size) >= ENDS[at]
        at = (at + rng.integers(1, 3, at.size)) % STATES
    return total.reshape(STATES, walks).mean(1)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.95])
def test_a_learnt_value_is_the_return_of_rollouts_continued_past_the_cut(gae_lambda: float) -> None:
    training = TrainingConfig(
        rollout_steps=24, batch_size=256, n_epochs=4, learning_rate=1e-2, gamma=GAMMA, gae_lambda=gae_lambda
    )
    walker = Wanderer(STATES, Ring.actions, seed=0)
    Learner(Ring(32, seed=0), walker, training).run(80 * 24 * 32)
    with torch.no_grad():
        learnt = walker.critic(torch.eye(STATES)).squeeze(-1).double().numpy()
    np.testing.assert_allclose(learnt, continued(), rtol=0.05)
