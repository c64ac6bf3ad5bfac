"""What a curve proves, and what it does not: the evidence behind a champion."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

DAYS_PER_YEAR: Final = 365
Source = Literal["test window", "walk-forward", "replayed window"]
VarianceSource = Literal["trials", "sampling"]


class Interval(BaseModel):
    """A mean with its interval, percent of NLV a day."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean: float = Field(description="Percent a day.")
    low: float = Field(description="Lower bound, percent a day.")
    high: float = Field(description="Upper bound, percent a day.")

    def annual(self) -> Interval:
        """Return the same in percent a year: 365 days, not compounded."""
        return Interval(
            mean=self.mean * DAYS_PER_YEAR, low=self.low * DAYS_PER_YEAR, high=self.high * DAYS_PER_YEAR
        )


class Comparison(BaseModel):
    """The difference between two curves over the same days, day by day."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    excess: Interval | None = Field(description="Own return less the other's; empty with too few days.")
    days: int = Field(ge=0, description="Whole UTC days that both have and neither was trained on.")
    block_days: int = Field(ge=1, description="Length of a block, days.")
    blocks: int = Field(ge=0, description="Whole blocks of that length.")


class Evidence(BaseModel):
    """What the returns of a candidate prove; all figures are of whole UTC days.

    The intervals say how far the mean may be from what was seen, given the days there were. They know
    nothing of what never happened in these days.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: int = 1
    source: Source = Field(description="Where the curve comes from.")
    start: datetime | None = Field(description="Start of the first whole day, UTC.")
    end: datetime | None = Field(description="End of the last whole day, UTC.")
    days: int = Field(ge=0)
    block_days: int = Field(ge=1, description="Length of a block, days, as the autocorrelation asks.")
    blocks: int = Field(ge=0, description="Whole blocks of that length.")
    persistence: float = Field(description="First autocorrelation of the daily returns, not below 0.")
    effective_days: float = Field(description="Independent days that would tell as much.")
    seeds: int = Field(ge=1, description="Curves the recipe's interval rests on.")
    confidence: float = Field(description="Of every interval here, two-sided.")
    cash_apr: float = Field(description="What cash earns, percent a year.")
    over_cash: Interval | None = Field(
        description="The candidate's return less cash; empty with too few days."
    )
    recipe: Interval | None = Field(
        None, description="The same over several seeds of the recipe, inter-quartile mean; empty for one."
    )
    over_greedy: Comparison | None = None
    over_champion: Comparison | None = Field(None, description="Empty where none reigns.")
    sharpe: float | None = Field(
        description="Annual, of daily excess returns over cash; empty if not claimed."
    )
    trials: int = Field(ge=1, description="Distinct trials opened on overlapping windows, this one included.")
    trial_variance: float | None = Field(description="Variance of the trials' daily Sharpe ratios.")
    variance_source: VarianceSource | None = Field(
        description="Seen over the trials, or what chance gives one Sharpe ratio where too few are known."
    )
    sharpe_of_luck: float | None = Field(
        description="Annual Sharpe ratio that the best of so many worthless trials is expected to show."
    )
    deflated_sharpe: float | None = Field(
        description="Probability that the Sharpe ratio is above that of luck; empty if not claimed."
    )
    minimum_days: float | None = Field(
        description="Minimum track record length: days after which this Sharpe ratio would be believed; "
        "empty where no number of days would do, or none is claimed."
    )
    insufficient: str = Field("", description="Why the evidence is not enough, in words; empty if it is.")
