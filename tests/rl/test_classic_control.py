"""Problems whose answers are known: the same collect, GAE and update, only the policy is another one.

A return is the mean of the last 100 training episodes when 500,000 steps are over: sampled actions, no
choice among checkpoints, every seed on its own. For comparison, CleanRL's PPO has 490.0 on CartPole-v1 and
-86.4 on Acrobot-v1 after as many steps (means of 3 seeds).
"""

import numpy as np
import pytest

from schemas.training import TrainingConfig
from tests.rl.classic import GymEnvironments, Learner, MaskedIdentity, SmallPolicy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # a minute or two each on an idle core

STEPS, LAST = 500_000, 100
SEEDS = (1, 2, 3)
ENVIRONMENTS = 8
# The usual recipe for such tasks, 8 x 128 steps and 4 epochs of 4 minibatches, annealed from 1e-3: the usual
# 2.5e-4 is meant for half as many environments, and left two of three CartPoles below 400. The published
# recipe knows no limit of KL.
CONTROL = TrainingConfig(
    rollout_steps=128, batch_size=256, n_epochs=4, learning_rate=1e-3, gamma=0.99, gae_lambda=0.95,
    entropy_coef=0.01, max_kl=1e9,
)  # fmt: skip
IDENTITY = TrainingConfig(
    rollout_steps=128,
    batch_size=256,
    n_epochs=2,
    learning_rate=1e-2,
    gamma=0.1,
    clip=0.4,
    entropy_coef=0.0,
    max_kl=1e9,
)


def learnt(task: str, seed: int) -> float:
    """Train on a Gymnasium task; return the mean return of the last episodes."""
    environments = GymEnvironments(task, ENVIRONMENTS, seed)
    policy = SmallPolicy(environments.private().shape[1], environments.actions, seed)
    returns = Learner(environments, policy, CONTROL, seed).run(STEPS)
    assert len(returns) >= 2 * LAST
    reached = float(np.mean(returns[-LAST:]))
    print(f"{task}, seed {seed}: {reached:.1f} over the last {LAST} of {len(returns)} episodes")
    return reached


@pytest.mark.parametrize("seed", SEEDS)
def test_cartpole_is_balanced_by_every_seed(seed: int) -> None:
    reached = learnt("CartPole-v1", seed)
    assert reached >= 475.0, f"seed {seed} reached {reached:.1f}"


@pytest.mark.parametrize("seed", SEEDS)
def test_acrobot_swings_up_by_every_seed(seed: int) -> None:
    reached = learnt("Acrobot-v1", seed)
    assert reached >= -95.0, f"seed {seed} reached {reached:.1f}"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_right_one_of_fifteen_valid_actions_among_seventy_is_learnt_by_every_seed(seed: int) -> None:
    environments = MaskedIdentity(16, seed)
    learner = Learner(environments, SmallPolicy(70, 70, seed), IDENTITY, seed)
    returns = learner.run(20 * 2048)
    # Sixteen environments end an episode of 100 steps within the first 128: nothing was learnt yet.
    before, after = float(np.mean(returns[:16])), float(np.mean(returns[-LAST:]))
    print(f"masked identity, seed {seed}: {before:.1f} before, {after:.1f} of 100 after")
    assert before == pytest.approx(100 / 15, abs=2.0)
    assert after >= 90.0, f"seed {seed} reached {after:.1f}"
