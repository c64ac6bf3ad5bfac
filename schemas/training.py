"""How a policy is trained; everything here is part of a training run's key."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.trading import TradingConfig


class Recipe(BaseModel):
    """The recipe: PPO, episodes, and when to evaluate and save.

    Device, paths, verbosity and the time budget are not here: they do not change what is asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    episode_hours: int = Field(
        336, ge=2, description="Longest episode; a quarter of train where that is shorter."
    )
    sample_random_config: bool = Field(
        True, description="Draw a risk profile per episode; one policy serves all."
    )
    trading: TradingConfig = Field(
        default_factory=TradingConfig, description="The risk profile trained for when none is drawn."
    )
    burn_in_share: float = Field(0.5, ge=0, le=1, description="Share of episodes that start inside trading.")
    burn_in_hours: int = Field(168, ge=0, description="Longest unrecorded lead of such an episode.")
    n_envs: int = Field(256, ge=1, description="Environments stepped together.")
    n_cohorts: int = Field(16, ge=1, description="Groups of environments that share their hours.")
    rollout_steps: int = Field(48, ge=2, description="Steps of each environment between updates.")
    batch_size: int = Field(2048, ge=2, description="Minibatch of an update.")
    n_epochs: int = Field(4, ge=1, description="Passes over a rollout.")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's step at the start of the run.")
    anneal: bool = Field(True, description="Learning rate and entropy bonus fall to zero over the run.")
    gamma: float = Field(0.999, gt=0, le=1, description="Discount per hour.")
    gae_lambda: float = Field(0.9, ge=0, le=1, description="Lambda of the advantage estimate.")
    carry_hours: float = Field(
        72.0, ge=0, description="Hours a held pair's net rate is expected to last, for the critic; 0: none."
    )
    clip: float = Field(0.2, gt=0, description="Clip range of the probability ratio.")
    entropy_coef: float = Field(
        0.01, ge=0, description="Weight of the entropy bonus at the start of the run."
    )
    value_coef: float = Field(0.5, ge=0, description="Weight of the value loss.")
    max_grad_norm: float = Field(0.5, gt=0, description="Largest gradient norm.")
    max_kl: float = Field(
        0.03, gt=0, description="An update ends at a minibatch whose KL from the acting policy exceeds this."
    )
    feature_noise: float = Field(
        0.3, ge=0, description="Deviation of the noise added to scaled slot features, drawn per update."
    )
    pair_dropout: float = Field(0.2, ge=0, lt=1, description="Share of pairs not on offer, drawn per update.")
    eval_every: int = Field(200, ge=1, description="Episodes between evaluations on validation.")
    save_every: int = Field(500, ge=1, description="Episodes between periodic checkpoints.")
    threads: int = Field(2, ge=1, description="Torch threads; part of what makes a run reproducible.")


class TrainingConfig(Recipe):
    """One training run: a recipe, how long to follow it, and a seed."""

    seed: int = Field(0, ge=0, description="Seed of weights, episodes and minibatches.")
    num_episodes: int = Field(5000, ge=1, description="Episodes to train for, all environments together.")
