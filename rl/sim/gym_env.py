"""The simulator behind Gymnasium's interfaces.

`info["action_mask"]` says which of the 36 actions would be accepted. The vector environment resets in the
same step an episode ends (SAME_STEP) and hands out the last observation as `info["final_obs"]`.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from rl.market.arrays import MarketArrays
from rl.sim.env import VectorSim
from rl.sim.episodes import EpisodeRunner
from rl.sim.state import ConfigArrays
from schemas.errors import ConfigError
from schemas.trading import N_ACTIONS, OBSERVATION_SIZE, MarketRules, TradingConfig
from schemas.training import TrainingConfig

OBSERVATION = spaces.Box(-np.inf, np.inf, (OBSERVATION_SIZE,), np.float32)
ACTION: spaces.Space[Any] = spaces.Discrete(N_ACTIONS)


class CarryEnv(gym.Env[NDArray[np.float32], int]):
    """One episode on a window of the market, starting flat.

    Observation: (275,) float32. Action: 0 hold, 1-30 enter, 31-35 exit. Reward: percent of initial capital.

    Args:
        market: The market.
        slots: (T, 10, 20) float32 scaled opportunity features.
        rules: Fees, spreads, staleness, delay.
        config: Risk profile; drawn at each reset where None.
        window: First and last row; the whole market by default.
        episode_hours: Steps of an episode; to the window's end where None.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - declared so by gymnasium
    observation_space = OBSERVATION
    action_space = ACTION

    def __init__(
        self,
        market: MarketArrays,
        slots: NDArray[np.float32],
        rules: MarketRules,
        config: TradingConfig | None = None,
        window: tuple[int, int] | None = None,
        episode_hours: int | None = None,
    ) -> None:
        self.sim = VectorSim(market, slots, rules, 1)
        self.config = config
        self.window = window or (0, market.n_hours - 1)
        self.episode_hours = episode_hours

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode, at `options["start"]` (a row) or at a random row that leaves it its length."""
        super().reset(seed=seed)
        first, last = self.window
        if self.episode_hours is None:
            start, end = first, last
        else:
            start = int(self.np_random.integers(first, max(first, last - self.episode_hours) + 1))
            end = min(start + self.episode_hours, last)
        if options and "start" in options:
            start = int(options["start"])
            end = last if self.episode_hours is None else min(start + self.episode_hours, last)
        if not first <= start < end <= last:
            raise ConfigError(f"an episode cannot run from row {start} to {end} of a window {first}..{last}.")
        profile = ConfigArrays.of([self.config]) if self.config else ConfigArrays.sample(1, self.np_random)
        self.sim.reset(np.array([0]), np.array([start]), np.array([end]), profile)
        return self.sim.observe()[0], self._info()

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Advance one hour."""
        result = self.sim.step(np.array([action]))
        return (
            self.sim.observe()[0],
            float(result.reward[0]),
            bool(result.terminated[0]),
            bool(result.truncated[0]),
            self._info(),
        )

    def action_masks(self) -> NDArray[np.bool_]:
        """Return (36,): the name sb3-contrib looks for."""
        mask: NDArray[np.bool_] = self.sim.mask()[0].copy()
        return mask

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self.sim.mask()[0].copy(), "nlv": float(self.sim.state.nlv[0])}


class CarryVectorEnv(VectorEnv):
    """Hundreds of training episodes stepped together, with the same resets as training.

    Args:
        market: The market.
        slots: (T, 10, 20) float32 scaled opportunity features.
        rules: Fees, spreads, staleness, delay.
        training: Episode length, burn-in and profiles.
        num_envs: Episodes at once.
        window: First and last row; the whole market by default.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        market: MarketArrays,
        slots: NDArray[np.float32],
        rules: MarketRules,
        training: TrainingConfig,
        num_envs: int,
        window: tuple[int, int] | None = None,
    ) -> None:
        self.num_envs = num_envs
        self.single_observation_space = OBSERVATION
        self.single_action_space = ACTION
        self.observation_space = batch_space(OBSERVATION, num_envs)
        self.action_space = batch_space(ACTION, num_envs)
        self.sim = VectorSim(market, slots, rules, num_envs)
        self.training = training
        self.window = window or (0, market.n_hours - 1)
        self.runner: EpisodeRunner | None = None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start every episode anew."""
        if isinstance(seed, list):
            raise ConfigError("the vector environment takes one seed, not a list.")
        super().reset(seed=seed)
        self.runner = EpisodeRunner(
            self.sim, self.window, self.training, self.np_random, self.training.episode_hours, n_cohorts=1
        )
        self.runner.start()
        return self.sim.observe(), {"action_mask": self.sim.mask().copy()}

    def step(
        self, actions: NDArray[np.integer]
    ) -> tuple[NDArray[np.float32], NDArray, NDArray, NDArray, dict[str, Any]]:
        """Advance one hour; ended episodes come back reset, their last observation in `final_obs`."""
        if self.runner is None:
            raise ConfigError("the vector environment was stepped before reset.")
        self.runner.plan(1)
        out = self.runner.step(actions)
        info: dict[str, Any] = {"action_mask": self.sim.mask().copy()}
        done = out.terminated | out.truncated
        if done.any():
            final = np.concatenate(
                [out.final_private, self.sim.slots[out.final_t].reshape(self.num_envs, -1)], axis=1
            )
            # Filled one by one: numpy would merge equally long rows into a table of Python numbers.
            last = np.full(self.num_envs, None, object)
            for i in np.nonzero(done)[0]:
                last[i] = final[i]
            info["final_obs"] = last
            info["_final_obs"] = done
        return self.sim.observe(), out.reward, out.terminated, out.truncated, info
