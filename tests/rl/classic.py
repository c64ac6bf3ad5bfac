"""Textbook control problems behind the trader's interfaces: the same PPO code, another policy."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import Tensor, nn

from rl.policy import INVALID, masked_log_softmax
from rl.ppo import RewardScaler, UpdateStatistics, gae, update
from rl.rollout import Rollout, collect
from rl.schedule import annealed
from schemas.training import TrainingConfig

CPU = torch.device("cpu")


@dataclass
class Step:
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    final_private: np.ndarray
    final_t: np.ndarray
    finished: list[Any]


class GymEnvironments:
    """N copies of a Gymnasium task; there is one context, and it is empty."""

    def __init__(self, name: str, n: int, seed: int) -> None:
        self.envs = SyncVectorEnv([lambda: gym.make(name)] * n, autoreset_mode=AutoresetMode.SAME_STEP)
        self.n, self.actions = n, int(self.envs.single_action_space.n)
        self.obs, _ = self.envs.reset(seed=seed)
        self.total = np.zeros(n)

    def plan(self, steps: int) -> np.ndarray:
        return np.zeros((steps + 1, self.n), np.int64)

    def private(self) -> np.ndarray:
        return np.asarray(self.obs, np.float32).copy()

    def mask(self) -> np.ndarray:
        return np.ones((self.n, self.actions), bool)

    def step(self, action: np.ndarray) -> Step:
        self.obs, reward, terminated, truncated, info = self.envs.step(action)
        self.total += reward
        final = self.private()
        done = terminated | truncated
        for i in np.nonzero(done)[0]:
            final[i] = info["final_obs"][i]
        finished = self.total[done].tolist()
        self.total[done] = 0.0
        return Step(reward, terminated, truncated, final, np.zeros(self.n, np.int64), finished)


class MaskedIdentity:
    """One-step episodes whose right action is named by the observation, among mostly forbidden ones."""

    def __init__(self, n: int, seed: int, actions: int = 70, invalid: int = 55, length: int = 100) -> None:
        self.rng = np.random.default_rng(seed)
        self.n, self.actions, self.invalid, self.length = n, actions, invalid, length
        self.total, self.clock = np.zeros(n), np.zeros(n, np.int64)
        self._draw()

    def _draw(self) -> None:
        self.goal = self.rng.integers(0, self.actions, self.n)
        order = self.rng.random((self.n, self.actions))
        order[np.arange(self.n), self.goal] = 2.0  # the right action is never forbidden
        self.valid = np.argsort(np.argsort(order, 1), 1) >= self.invalid

    def plan(self, steps: int) -> np.ndarray:
        return np.zeros((steps + 1, self.n), np.int64)

    def private(self) -> np.ndarray:
        return np.eye(self.actions, dtype=np.float32)[self.goal]

    def mask(self) -> np.ndarray:
        return self.valid.copy()

    def step(self, action: np.ndarray) -> Step:
        assert self.valid[np.arange(self.n), action].all(), "a forbidden action was sent"
        reward = (action == self.goal).astype(float)
        self.total += reward
        self.clock += 1
        self._draw()
        over = self.clock >= self.length
        finished = self.total[over].tolist()
        self.total[over], self.clock[over] = 0.0, 0
        no = np.zeros(self.n, bool)
        return Step(reward, over, no, self.private(), np.zeros(self.n, np.int64), finished)


class SmallPolicy(nn.Module):
    """Two separate tanh networks; ignores its (empty) context."""

    def __init__(self, inputs: int, actions: int, seed: int, width: int = 64) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def stack(outputs: int, gain: float) -> nn.Sequential:
            layers = [nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()]
            layers.append(nn.Linear(width, outputs))
            for layer in layers[::2]:
                nn.init.orthogonal_(layer.weight, 2**0.5, generator=generator)
                nn.init.zeros_(layer.bias)
            nn.init.orthogonal_(layers[-1].weight, gain, generator=generator)
            return nn.Sequential(*layers)

        self.actor, self.critic = stack(actions, 0.01), stack(1, 1.0)

    def encode(self, contexts: Tensor) -> tuple[Tensor, ...]:
        return (contexts,)

    def heads(self, code: tuple[Tensor, ...], private: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        logp = masked_log_softmax(self.actor(private), mask)
        return torch.where(mask, logp, INVALID), self.critic(private).squeeze(-1)

    def spread(self, logp: Tensor) -> Tensor:
        return -(logp.exp() * logp).sum(-1)


@dataclass
class Learner:
    """The loop of a training run, without files."""

    environments: Any
    policy: nn.Module
    training: TrainingConfig
    seed: int = 0
    scale_rewards: bool = False
    returns: list[float] = field(default_factory=list)

    def run(self, steps: int, each: Callable[[UpdateStatistics], None] | None = None) -> list[float]:
        """Train for so many steps; returns the returns of the episodes, in order."""
        training, envs = self.training, self.environments
        optimizer = torch.optim.Adam(self.policy.parameters(), lr=training.learning_rate, eps=1e-5)
        generator = torch.Generator().manual_seed(self.seed)
        inputs = envs.private().shape[1]
        rollout = Rollout(training.rollout_steps, envs.n, inputs, envs.actions, CPU)
        contexts, scaler = torch.zeros(1, 1), RewardScaler(envs.n, training.gamma)
        updates = max(1, steps // (training.rollout_steps * envs.n))
        for i in range(updates):
            for group in optimizer.param_groups:
                group["lr"] = annealed(training, i, updates).learning_rate
            self.returns += collect(self.policy, contexts, envs, rollout, generator)
            reward = rollout.reward
            if self.scale_rewards:
                scaler.observe(reward, rollout.terminated, rollout.truncated)
                reward = reward / scaler.deviation
            advantage, target = gae(
                reward,
                rollout.value.double().numpy(),
                rollout.final_value,
                rollout.next_value,
                rollout.terminated,
                rollout.truncated,
                training.gamma,
                training.gae_lambda,
            )
            statistics = update(
                self.policy, optimizer, contexts, rollout, advantage, target, training, generator
            )
            if each is not None:
                each(statistics)
        return self.returns
