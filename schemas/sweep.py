"""A search over recipes: what is varied, how trials are pruned, and what became of each of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic import model_validator as checked

from schemas.errors import ConfigError
from schemas.trading import PresetName
from schemas.training import Recipe, TrainingConfig

SWEEP: Final = "sweep.json"
TRIAL: Final = "trial.json"
RECIPE: Final = "recipe.json"
DEFAULT_TRIALS: Final = 20
DEFAULT_EPISODES: Final = 1000
State = Literal["complete", "pruned", "diverged"]
Look = tuple[int, float]  # episodes trained, return on validation in percent

# Why a field of `TrainingConfig` cannot be searched; every other number and switch can.
_FIXED: Final = {
    "seed": "Every trial has the same seeds, so that trials differ by their recipes; --seeds says how many.",
    "num_episodes": "Every trial may train as long as the others; --num-episodes says how long.",
    "episode_hours": "It moves the windows: trials would not be validated on the same hours.",
    "eval_every": "Whoever is looked at more often has the better best look.",
    "save_every": "It changes no policy.",
    "threads": "It changes no policy for the better.",
    "trading": "A risk profile is chosen by who takes the risk.",
    "sample_random_config": "It says what is trained for, not how.",
}


class Range(BaseModel):
    """The values a parameter may take: from low to high, or one of a few choices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float = Field(0.0, allow_inf_nan=False, description="Lowest value.")
    high: float = Field(0.0, allow_inf_nan=False, description="Highest value.")
    log: bool = Field(False, description="Draw the logarithm evenly: for what spans powers of ten.")
    choices: tuple[float, ...] = Field(
        (), description="The values to choose from, instead of low and high; a switch has 0 and 1."
    )

    @checked(mode="after")
    def _one_kind(self) -> Self:
        if self.choices:
            if self.low or self.high or self.log:
                raise ValueError("give choices, or low and high, and not both")
            if len(set(self.choices)) < 2 or not all(map(math.isfinite, self.choices)):
                raise ValueError("choices are two or more different numbers")
        elif not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) has to be below high ({self.high:g})")
        elif self.log and self.low <= 0:
            raise ValueError("a logarithm needs low above 0")
        return self

    @property
    def ends(self) -> tuple[float, ...]:
        """The values that have to be allowed: the ends, or every choice."""
        return self.choices or (self.low, self.high)

    def holds(self, value: float) -> bool:
        """Say whether a value is among these."""
        return value in self.choices if self.choices else self.low <= value <= self.high

    def as_typed(self) -> str:
        """Return these values as `parse_range` reads them."""
        if self.choices:
            return ",".join(map(_short, self.choices))
        return f"{_short(self.low)}:{_short(self.high)}" + (":log" if self.log else "")

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(f"{value:g}" for value in self.choices)
        return f"{self.low:g} to {self.high:g}" + (", by its logarithm" if self.log else "")


DEFAULT_SPACE: Final = {
    "learning_rate": Range(low=2e-4, high=5e-3, log=True),
    "entropy_coef": Range(low=5e-4, high=5e-2, log=True),
    "gamma": Range(choices=(0.99, 0.995, 0.999, 0.9995)),
    "gae_lambda": Range(low=0.7, high=0.99),
    "carry_hours": Range(low=0, high=168),
    "max_kl": Range(low=0.01, high=0.1, log=True),
    "batch_size": Range(choices=(512, 1024, 2048, 4096)),
    "n_epochs": Range(low=1, high=8),
    "feature_noise": Range(low=0, high=0.6),
    "pair_dropout": Range(low=0, high=0.5),
}


class SweepConfig(BaseModel):
    """What is searched and how; all of it is part of what a sweep is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: dict[str, Range] = Field(
        default_factory=lambda: dict(DEFAULT_SPACE),
        description="By name of a field of the recipe: the values it may take. Of the others the recipe's "
        "own values are kept.",
    )
    random_trials: int = Field(
        8, ge=1, description="Trials whose values are drawn at random before the search looks at results."
    )
    batch: int = Field(
        1,
        ge=1,
        description="Trials that are proposed together, and can be trained side by side; a proposal and a "
        "pruning know only trials of the batches before.",
    )
    rungs: tuple[float, ...] = Field(
        (0.25, 0.5),
        description="Shares of the episodes at which a trial's first seed is held against the others and "
        "may be pruned; empty prunes nothing.",
    )
    bar_after: int = Field(4, ge=1, description="Complete trials before anything is pruned.")

    @field_validator("rungs")
    @classmethod
    def _inside(cls, rungs: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0.0 < share < 1.0 for share in rungs) or list(rungs) != sorted(set(rungs)):
            raise ValueError("rungs rise, each above 0 and below 1")
        return rungs

    @field_validator("space")
    @classmethod
    def _of_the_recipe(cls, space: dict[str, Range]) -> dict[str, Range]:
        if not space:
            raise ValueError("there is nothing to search")
        for name, values in space.items():
            if (why := _unfit(name, values)) is not None:
                raise ValueError(why)
        return dict(sorted(space.items()))  # in one order, however it was written

    def rung_episodes(self, num_episodes: int) -> tuple[int, ...]:
        """Return the rungs as numbers of episodes; those of a very short training may fall together."""
        return tuple(dict.fromkeys(max(round(share * num_episodes), 1) for share in self.rungs))


def _short(value: float) -> str:
    """Return a number without a point where it needs none; read again it is the same."""
    return str(int(value)) if value.is_integer() else repr(value)


def kind_of(name: str) -> type:
    """Return what a parameter's values are: int, float or bool.

    Raises:
        KeyError: The recipe has no such field.
    """
    kind = Recipe.model_fields[name].annotation
    assert isinstance(kind, type)
    return kind


def typed(params: Mapping[str, float]) -> dict[str, Any]:
    """Return parameters as the recipe holds them: whole numbers and switches as such."""
    return {name: kind_of(name)(value) for name, value in params.items()}


def base_recipe(recipe: Recipe, config: SweepConfig, num_episodes: int) -> Recipe:
    """Return the recipe that trials vary: looked at no later than at the first rung.

    Args:
        recipe: The one asked for.
        config: Of the sweep.
        num_episodes: Of each training.
    """
    every = min([recipe.eval_every, *config.rung_episodes(num_episodes)])
    return recipe.model_copy(update={"eval_every": every})


def with_params(recipe: Recipe, params: Mapping[str, float]) -> Recipe:
    """Return a recipe with some values replaced, checked like one that was typed."""
    return Recipe.model_validate({**dict(recipe), **typed(params)})


def parse_range(text: str) -> tuple[str, Range]:
    """Read `learning_rate=1e-4:3e-3:log`, `gae_lambda=0.8:0.98` or `batch_size=1024,2048`.

    Raises:
        ConfigError: It is none of these.
    """
    name, equals, values = text.partition("=")
    parts = values.split(":")
    try:
        if not equals or not name.strip():
            raise ValueError
        if len(parts) == 1:
            return name.strip(), Range(choices=tuple(float(one) for one in values.split(",")))
        low, high, *log = parts
        if log not in ([], ["log"]):
            raise ValueError
        return name.strip(), Range(low=float(low), high=float(high), log=bool(log))
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{text!r}: {said}.", "--search") from None
    except ValueError:
        raise ConfigError(
            f"{text!r} is no range.",
            "--search",
            "Write NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=VALUE,VALUE.",
        ) from None


def _unfit(name: str, values: Range) -> str | None:
    """Say why a parameter cannot be searched over these values; None where it can."""
    if name in _FIXED:
        return f"{name} cannot be searched. {_FIXED[name]}"
    field = Recipe.model_fields.get(name)
    if field is None:
        every = ", ".join(sorted(set(Recipe.model_fields) - set(_FIXED)))
        return f"{name} is no field of a recipe; these can be searched: {every}"
    kind = kind_of(name)
    if kind is bool and set(values.choices) != {0.0, 1.0}:
        return f"{name} is a switch: its choices are 0 and 1"
    for value in values.ends:
        if kind is int and not float(value).is_integer():
            return f"{name} is a whole number, which {value:g} is not"
        try:
            Recipe.model_validate({name: kind(value)})
        except ValidationError as error:
            return f"{name} cannot be {value:g}: {error.errors()[0]['msg'].lower()}"
    return None


class SeedRun(BaseModel):
    """One training of a trial: the content of `trial.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    state: State
    looks: tuple[Look, ...] = Field(description="Every evaluation on validation until it ended.")
    bar: float | None = Field(None, description="What its best look was below when it was pruned.")
    trial: str = Field(description="Its name in the ledger: data, windows, recipe and seed.")
    version: str = Field("", description="Of its best model; empty unless it is complete.")
    model: str = Field("", description="Ref of the training; empty unless it is complete.")
    greedy_pct: float | None = Field(None, description="What greedy returns there; of a complete one.")

    @property
    def best_pct(self) -> float | None:
        """Its best look; None where it was never looked at."""
        return max((value for _, value in self.looks), default=None)


class TrialResult(BaseModel):
    """One trial: a recipe, and what became of it for each seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    params: dict[str, float]
    runs: tuple[SeedRun, ...] = Field(description="By seed; none after one that was not complete.")

    @property
    def state(self) -> State:
        """How its last run ended; those before were complete."""
        return self.runs[-1].state

    @property
    def values(self) -> tuple[float, ...]:
        """Best validation of each seed; of complete trials only."""
        if self.state != "complete":
            return ()
        return tuple(run.best_pct for run in self.runs if run.best_pct is not None)

    @property
    def value(self) -> float | None:
        """Mean over seeds of the best validation, percent; None unless it is complete."""
        return math.fsum(self.values) / len(self.values) if self.values else None


class SweepSummary(BaseModel):
    """What a sweep found: the content of `sweep.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_hash: str
    preset: PresetName
    config: SweepConfig
    seed: int = Field(description="Of the proposals; and the first of the trainings.")
    seeds: tuple[int, ...]
    base: TrainingConfig = Field(description="The recipe that trials vary, with the first seed.")
    validation: tuple[AwareDatetime, AwareDatetime]
    trials: tuple[TrialResult, ...]
    importance: dict[str, float] = Field(
        description="Share of each parameter in what separates the best tenth; empty where that is not known."
    )
    optuna: str = Field(description="Version of the library that made the proposals.")

    @property
    def complete(self) -> tuple[TrialResult, ...]:
        """The trials that were trained to their end, by number."""
        return tuple(trial for trial in self.trials if trial.state == "complete")

    @property
    def best(self) -> TrialResult | None:
        """The complete trial of the highest mean validation; of equals the first one."""
        return max(self.complete, key=lambda trial: (trial.value, -trial.number), default=None)

    def count(self, state: State) -> int:
        """Return how many trials ended so."""
        return sum(trial.state == state for trial in self.trials)


def recipe_file(recipe: Recipe) -> str:
    """Return a recipe as a file for `--advanced`: what is not the house's own value, nested."""
    usual = Recipe().model_dump(mode="json")
    own = {name: value for name, value in recipe.model_dump(mode="json").items() if value != usual[name]}
    return json.dumps({"training": own}, indent=1, sort_keys=True) + "\n"
