"""What a backtest says: the content of `backtest.json`."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from schemas.promotion import Alias
from schemas.trading import FundingBoundary, MarketRules, TradingConfig

PolicyName = Literal["agent", "champion", "challenger", "greedy", "flip", "random", "cash"]
POLICIES: Final[tuple[PolicyName, ...]] = get_args(PolicyName)
RIVALS: Final[tuple[Alias, ...]] = ("champion", "challenger")
HOURS_A_YEAR: Final = 8760


class Ladder(BaseModel):
    """What the rungs of the ladder are made of; every field is shown in the Prefect form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cash_apr: float = Field(
        0.0, ge=0, le=100, description="What cash earns, percent a year: the hurdle of doing nothing."
    )
    flip_apr: float = Field(
        30.0,
        ge=0,
        description="Hold-until-flip enters above this 3-day APR, percent a year.",
    )
    bound: bool = Field(
        True, description="Work out the bounds; seconds for weeks of data, minutes for months."
    )

    def cash_pct(self, hours: int) -> float:
        """Return what cash earns in so many hours, percent: simple interest."""
        return simple_interest_pct(self.cash_apr, hours)


def simple_interest_pct(apr: float, hours: int) -> float:
    """Return simple interest at an APR, percent of the capital, over some hours."""
    return apr * hours / HOURS_A_YEAR


class TrainedWindow(BaseModel):
    """Hours a version has seen: `start` inclusive, `end` exclusive, UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["train", "validation"]
    start: datetime
    end: datetime


class Rival(BaseModel):
    """A version that an alias of the book points at, beside the one that is judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Alias
    version: str
    trained_on: tuple[TrainedWindow, ...] = ()
    overlap_hours: int | None = Field(
        None, description="Hours of the window in its training or validation; null where it was not replayed."
    )
    missing: str = Field("", description="Why it was not replayed; empty where it was.")

    @property
    def in_sample(self) -> bool:
        """Return whether the window overlaps what it was trained or selected on."""
        return bool(self.overlap_hours)


class PresetBounds(BaseModel):
    """What nobody can beat in the window under one preset, and who came how far.

    A `plan` is a set of trades known in hindsight that keeps every limit of its bound: the best one lies
    between the two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    bound_pct: float = Field(description="No policy returns more, percent of the initial capital.")
    plan_pct: float
    funding_bound_pct: float = Field(
        description="No policy's carry is more: both legs at a common price, so that bounce pays nobody."
    )
    funding_plan_pct: float
    skill: dict[PolicyName, float | None] = Field(
        {},
        description="(return - greedy's) / (funding bound - greedy's); null where the bound is not above.",
    )


class ProfitSplit(BaseModel):
    """Where the change of NLV came from; quote currency, signed as it moved the NLV.

    The fields add up to the change of NLV exactly: the first six are sums of cash flows, the next
    two value what is still open at the end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    funding: float = 0.0
    price: float = Field(0.0, description="Realised price profit of both legs.")
    fees: float = 0.0
    slippage: float = 0.0
    penalty: float = Field(0.0, description="Penalties of stale exits.")
    liquidation: float = Field(0.0, description="Margins lost to liquidations.")
    unrealised: float = Field(0.0, description="Price profit of what is open at the end.")
    closing_costs: float = Field(0.0, description="Fees and slippage of closing it, not yet paid; negative.")
    interest: float = Field(0.0, description="What cash earns at the ladder's APR; of `cash` alone.")

    @property
    def total(self) -> float:
        """Return the change of NLV, quote currency."""
        return self.carry + self.prices + self.penalty + self.interest

    @property
    def prices(self) -> float:
        """Return what the legs' prices brought, open positions and lost margins included, quote currency.

        A liquidation books the margin of one leg as lost and the other leg's gain as price; only their sum
        says what the event cost.
        """
        return self.price + self.unrealised + self.liquidation

    @property
    def costs(self) -> float:
        """Return fees, slippage, penalties and what closing would cost, negative."""
        return self.fees + self.slippage + self.penalty + self.closing_costs

    def told(self, capital: float) -> tuple[float, float, float]:
        """Return funding, costs and prices in percent of the capital, as tables tell a return.

        They add up to it; the interest of cash stands with funding.
        """
        percent = 100.0 / capital
        return (self.funding + self.interest) * percent, self.costs * percent, self.prices * percent

    @property
    def carry(self) -> float:
        """Return funding less all trading costs, those still due included, quote currency."""
        return self.funding + self.fees + self.slippage + self.closing_costs


class PolicyResult(BaseModel):
    """One policy under one preset; for `random` every number is the mean over its runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    policy: PolicyName
    runs: int = Field(ge=1)
    return_pct: float = Field(description="Change of NLV over the initial capital, percent.")
    return_p5_pct: float | None = Field(None, description="5th percentile over the runs of `random`.")
    return_p95_pct: float | None = Field(None, description="95th percentile over the runs of `random`.")
    return_pct_by_boundary: dict[FundingBoundary, float] = Field(
        {}, description="Return under either rule for settlements on a fill; of `agent` and `greedy`."
    )
    max_drawdown_pct: float = Field(description="Largest hourly drawdown from the running peak, percent.")
    final_nlv: float
    trades: float = Field(description="Positions opened, those still open at the end included.")
    open_at_end: float = 0.0
    liquidations: float = 0.0
    stale_exits: float = 0.0
    stop_losses: float = 0.0
    buffer_exits: float = 0.0
    voids: float = Field(0.0, description="Accepted orders that could not be filled.")
    invalid: float = Field(0.0, description="Actions the mask forbade; taken as hold.")
    estimated_settlements: float = Field(
        0.0, description="Funding booked at a rate not known from the history."
    )
    off_boundary_settlements: float = Field(0.0, description="Settled rates off their interval's boundary.")
    split: ProfitSplit
    turnover: float = Field(0.0, description="Notional of all fills over the initial capital.")
    exposure: float = Field(0.0, description="Mean gross notional over NLV at the ends of hours.")
    time_in_market: float = Field(0.0, description="Share of hours that end with a position open.")
    hours: int = Field(
        description="Hours replayed; fewer than the window's where the drawdown limit ended it."
    )
    ended_early: float = Field(0.0, description="Share of runs that the drawdown limit ended.")
    random_runs_beaten: int | None = Field(None, description="Random runs with a lower return.")
    days: int = Field(0, description="Whole UTC days inside the window.")
    sharpe: float | None = Field(
        None, description="Annual, of UTC-daily NLV returns; empty without enough days."
    )
    sharpe_note: str = ""


class BacktestSummary(BaseModel):
    """All of a backtest that fits a page; the tables beside it hold every row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    version: str | None = Field(None, description="The version judged; empty for baselines alone.")
    data_hash: str = ""
    start: datetime = Field(description="The first decision.")
    end: datetime = Field(description="The last mark; nothing is decided there.")
    hours: int
    initial_capital: float
    in_sample: bool | None = Field(
        description="The window overlaps training or validation; null where the training hours are unknown."
    )
    overlap_hours: int | None = None
    trained_on: tuple[TrainedWindow, ...] = ()
    seed: int
    random_runs: int
    presets: dict[str, TradingConfig]
    rules: MarketRules
    ladder: Ladder = Ladder()
    rivals: tuple[Rival, ...] = ()
    results: tuple[PolicyResult, ...]
    bounds: tuple[PresetBounds, ...] = ()
    versions: dict[str, str] = {}

    def result(self, preset: str, policy: PolicyName) -> PolicyResult | None:
        """Return one policy's result under one preset, or None if it was not run."""
        return next((r for r in self.results if r.preset == preset and r.policy == policy), None)

    def bound(self, preset: str) -> PresetBounds | None:
        """Return the bounds under one preset, or None if they were not worked out."""
        return next((bound for bound in self.bounds if bound.preset == preset), None)

    def rival(self, policy: Alias) -> Rival | None:
        """Return what is known of an alias' version, or None where there was none to compare with."""
        return next((rival for rival in self.rivals if rival.policy == policy), None)

    def cash_pct(self, apr: float) -> float:
        """Return what cash would have earned in the window at an APR, percent."""
        return simple_interest_pct(apr, self.hours)
