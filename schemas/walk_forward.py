"""What a walk-forward is asked and what it says: the content of `walk_forward.json`."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.trading import MarketRules, TradingConfig
from schemas.training import TrainingConfig

WALK_FORWARD: Final = "walk_forward.json"
CURVE: Final = "curve.parquet"
Scheme = Literal["expanding", "rolling"]
SCHEMES: Final[tuple[Scheme, ...]] = ("expanding", "rolling")
CANDIDATE: Final = "candidate"
AGENT: Final = "agent"
SEVERAL: Final = "random"  # many runs beside each other, so no curve
DEFAULT_FOLDS: Final = 4
DEFAULT_SEEDS: Final = 3
# Twelve trainings of so many episodes, and all that is around them, fit into a quarter of an hour on two
# cores for a quarter of a year of data: see docs/walk-forward.md.
DEFAULT_EPISODES: Final = 1000


class FoldPlan(BaseModel):
    """How a data set's hours are cut into folds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_folds: int = Field(DEFAULT_FOLDS, ge=2, description="Folds; each holds out a part of its own.")
    scheme: Scheme = Field(
        "expanding",
        description="Expanding: every fold trains from the first hour on. Rolling: on as many hours as the "
        "first fold.",
    )
    held_out_share: float = Field(
        0.5, gt=0, lt=1, description="Share of the hours that is held out, all folds together; the newest."
    )
    validation_share: float = Field(
        0.25, gt=0, lt=1, description="Share of a fold's hours before its held-out part that chooses."
    )


class Span(BaseModel):
    """Hours from `start` up to and not including `end`, UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: datetime
    end: datetime


class Played(BaseModel):
    """What one policy did on one held-out part under one risk profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    policy: str
    return_pct: float = Field(
        description="Change of NLV over the initial capital, net of all costs, percent."
    )
    max_drawdown_pct: float
    trades: float
    liquidations: float
    ended_early: bool = Field(False, description="The drawdown limit ended it before the part's end.")


class FoldRun(BaseModel):
    """One training of one fold, and what it did on the hours that were held out from it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    version: str
    trial: str
    model: str = Field(description="The training artifact, step/key.")
    backtest: str = Field(description="The backtest artifact, step/key.")
    episodes: int
    validation_pct: float = Field(
        description="Return on the fold's validation, percent; it chooses the seed."
    )
    results: tuple[Played, ...] = Field(description="Of the policy, under every risk profile.")


class FoldResult(BaseModel):
    """One fold: its windows, its trainings, and the baselines on its held-out part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1)
    features: str = Field(description="The fold's artifact, step/key.")
    train: Span
    validation: Span
    test: Span
    runs: tuple[FoldRun, ...] = Field(description="By seed.")
    chosen: int = Field(description="The seed that is best on validation; the held-out part has no say.")
    baselines: tuple[Played, ...]

    @property
    def candidate(self) -> FoldRun:
        """The run of the chosen seed."""
        return next(run for run in self.runs if run.seed == self.chosen)


class JoinedCurve(BaseModel):
    """The held-out parts one after the other, as one curve."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    who: str = Field(description="candidate, agent (of one seed in every fold), or a baseline.")
    seed: int | None = Field(None, description="Of `agent`.")
    return_pct: float
    max_drawdown_pct: float
    days: int = Field(description="Whole UTC days inside the curve.")
    sharpe: float | None = Field(None, description="Annual, of UTC-daily returns; empty without enough days.")
    sharpe_note: str = ""


class WalkForwardSummary(BaseModel):
    """All of a walk-forward that fits a page; `curve.parquet` beside it holds every hour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    data_hash: str
    preset: str = Field(description="The risk profile that validation looked at and that is judged.")
    plan: FoldPlan
    seeds: tuple[int, ...]
    training: TrainingConfig = Field(description="The recipe, with the first seed.")
    rules: MarketRules
    presets: dict[str, TradingConfig]
    embargo_hours: int
    episode_hours: int
    start: datetime = Field(description="First hour held out.")
    end: datetime = Field(description="First hour after the last one.")
    hours: int = Field(description="Hours held out, all folds together.")
    folds: tuple[FoldResult, ...]
    curves: tuple[JoinedCurve, ...]
    notes: tuple[str, ...] = Field((), description="Why less is claimed than the numbers seem to say.")

    def curve(self, preset: str, who: str, seed: int | None = None) -> JoinedCurve | None:
        """Return one joined curve's figures, or None if there is no such curve."""
        wanted = (preset, who, seed)
        return next((c for c in self.curves if (c.preset, c.who, c.seed) == wanted), None)

    def of_seeds(self, preset: str) -> tuple[JoinedCurve, ...]:
        """Return the joined curve of every seed under one risk profile."""
        return tuple(c for c in self.curves if c.preset == preset and c.who == AGENT)

    def baselines(self, preset: str) -> tuple[JoinedCurve, ...]:
        """Return the joined curves of the baselines under one risk profile."""
        return tuple(c for c in self.curves if c.preset == preset and c.who not in (CANDIDATE, AGENT))
