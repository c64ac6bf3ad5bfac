"""sb3-contrib's MaskablePPO on this simulator, as somebody would set it up who has no policy of his own.

The environments step together in one simulator, on the episodes that training here has: cohorts, drawn
profiles, burn-ins. Rewards are scaled as the learner here does it, and private features are squashed alike,
so that what is compared is the algorithm's code and the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor, nn
from torch.nn import functional as F

from rl.market.arrays import MarketArrays
from rl.policy import INITIAL_KIND, INTERVAL_FEATURE, INVALID, Policy, _Block
from rl.potential import MIN_EXPOSURE
from rl.sim.env import VectorSim
from rl.sim.episodes import EpisodeRunner
from rl.sim.gym_env import ACTION, OBSERVATION
from rl.sim.mask import HOLD
from rl.sim.state import ConfigArrays
from schemas.trading import (
    N_ACTIONS,
    N_OPPORTUNITY_SLOTS,
    N_PRIVATE,
    N_SLOT_FEATURES,
    MarketRules,
    TradingConfig,
)
from schemas.training import TrainingConfig

Network = Literal["attention", "mlp"]
WIDTH, LAYERS, ATTENTION_HEADS = 128, 2, 4  # as in the policy
TOLD = 24  # what each token adds to the features
OF_STATE = (256, 192)
HIDDEN = [231, 192]  # of actor and critic each; makes the whole about 792,000 parameters


class SimulatorVecEnv(VecEnv):
    """The simulator's training episodes behind sb3's interface, `env_method("action_masks")` included."""

    def __init__(self, runner: EpisodeRunner) -> None:
        self.runner, self.sim = runner, runner.sim
        self.render_mode = None
        super().__init__(runner.sim.n, OBSERVATION, ACTION)
        self._action: NDArray[np.integer] = np.zeros(runner.sim.n, np.int64)
        self._quiet: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]

    def reset(self) -> NDArray[np.float32]:
        """Begin the first episodes."""
        self.runner.start()
        return self.sim.observe()

    def step_async(self, actions: NDArray[np.integer]) -> None:
        """Note the actions."""
        self._action = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray, NDArray, list[dict[str, Any]]]:
        """Step all environments; what ended comes back reset, its last observation in the info."""
        state = self.sim.state
        exposure = np.maximum(state.leverage * state.utilization, MIN_EXPOSURE)
        self.runner.plan(1)
        out = self.runner.step(self._action)
        done = out.terminated | out.truncated
        infos = self._quiet
        if done.any():
            infos = list(infos)
            for i in np.nonzero(done)[0]:
                last = np.concatenate((out.final_private[i], self.sim.slots[out.final_t[i]].ravel()))
                infos[i] = {
                    "terminal_observation": last,
                    "TimeLimit.truncated": bool(out.truncated[i] and not out.terminated[i]),
                }
        return self.sim.observe(), (out.reward / exposure).astype(np.float32), done, infos

    def action_masks(self) -> NDArray[np.bool_]:
        """Return (N, 36)."""
        return self.sim.mask()

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of this class that answers for all environments at once."""
        return list(getattr(self, method_name)(*args, **kwargs)[self._get_indices(indices)])

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute that all environments share."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing of an environment can be set from outside."""
        raise NotImplementedError(attr_name)

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """There are no wrappers inside."""
        return [False for _ in self._get_indices(indices)]

    def close(self) -> None:
        """There is nothing to close."""


class AttentionExtractor(BaseFeaturesExtractor):
    """The policy's blocks in one network over the whole observation, so that they run for every state.

    The slots are ten tokens that attend to each other and know the state.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, observation_space: spaces.Box) -> None:
        super().__init__(observation_space, OF_STATE[1] + N_OPPORTUNITY_SLOTS * TOLD)
        squash = Policy(seed=None)
        self.register_buffer("gain", squash.gain)
        self.register_buffer("offset", squash.offset)
        self.state_in = nn.Linear(N_PRIVATE, OF_STATE[0])
        self.state_out = nn.Linear(*OF_STATE)
        self.embed = nn.Linear(N_SLOT_FEATURES, WIDTH)
        self.embed_state = nn.Linear(OF_STATE[1], WIDTH)
        self.blocks = nn.ModuleList(_Block(WIDTH, ATTENTION_HEADS) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.tell = nn.Linear(WIDTH, TOLD)

    def forward(self, observations: Tensor) -> Tensor:
        """Map (B, 275) to (B, features)."""
        private, market = observations.split((N_PRIVATE, N_OPPORTUNITY_SLOTS * N_SLOT_FEATURES), 1)
        slots = market.unflatten(1, (N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES))
        z = torch.asinh((private - self.offset) * self.gain)
        state = F.relu(self.state_out(F.relu(self.state_in(z))))
        filled = slots[:, :, INTERVAL_FEATURE] != 0
        bias = torch.where(filled, 0.0, INVALID)[:, None, None, :]
        x = self.embed(slots) + self.embed_state(state).unsqueeze(1)
        for block in self.blocks:
            x = block(x, bias)
        told: Tensor = self.tell(self.norm(x)) * filled.unsqueeze(-1)
        return torch.cat((state, told.flatten(1)), 1)


def maskable_ppo(
    market: MarketArrays,
    slots: NDArray[np.float32],
    rules: MarketRules,
    window: tuple[int, int],
    training: TrainingConfig,
    *,
    network: Network = "attention",
    n_envs: int | None = None,
    batch_size: int | None = None,
    states: int | None = None,
    episode_hours: int | None = None,
    total_steps: int | None = None,
) -> MaskablePPO:
    """Set up MaskablePPO on a window of any market.

    Args:
        market: The market.
        slots: (T, 10, 20) float32 scaled opportunity features.
        rules: Fees, spreads, staleness, delay.
        window: First and last row of what may be seen.
        training: The recipe; its coefficients, episodes and seed are taken over.
        network: One attention network over the whole observation, or the library's own MLP.
        n_envs: Environments; the recipe's where None.
        batch_size: Minibatch; the recipe's where None.
        states: Of a rollout; as many as the recipe's where None.
        episode_hours: Length of an episode; the recipe's where None.
        total_steps: Steps over which the learning rate is annealed; not annealed where None.
    """
    n = n_envs or training.n_envs
    cohorts = max(k for k in range(1, training.n_cohorts + 1) if n % k == 0)
    sim = VectorSim(market, slots, rules, n)
    rng = np.random.default_rng(training.seed)
    runner = EpisodeRunner(sim, window, training, rng, episode_hours or training.episode_hours, cohorts)
    # Rewards are divided by the running deviation of returns and never clipped, as in `rl.ppo.RewardScaler`.
    env = VecNormalize(
        SimulatorVecEnv(runner),
        norm_obs=False,
        norm_reward=True,
        clip_reward=np.inf,
        gamma=training.gamma,
    )
    own = {"features_extractor_class": AttentionExtractor, "net_arch": HIDDEN, "activation_fn": nn.ReLU}
    model = MaskablePPO(
        "MlpPolicy",
        env,
        learning_rate=training.learning_rate,
        n_steps=max(2, (states or training.rollout_steps * training.n_envs) // n),
        batch_size=batch_size or training.batch_size,
        n_epochs=training.n_epochs,
        gamma=training.gamma,
        gae_lambda=training.gae_lambda,
        clip_range=training.clip,
        ent_coef=training.entropy_coef,
        vf_coef=0.5 * training.value_coef,  # sb3's value loss is the whole mean square
        max_grad_norm=training.max_grad_norm,
        target_kl=training.max_kl / 1.5,  # which is multiplied by 1.5 there
        policy_kwargs=own if network == "attention" else None,
        seed=training.seed,
        device="cpu",
    )
    with torch.no_grad():  # hold about as often at first as the policy here does
        model.policy.action_net.bias[HOLD] = math.log(
            INITIAL_KIND[0] / (1 - INITIAL_KIND[0]) * (N_ACTIONS - 1)
        )
    if total_steps:
        # By steps done in all: sb3 would anneal anew within each call of `learn`.
        def annealed(_: float) -> float:
            done = (model.num_timesteps - model.n_steps * model.n_envs) / total_steps
            return training.learning_rate * max(1.0 - done, 0.01)

        model.lr_schedule = annealed
    return model


def advance(model: MaskablePPO) -> int:
    """Collect one rollout and learn from it; return the steps made."""
    before = model.num_timesteps
    model.learn(model.n_steps * model.n_envs, log_interval=None, reset_num_timesteps=before == 0)
    return int(model.num_timesteps - before)


def window_returns(
    model: MaskablePPO,
    market: MarketArrays,
    slots: NDArray[np.float32],
    rules: MarketRules,
    window: tuple[int, int],
    configs: Mapping[str, TradingConfig],
) -> dict[str, float]:
    """Return what the deterministic policy earns on a window from flat, percent of initial capital.

    Args:
        model: From `maskable_ppo`.
        market: The market.
        slots: (T, 10, 20) float32 scaled opportunity features.
        rules: Fees, spreads, staleness, delay.
        window: First and last row, both included.
        configs: Risk profiles by name, replayed side by side.
    """
    n, (first, last) = len(configs), window
    sim = VectorSim(market, slots, rules, n)
    profiles = ConfigArrays.of(list(configs.values()))
    sim.reset(np.arange(n), np.full(n, first), np.full(n, last), profiles)
    while not sim.state.done.all():
        action, _ = model.predict(sim.observe(), action_masks=sim.mask(), deterministic=True)
        sim.step(action)
    earned = 100.0 * (sim.state.nlv / sim.state.initial - 1.0)
    return dict(zip(configs, earned.tolist(), strict=True))
