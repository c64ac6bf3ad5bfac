"""What `carryflow predict` is told about holdings, and what it answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.trading import N_POSITION_SLOTS, TradingConfig


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Given(BaseModel):
    """Written by a person: numbers are numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Holding(_Given):
    """One open position: the same quantity of a coin long on one venue and short on another."""

    symbol: str
    long_exchange: str
    short_exchange: str
    quantity: float = Field(gt=0, description="Coins on each leg.")
    entry_long_price: float = Field(gt=0)
    entry_short_price: float = Field(gt=0)
    entry_time: AwareDatetime
    funding: float = Field(0.0, description="Funding received less paid since entry, quote currency.")
    entry_costs: float | None = Field(
        None, ge=0, description="Fees and slippage paid at entry; by the fee table if left out."
    )
    long_margin: float | None = Field(
        None, gt=0, description="Isolated margin left; by the leverage if left out."
    )
    short_margin: float | None = Field(None, gt=0, description="The same of the short leg.")


class Portfolio(_Given):
    """What is held: `positions.json`."""

    initial_capital: float | None = Field(
        None, gt=0, description="Equity at the start; by the rules if left out."
    )
    balance: float | None = Field(
        None,
        gt=0,
        description="Initial capital and every booked flow, margins included; by the positions if left out.",
    )
    peak_equity: float | None = Field(None, gt=0, description="Highest equity so far.")
    max_drawdown: float = Field(0.0, ge=0, lt=1, description="Largest drawdown so far, a fraction.")
    mean_closed_pnl: float = Field(
        0.0, ge=-1, description="Mean net result of closed positions over notional, a fraction."
    )
    closed_positions: int = Field(0, ge=0)
    positions: tuple[Holding, ...] = ()

    @field_validator("positions")
    @classmethod
    def _within_slots(cls, positions: tuple[Holding, ...]) -> tuple[Holding, ...]:
        if len(positions) > N_POSITION_SLOTS:
            raise ValueError(
                f"{len(positions)} are held and no risk profile allows more than {N_POSITION_SLOTS}"
            )
        return positions

    @model_validator(mode="after")
    def _closed_before_it_is_averaged(self) -> Self:
        if self.mean_closed_pnl != 0.0 and self.closed_positions == 0:
            raise ValueError("mean_closed_pnl is a mean over closed_positions, and there are none")
        return self


class Choice(_Model):
    """One valid action and how likely the policy is to take it."""

    action: int
    name: str = Field(description="Such as 'hold', 'enter BTCUSDT large' or 'exit BTCUSDT'.")
    kind: Literal["hold", "enter", "exit"]
    symbol: str | None = None
    long_exchange: str | None = None
    short_exchange: str | None = None
    size: Literal["small", "medium", "large"] | None = None
    probability: float


class PresetDecision(_Model):
    """What the policy does under one risk profile."""

    preset: str
    config: TradingConfig
    decision: Choice
    value: float | None = Field(
        description="The critic's value, in units of the training's scaled reward; none without a policy."
    )
    equity: float
    choices: tuple[Choice, ...] = Field(description="Every valid action, the most probable first.")


class Prediction(_Model):
    """The decision for one hour."""

    version: str | None = Field(description="Who decides; none where the alias points at no version.")
    model: str = Field(description="What was asked for: an alias, a version or a file.")
    why: str | None = Field(None, description="Why it is held, where no policy decides.")
    hour: datetime = Field(description="The hour decided for, UTC; the newest one of the data.")
    newest_row: datetime = Field(description="The newest row the decision could know.")
    holdings: str = Field(description="What was assumed about holdings.")
    fills: str = Field(description="When an order decided now would fill.")
    odd: tuple[str, ...] = Field((), description="What is odd about the holdings, a sentence each.")
    presets: tuple[PresetDecision, ...]
