"""What the trader is allowed to do, and what the venues charge."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

N_ACTIONS: Final = 36
N_OPPORTUNITY_SLOTS: Final = 10
N_POSITION_SLOTS: Final = 5
N_SLOT_FEATURES: Final = 20
N_POSITION_FEATURES: Final = 12
N_PRIVATE: Final = 75  # 5 config + 10 portfolio + 5 x 12 positions
OBSERVATION_SIZE: Final = 275
SIZE_NAMES: Final = ("small", "medium", "large")
SIZE_FRACTIONS: Final = (1.0 / 3.0, 2.0 / 3.0, 1.0)

MAX_LEVERAGE: Final = 10.0

PresetName = Literal["conservative", "moderate", "aggressive"]
FundingBoundary = Literal["close", "open"]
FUNDING_BOUNDARIES: Final[tuple[FundingBoundary, ...]] = ("close", "open")


class TradingConfig(BaseModel):
    """A risk profile: five numbers the policy observes and the simulator obeys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    leverage: float = Field(
        3.0, ge=1.0, le=MAX_LEVERAGE, description="Notional of a leg over its isolated margin."
    )
    target_utilization: float = Field(
        0.6, ge=0.0, le=1.0, description="Share of equity locked as margin when full."
    )
    max_positions: int = Field(3, ge=1, le=5, description="Positions held at once.")
    stop_loss: float = Field(
        -0.02, ge=-0.10, le=0.0, description="Loss of a position over its notional that closes it; 0 is off."
    )
    liquidation_buffer: float = Field(
        0.15, ge=0.05, le=0.50, description="Liquidation distance below which a position is closed."
    )


PRESETS: Final[dict[PresetName, TradingConfig]] = {
    "conservative": TradingConfig(
        leverage=1.0, target_utilization=0.4, max_positions=2, stop_loss=-0.01, liquidation_buffer=0.25
    ),
    "moderate": TradingConfig(
        leverage=3.0, target_utilization=0.6, max_positions=3, stop_loss=-0.02, liquidation_buffer=0.15
    ),
    "aggressive": TradingConfig(
        leverage=5.0, target_utilization=0.75, max_positions=5, stop_loss=-0.03, liquidation_buffer=0.10
    ),
}


class MarginTier(BaseModel):
    """One row of a venue's table of maintenance margins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    above: float = Field(
        ge=0, allow_inf_nan=False, description="Notional above which the row applies; 0 in the first."
    )
    rate: float = Field(
        ge=0,
        # At the highest leverage a position would otherwise open beneath its maintenance margin.
        lt=1.0 / MAX_LEVERAGE,
        description="Maintenance margin rate m, a fraction of notional.",
    )


def _ordered(tiers: tuple[MarginTier, ...]) -> tuple[MarginTier, ...]:
    if not tiers or tiers[0].above != 0:
        raise ValueError("the first row of a margin table applies above 0")
    for low, high in pairwise(tiers):
        if not (low.above < high.above and low.rate <= high.rate):
            raise ValueError("the rows of a margin table rise in notional, and do not fall in rate")
    return tiers


MarginTable = Annotated[tuple[MarginTier, ...], AfterValidator(_ordered)]


def maintenance_amounts(tiers: tuple[MarginTier, ...]) -> tuple[float, ...]:
    """Return c of each row: what keeps the maintenance margin m x notional - c free of jumps.

    As exchanges publish it ("maintenance amount"): c = 0 in the first row, and each next one adds its
    lower end x the rise of the rate. Source: Binance, "Leverage and Margin of USD-M Futures".

    Args:
        tiers: A table; quote currency.
    """
    amounts = [0.0]
    for low, high in pairwise(tiers):
        amounts.append(amounts[-1] + high.above * (high.rate - low.rate))
    return tuple(amounts)


class MarketRules(BaseModel):
    """What venues charge and how the simulator fills; the same for every trader.

    Fees are fractions of notional per fill, spreads fractions of price, ages in hours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    initial_capital: float = Field(
        10_000.0, gt=0, description="Equity at the start of a backtest, quote currency."
    )
    taker_fee: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={"binance": 0.0005, "bybit": 0.00055, "hyperliquid": 0.00045},
        description="Taker fee by venue, a fraction of notional.",
    )
    default_taker_fee: float = Field(0.0005, ge=0, description="Taker fee of venues not in the table.")
    min_notional: dict[str, float] = Field(default={}, description="Smallest notional of a leg by venue.")
    default_min_notional: float = Field(10.0, ge=0, description="Smallest notional of a leg elsewhere.")
    full_spread_liquid: float = Field(
        0.0002, ge=0, description="Bid-ask spread assumed from 1e7 of daily volume."
    )
    full_spread_medium: float = Field(
        0.0005, ge=0, description="Bid-ask spread assumed from 1e6 of daily volume."
    )
    full_spread_thin: float = Field(
        0.0010, ge=0, description="Bid-ask spread assumed below that, or volume unknown."
    )
    slippage: bool = Field(True, description="Charge half the bid-ask spread and impact at each fill.")
    impact_k: float = Field(0.0, ge=0, description="Impact: notional x k x notional / depth; 0 is none.")
    margin_tiers: dict[str, MarginTable] = Field(
        default={}, description="Maintenance margins by venue, a row per tier of a leg's entry notional."
    )
    default_margin_tiers: MarginTable = Field(
        default=(MarginTier(above=0.0, rate=0.005),),
        description="Maintenance margins of venues not in the table.",
    )
    funding_boundary: FundingBoundary = Field(
        "close",
        description="Who is charged a settlement that falls exactly on a fill: the position that closes, "
        "(t_open, t_close], or the one that opens, [t_open, t_close).",
    )
    max_quote_age_hours: float = Field(
        3.0, gt=0, description="A held leg with an older quote is stale and closed."
    )
    entry_quote_age_hours: float = Field(
        1.0, gt=0, description="Entering needs both quotes at most this old."
    )
    stale_penalty: float = Field(
        0.005, ge=0, description="Penalty on a stale leg's notional when it is closed."
    )
    drawdown_limit: float = Field(0.25, gt=0, le=1, description="Drawdown that ends an episode.")
    fill_delay_steps: int = Field(
        1, ge=0, le=2, description="Hours from decision to fill; 0 is for tests only."
    )

    def fee(self, venue: str) -> float:
        """Return the taker fee of a venue, a fraction of notional."""
        return self.taker_fee.get(venue, self.default_taker_fee)

    def minimum(self, venue: str) -> float:
        """Return the smallest notional a leg may have at a venue, quote currency."""
        return self.min_notional.get(venue, self.default_min_notional)

    def tiers(self, venue: str) -> tuple[MarginTier, ...]:
        """Return the table of maintenance margins of a venue."""
        return self.margin_tiers.get(venue, self.default_margin_tiers)
