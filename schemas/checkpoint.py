"""What a checkpoint says of itself, and what a training run leaves behind besides its files."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.health import HealthReport
from schemas.trading import MarketRules, PresetName
from schemas.training import TrainingConfig
from schemas.version import Windows

CHECKPOINT_FORMAT: Final = 1
BEST_MODEL: Final = "best_model.safetensors"
FINAL_MODEL: Final = "final_model.safetensors"
METRICS: Final = "metrics.parquet"
TRAINING: Final = "training.json"


def periodic_model(episode: int) -> str:
    """Return the file name of the checkpoint asked for after so many episodes."""
    return f"checkpoint_ep{episode}.safetensors"


class Progress(BaseModel):
    """How far a run was when a checkpoint was taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    update: int = 0
    episodes: int = 0
    steps: int = 0
    asked: int | None = Field(
        None, description="The number of episodes it was asked for at; none for best and final."
    )
    validation_pct: float | None = Field(None, description="Return on validation under the preset, percent.")


class RewardScale(BaseModel):
    """Moments of the discounted returns by whose deviation the learner divides rewards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: float = 0.0
    mean: float = 0.0
    spread: float = 0.0


class CheckpointInfo(BaseModel):
    """Everything a checkpoint holds that is not a tensor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = CHECKPOINT_FORMAT
    progress: Progress
    preset: PresetName = Field(description="The risk profile validation looked at.")
    training: TrainingConfig
    rules: MarketRules
    scaler_median: tuple[float, ...] = Field(description="Train median |x| of each slot feature.")
    reward_scale: RewardScale
    data_hash: str
    windows: Windows
    torch: str = Field(description="Version of torch it was made with.")


class RunShape(BaseModel):
    """How a run's episodes are cut into environments, rollouts and updates.

    One rollout is `rollout_steps` steps of `n_envs` environments in `n_cohorts` cohorts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_envs: int
    n_cohorts: int
    rollout_steps: int
    updates: int = Field(description="Expected; episodes that end early make it fewer, late ones more.")


class ModelFacts(BaseModel):
    """One of a run's models, as `training.json` lists it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    weights: str = Field(description="sha256 of the weights.")
    update: int
    episodes: int
    validation_pct: float | None


class TrainingResult(BaseModel):
    """How a training run ended: the content of `training.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finished: bool = Field(description="All episodes asked for were trained.")
    reason: Literal["episodes", "time budget", "stopped"]
    updates: int
    episodes: int
    steps: int
    seconds: float = Field(description="Of this process; a resumed run has more behind it.")
    steps_per_second: float = Field(description="Median over this process's updates, evaluation left out.")
    resumed_at: int = Field(0, description="Update this process went on from.")
    parameters: int
    episode_hours: int
    shape: RunShape
    preset: PresetName
    training: TrainingConfig
    scaler_median: tuple[float, ...]
    data_hash: str
    windows: Windows
    torch: str
    device: str
    threads: int
    models: tuple[ModelFacts, ...] = Field((), description="Best first, then final, then periodic.")
    greedy_validation_pct: dict[str, float] = Field(
        default_factory=dict,
        description="Return of greedy on validation by risk profile, percent; first the one that chooses.",
    )
    health: HealthReport | None = Field(None, description="The signs of the whole run, judged.")

    @property
    def best(self) -> ModelFacts:
        """The model chosen on validation."""
        return self.models[0]
