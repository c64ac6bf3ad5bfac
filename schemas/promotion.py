"""What a gate is, and what a promotion decides."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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
    """Thresholds of the basic gates; every field is shown in the Prefect form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_return_over_cash_pct: float = Field(
        0.0, description="Return over cash on the sealed window must exceed this, percent."
    )
    min_carry_pct: float = Field(
        0.0, description="Funding - fees - slippage must exceed this, percent of capital."
    )
    max_drawdown_pct: float = Field(10.0, gt=0, le=100, description="Largest drawdown allowed, percent.")
    max_liquidations: int = Field(0, ge=0, description="Liquidations allowed on the sealed window.")
    min_trades: int = Field(3, ge=0, description="Fewest closed or open positions that count as evidence.")


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
