"""What a gate is, and what a promotion decides."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.drift import DriftLimits

Verdict = Literal["pass", "fail"]
Alias = Literal["challenger", "champion"]


class Gate(BaseModel):
    """One condition of promotion, with the value that met or missed it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="What is asked, in a few words.")
    value: float | None = Field(description="What was measured; empty where it could not be.")
    threshold: float | None = Field(description="What it is held against.")
    verdict: Verdict
    reason: str = Field(description="The verdict in one sentence.")


class PromotionPolicy(BaseModel):
    """Thresholds of every gate; every field is shown in the Prefect form.

    The challenger has to pass the basic gates, the champion those, the evidence and the stress.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cash_apr: float = Field(
        0.0, ge=0, le=100, description="What cash earns, percent a year; every return is held against it."
    )
    min_return_over_cash_pct: float = Field(
        0.0, description="Return over cash on the sealed window must exceed this, percent."
    )
    min_carry_pct: float = Field(
        0.0, description="Funding - fees - slippage must exceed this, percent of capital."
    )
    max_drawdown_pct: float = Field(10.0, gt=0, le=100, description="Largest drawdown allowed, percent.")
    max_liquidations: int = Field(0, ge=0, description="Liquidations allowed on the sealed window.")
    min_trades: int = Field(3, ge=0, description="Fewest closed or open positions that count as evidence.")
    confidence: float = Field(
        0.95,
        gt=0.5,
        lt=1,
        description="Champion: two-sided confidence of the intervals whose lower bounds are judged.",
    )
    min_blocks: int = Field(
        20, ge=2, description="Champion: blocks of 24 h or more below which evidence is insufficient."
    )
    min_deflated_sharpe: float = Field(
        0.95,
        gt=0.5,
        lt=1,
        description="Champion: probability that the Sharpe ratio is above the luck of all trials so far.",
    )
    max_age_days: float = Field(
        90.0,
        ge=0,
        description="Champion: days of reign after which one that is not worse may take over.",
    )
    non_inferiority_margin_pct: float = Field(
        1.0,
        ge=0,
        description="Champion: by how much the lower bound may then be below it, percent a year.",
    )
    max_stress_loss_pct: float = Field(
        1.0,
        ge=0,
        le=100,
        description="Champion: most that may be lost where terms are worse throughout the window, percent of "
        "capital.",
    )
    max_accident_loss_pct: float = Field(
        10.0,
        ge=0,
        le=100,
        description="Champion: most that one accident at the worst hour may cost, percent of capital.",
    )
    max_share_of_one_symbol: float = Field(
        0.6, gt=0, le=1, description="Champion: largest share of the profit that one symbol may have."
    )
    placebo_max_return_pct: float = Field(
        0.1,
        description="Champion: most that may be made on permuted funding rates beyond what all of them have "
        "in common, percent.",
    )
    drift: DriftLimits = Field(
        default_factory=DriftLimits,
        description="Champion: how far the newest rows may be from what the reigning one was trained on.",
    )
    retire_after_days: int = Field(
        30,
        ge=8,
        description="Whole days of a recent window from which on a champion can be retired for its returns; "
        "drawdown and liquidations count at once.",
    )
    require_approval: bool = Field(
        False, description="A version that passes every gate waits until a person promotes it."
    )


class PromotionDecision(BaseModel):
    """The outcome of judging one version for one alias; lists every gate, passed or not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    alias: Alias
    preset: str
    promoted: bool = Field(
        description="All gates hold and the alias points, or would point, at this version."
    )
    moved: bool = Field(
        description="The alias was moved by this decision; false in a dry run or when already there."
    )
    awaiting: bool = Field(
        False, description="All gates hold and a person has yet to approve; the alias stays where it is."
    )
    reason: str
    gates: tuple[Gate, ...]


class RetirementDecision(BaseModel):
    """Whether a reigning version is still fit to reign; lists every gate, passed or not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    preset: str
    retire: bool = Field(description="A gate is missed: the alias can be set to none, which means hold.")
    reason: str
    gates: tuple[Gate, ...]
