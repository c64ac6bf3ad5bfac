"""What a stress test found: the content of `stress.json`."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

STRESS: Final = "stress.json"

StressName = Literal[
    "fees x2",
    "fills an hour later",
    "funding boundary reversed",
    "one leg an hour late",
    "winning leg deleveraged",
    "venue frozen",
    "size against depth",
]
ACCIDENTS: Final[frozenset[StressName]] = frozenset(
    {"one leg an hour late", "winning leg deleveraged", "venue frozen"}
)
"""What happens once, at the worst hour of the window; the others hold throughout."""
STRESSES: Final[tuple[StressName, ...]] = (
    "fees x2",
    "fills an hour later",
    "funding boundary reversed",
    "one leg an hour late",
    "winning leg deleveraged",
    "venue frozen",
    "size against depth",
)


class StressSettings(BaseModel):
    """What the stress tests cannot read off the data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    impact_k: float = Field(
        0.01,
        gt=0,
        description="Price impact of an order as large as the order book's depth, a fraction of price; "
        "the market's own impact_k is taken instead where it is above 0.",
    )
    placebo_runs: int = Field(5, ge=1, description="Markets with permuted funding rates to replay.")
    seed: int = Field(0, ge=0, description="Seed of the permutations.")


class StressOutcome(BaseModel):
    """The same policy on the same window, with one thing made worse."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    what: str = Field(description="What was made worse, in words.")
    return_pct: float = Field(description="Change of NLV over the initial capital, percent.")
    change_pct: float = Field(description="Its return less that of the plain run, percent of capital.")
    carry_pct: float = Field(description="Funding - fees - slippage, percent of capital.")
    max_drawdown_pct: float = Field(description="Largest hourly drawdown from the running peak, percent.")
    trades: int = Field(description="Positions opened.")
    liquidations: int
    sentence: str = Field(description="The outcome in one sentence.")


class Share(BaseModel):
    """A part of the profit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    profit: float = Field(description="Quote currency.")
    share: float | None = Field(description="Of the whole; empty where there is no profit to share.")


class Concentration(BaseModel):
    """Where the profit came from; each list begins with its largest part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: tuple[Share, ...] = Field((), description="Net profit by coin; adds up to the change of NLV.")
    venues: tuple[Share, ...] = Field((), description="Net profit by long and short venue; the same sum.")
    weeks: tuple[Share, ...] = Field((), description="Change of NLV by ISO week, UTC; the same sum.")


class VenueNeed(BaseModel):
    """One venue's wallet, if every venue began with the same part of the capital and nothing was moved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    venue: str
    starts_with: float = Field(description="Quote currency.")
    lacks: float = Field(ge=0, description="Most that its margins and losses exceeded its balance by.")
    when: datetime | None = Field(None, description="The hour of it; empty where nothing was lacking.")


class Transfers(BaseModel):
    """What would have had to be moved between venues, so that none lacks what it needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    venues: tuple[VenueNeed, ...] = ()
    count: int = 0
    total: float = Field(0.0, description="Sum of all transfers, quote currency.")
    largest: float = 0.0
    sentence: str = ""


class CapacityPoint(BaseModel):
    """The plain run at another capital, with impact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capital: float
    return_pct: float


class Capacity(BaseModel):
    """How large the capital may be before impact has eaten the edge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    impact_k: float
    fills: int = Field(description="Entries and exits of the plain run.")
    fills_with_depth: int = Field(description="Those of them whose pair had a known depth.")
    median_of_depth: float | None = Field(
        None, description="Median notional of a leg over depth, a fraction."
    )
    largest_of_depth: float | None = Field(None, description="The largest of the same.")
    points: tuple[CapacityPoint, ...] = ()
    edge_gone_at: float | None = Field(None, description="Capital from which on nothing is earned.")
    sentence: str = ""


class PlaceboRun(BaseModel):
    """A replay whose return is split by what the rates of an hour have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    return_pct: float
    common_pct: float = Field(
        description="Funding, had every instrument settled the mean of its interval in that hour."
    )
    beyond_pct: float = Field(description="The rest of the return, all costs included.")
    trades: int


class Placebo(BaseModel):
    """The same policy where a coin's rate says nothing about its next one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plain: PlaceboRun | None = Field(None, description="The plain run, split alike.")
    runs: tuple[PlaceboRun, ...] = ()
    dealt: int = Field(0, description="Settled rates that had another one to change places with.")
    settled: int = Field(0, description="Settled rates in the data.")
    sentence: str

    @property
    def beyond_pct(self) -> float | None:
        """Mean over the runs of what was made beyond the common part, percent; None without runs."""
        if not self.runs:
            return None
        return sum(run.beyond_pct for run in self.runs) / len(self.runs)


class StressReport(BaseModel):
    """Everything that was tried on one version, window and risk profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    version: str | None = Field(None, description="The version stressed.")
    data_hash: str = ""
    preset: str
    start: datetime = Field(description="The first decision.")
    end: datetime = Field(description="The last mark.")
    initial_capital: float
    settings: StressSettings
    plain: StressOutcome = Field(description="The run with nothing made worse.")
    outcomes: tuple[StressOutcome, ...]
    concentration: Concentration
    transfers: Transfers
    capacity: Capacity
    placebo: Placebo

    def outcome(self, name: str) -> StressOutcome | None:
        """Return one stress's outcome, or None if it was not tried."""
        return next((o for o in self.outcomes if o.name == name), None)
