"""A market to train on: its hours as the policy sees them, and the episodes that are lived on it."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rl.market.arrays import I64, SLOT_FEATURES, Bool, MarketArrays
from rl.policy import FIRST_EXIT, INTERVAL_FEATURE
from rl.sim.env import VectorSim
from rl.sim.episodes import EpisodeRunner, RunnerStep
from rl.sim.quotes import Quotes
from schemas.checkpoint import RunShape
from schemas.trading import SIZE_FRACTIONS, MarketRules
from schemas.training import TrainingConfig

# What a scanner cannot be wrong about; everything else of a slot is measured, and gets noise.
EXACT: Final = (
    "long_interval_8", "short_interval_8", "hours_to_long_settlement_8", "hours_to_short_settlement_8",
)  # fmt: skip


class Stage:
    """Implements `rl.rollout.Environments` on the train hours of one market.

    Args:
        market: The market.
        rows: [a, b) the hours that may be seen.
        slots: (T, 10, 20) scaled slot features.
        rules: What venues charge and how orders fill.
        training: The recipe.
        shape: Environments and cohorts.
        episode_hours: Length of an episode.
        rng: Of episodes and of what is hidden.
        device: Where the hours are kept.
    """

    def __init__(
        self,
        market: MarketArrays,
        rows: tuple[int, int],
        slots: NDArray[np.float32],
        rules: MarketRules,
        training: TrainingConfig,
        shape: RunShape,
        episode_hours: int,
        rng: np.random.Generator,
        device: torch.device,
    ) -> None:
        self.market, self.training, self.rng = market, training, rng
        self.contexts = torch.from_numpy(slots).to(device)
        sim = VectorSim(market, slots, rules, shape.n_envs)
        self.runner = EpisodeRunner(
            sim, (rows[0], rows[1] - 1), training, rng, episode_hours, shape.n_cohorts
        )
        self._measured = torch.tensor([float(name not in EXACT) for name in SLOT_FEATURES], device=device)
        self._hidden: Bool | None = None  # (T, 10) slots that are not on offer in this update

    @property
    def quotes(self) -> Quotes:
        """The market laid out for simulators."""
        return self.runner.sim.quotes

    # -- what `collect` asks -------------------------------------------------------------------------

    def plan(self, steps: int) -> I64:
        """Return (steps + 1, cohorts) rows."""
        return self.runner.plan(steps)

    def private(self) -> NDArray[np.float32]:
        """Return (N, 75)."""
        return self.runner.sim.private()

    def mask(self) -> Bool:
        """Return (N, 36)."""
        mask = self.runner.sim.mask()
        if self._hidden is not None:
            mask = mask.copy()
            mask[:, 1:FIRST_EXIT] &= ~np.tile(self._hidden[self.runner.sim.t], (1, len(SIZE_FRACTIONS)))
        return mask

    def step(self, action: I64) -> RunnerStep:
        """Step and reset."""
        return self.runner.step(action)

    # -- what keeps few hours from being learnt by heart ---------------------------------------------

    def disturb(self, generator: torch.Generator) -> Tensor:
        """Return the hours as the coming update sees them: without some pairs, noise on what is measured.

        Args:
            generator: Of the noise.
        """
        training, contexts = self.training, self.contexts
        if training.feature_noise > 0:
            noise = torch.randn(contexts.shape, generator=generator).to(contexts.device)
            there = (contexts[:, :, INTERVAL_FEATURE] != 0).unsqueeze(-1)
            contexts = contexts + training.feature_noise * noise * there * self._measured
        if training.pair_dropout > 0:
            dropped = self.rng.random(len(self.market.pair_long)) < training.pair_dropout
            self._hidden = (self.market.slot_pair >= 0) & dropped[self.market.slot_pair]
            contexts = contexts * ~torch.from_numpy(self._hidden).to(contexts.device).unsqueeze(-1)
        return contexts
