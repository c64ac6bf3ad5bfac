"""Parameters of the flows beyond the everyday ones; Prefect shows them as a form.

No field is a union, so that every field has one input of one kind: what is "off" or
"the default" is a number or an empty text that says so in its description.
"""

from __future__ import annotations

from typing import Final, Literal, Self, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from schemas.backtest import Ladder
from schemas.errors import ConfigError
from schemas.promotion import PromotionPolicy
from schemas.stress import StressSettings
from schemas.trading import PRESETS, MarketRules, PresetName, TradingConfig
from schemas.training import Recipe, TrainingConfig

AUDIT_TIMES: Final = 10
RunnerName = Literal[
    "inline", "process", "ray"
]  # where trainings and replays run that do not depend on each other


class InputRules(TypedDict):
    """What ingest is told of the files, by the names of its arguments."""

    max_bad_fraction: float
    bars_open_stamped: bool
    instruments: str


class Advanced(BaseModel):
    """Everything that rarely changes: input rules, recipe, the market's rules, ladder, gates, stress."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bad_fraction: float = Field(
        0.05, ge=0, le=1, description="Share of rows that may be quarantined before the data is refused."
    )
    history_bars_open_stamped: bool = Field(
        False,
        description="High and low of a history row are of the hour that begins, not ends, at its stamp.",
    )
    instruments: str = Field(
        "",
        description="Table of symbols that count a coin in thousands; empty takes instruments.csv in the "
        "data folder, if there is one.",
    )
    training: Recipe = Field(default_factory=Recipe, description="How a policy is trained.")
    rules: MarketRules = Field(
        default_factory=MarketRules, description="What venues charge and how orders fill."
    )
    ladder: Ladder = Field(default_factory=Ladder, description="What a backtest holds a policy against.")
    gates: PromotionPolicy = Field(
        default_factory=PromotionPolicy, description="What a version must show to be promoted."
    )
    stress: StressSettings = Field(
        default_factory=StressSettings, description="Impact, placebo runs and seed of the stress tests."
    )
    audit_times: int = Field(
        AUDIT_TIMES,
        ge=2,
        description="Times of validation and test after which the causality audit puts garbage.",
    )
    device: str = Field(
        "cpu",
        description="Torch device of the training: cpu, cuda, mps or auto; not part of a run's key.",
    )
    resume_from: str = Field(
        "", description="Checkpoint file to start the weights from; empty starts afresh."
    )

    def input_rules(self) -> InputRules:
        """Return what ingest is to be told of the files."""
        return {
            "max_bad_fraction": self.max_bad_fraction,
            "bars_open_stamped": self.history_bars_open_stamped,
            "instruments": self.instruments,
        }

    def refuse_start(self, why: str) -> None:
        """Refuse weights to start from, where everything trains from nothing.

        Args:
            why: What is wrong with them there, as a sentence after their name.

        Raises:
            ConfigError: There are some.
        """
        if self.resume_from:
            raise ConfigError(why, "resume_from", "Leave it out.")

    def one_hurdle(self) -> Self:
        """Return the same with what cash earns given once, and used by the ladder and by the gates alike.

        Raises:
            ConfigError: They were given two different rates.
        """
        shown, asked = self.ladder.cash_apr, self.gates.cash_apr
        if shown and asked and shown != asked:
            raise ConfigError(
                f"cash earns {shown:g} % in the ladder and {asked:g} % in the gates.",
                "cash_apr",
                "Give one of them, or --cash-apr, which sets both.",
            )
        rate = {"cash_apr": shown or asked}
        return self.model_copy(
            update={
                "ladder": self.ladder.model_copy(update=rate),
                "gates": self.gates.model_copy(update=rate),
            }
        )

    def training_config(
        self, *, seed: int, num_episodes: int, preset: PresetName = "moderate"
    ) -> TrainingConfig:
        """Return the complete training config of one run.

        Args:
            seed: Seed of weights, episodes and minibatches.
            num_episodes: Episodes to train for.
            preset: Where no profile is drawn, the one whose fields are taken that were not given.
        """
        recipe = dict(self.training)
        if not self.training.sample_random_config:
            recipe["trading"] = self.profile(preset)
        return TrainingConfig(seed=seed, num_episodes=num_episodes, **recipe)

    def profile(self, preset: PresetName) -> TradingConfig:
        """Return the risk profile in `training.trading`; fields that were not given are the preset's."""
        own = self.training.trading
        given = {name: getattr(own, name) for name in own.model_fields_set}
        return PRESETS[preset].model_copy(update=given)

    def with_profile(self, preset: PresetName) -> Self:
        """Return the same with `profile` in place of what was given of it."""
        training = self.training.model_copy(update={"trading": self.profile(preset)})
        return self.model_copy(update={"training": training})
