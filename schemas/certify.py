"""What a certification asks of a trainer and what it found: the content of `certificate.json`."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.trading import PRESETS, TradingConfig

CERTIFICATE: Final = "certificate.json"

MarketName = Literal["no edge", "persistent edge", "decoy", "leverage trap"]
RuleName = Literal["no exposure", "share", "share and ahead of greedy", "profit", "share, never liquidated"]

_LEVERED: Final = TradingConfig(
    leverage=10.0, target_utilization=0.6, max_positions=3, stop_loss=-0.03, liquidation_buffer=0.10
)


class Bar(BaseModel):
    """One thing a policy has to do on the unseen markets of one kind under one profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    market: MarketName
    profile: str
    config: TradingConfig
    rule: RuleName
    least: float = Field(description="Of the share of the informed optimum; most exposure for `no exposure`.")

    @property
    def wording(self) -> str:
        """The bar as a person says it."""
        return {
            "no exposure": f"notional / equity < {100 * self.least:.0f} %",
            "share": f">= {100 * self.least:.0f} %",
            "share and ahead of greedy": f">= {100 * self.least:.0f} %, above greedy",
            "profit": "a profit",
            "share, never liquidated": f">= {100 * self.least:.0f} %, no liquidation",
        }[self.rule]


BARS: Final[tuple[Bar, ...]] = (
    Bar(market="no edge", profile="moderate", config=PRESETS["moderate"], rule="no exposure", least=0.02),
    Bar(market="persistent edge", profile="moderate", config=PRESETS["moderate"], rule="share", least=0.80),
    Bar(
        market="decoy",
        profile="moderate",
        config=PRESETS["moderate"],
        rule="share and ahead of greedy",
        least=0.70,
    ),
    Bar(
        market="leverage trap",
        profile="1x",
        config=_LEVERED.model_copy(update={"leverage": 1.0}),
        rule="profit",
        least=0.0,
    ),
    Bar(
        market="leverage trap",
        profile="10x",
        config=_LEVERED,
        rule="share, never liquidated",
        least=0.50,
    ),
)


# The markets on which more has to be told apart get more; all four stay within three quarters of an hour.
EPISODES: Final[dict[MarketName, int]] = {
    "no edge": 1_500,
    "persistent edge": 3_000,
    "decoy": 5_000,
    "leverage trap": 7_000,
}


class Budget(BaseModel):
    """How much a certification trains, and on how much it judges."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_episodes: int | None = Field(
        None, ge=1, description="Episodes of training on each market; each market's own by default."
    )
    looks: int = Field(10, ge=1, description="Times that validation is looked at during a training.")
    days: int = Field(365, ge=20, description="Days of the market that is trained on.")
    unseen: int = Field(5, ge=1, description="Unseen markets of the same law on which the policy is judged.")
    unseen_days: int = Field(33, ge=4, description="Days of each of them; three pass before it is traded.")

    def episodes(self, market: MarketName) -> int:
        """Return the episodes of training on a market."""
        return EPISODES[market] if self.num_episodes is None else self.num_episodes


class Played(BaseModel):
    """What one trader did on the unseen markets, a number per market."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    returns_pct: tuple[float, ...]
    exposure: tuple[float, ...] = Field(description="Mean gross notional over equity.")
    liquidations: tuple[int, ...]
    trades: tuple[int, ...]

    @property
    def mean_pct(self) -> float:
        """Mean return over the markets, percent."""
        return sum(self.returns_pct) / len(self.returns_pct)


class Verdict(BaseModel):
    """One bar and what was measured against it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bar: Bar
    policy: Played
    greedy: Played = Field(description="By projected APR; by current APR on the decoy market.")
    informed: Played = Field(description="The informed optimum.")

    @property
    def share(self) -> float | None:
        """The policy's mean return over the informed optimum's; None where that earns nothing."""
        return self.policy.mean_pct / self.informed.mean_pct if self.informed.mean_pct > 0 else None

    @property
    def holds(self) -> bool:
        """Whether the bar was reached."""
        share = self.share if self.share is not None else 0.0
        if self.bar.rule == "no exposure":
            return sum(self.policy.exposure) / len(self.policy.exposure) < self.bar.least
        if self.bar.rule == "profit":
            return self.policy.mean_pct > 0
        if self.bar.rule == "share and ahead of greedy":
            return share >= self.bar.least and self.policy.mean_pct > self.greedy.mean_pct
        if self.bar.rule == "share, never liquidated":
            return share >= self.bar.least and sum(self.policy.liquidations) == 0
        return share >= self.bar.least


class Certificate(BaseModel):
    """What one training on one known-answer market came to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    market: MarketName
    seed: int
    episodes: int
    steps: int
    finished: bool = Field(description="All episodes of the budget were trained.")
    seconds: float = Field(description="Of training and judging, in the process that ended it.")
    verdicts: tuple[Verdict, ...]

    @property
    def holds(self) -> bool:
        """Whether every bar was reached."""
        return all(verdict.holds for verdict in self.verdicts)
