"""The signs of a training a practitioner watches: their limits, what they mean, and a judgement of them."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SignVerdict = Literal["good", "watch", "bad", "unknown"]
SignName = Literal[
    "mean of 100 episodes",
    "mean return",
    "liquidations",
    "entropy of kind",
    "entropy of entry",
    "KL",
    "clip fraction",
    "value loss",
    "explained variance",
    "actions",
    "validation",
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HealthLimits(_Model):
    """Where a sign turns; every number that the judgement compares with."""

    recent_share: float = Field(0.1, gt=0, le=1, description="Share of the updates that counts as recent.")
    recent_updates: int = Field(5, ge=1, description="Fewest updates that count as recent.")
    early_episodes: int = Field(
        500, ge=1, description="Episodes before which only KL, clip fraction and value loss are judged."
    )
    trend_episodes: int = Field(
        500,
        ge=1,
        description="Episodes over which the mean return has to move, and liquidations are counted.",
    )
    trend_updates: int = Field(8, ge=4, description="Fewest updates that make a trend.")
    trend_errors: float = Field(
        2.5, gt=0, description="Standard errors that make a rise of the mean return more than chance."
    )
    fall_errors: float = Field(
        4.0, gt=0, description="Standard errors that make a fall an alarm; many windows are looked at."
    )
    working_rate: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of the starting learning rate below which annealing explains small steps and a "
        "flat mean.",
    )
    low_return_pct: float = Field(0.0, description="Mean return below which it is watched, percent.")
    bad_return_pct: float = Field(-5.0, description="Mean return below which it is bad, percent.")
    liquidations: float = Field(0.05, ge=0, description="Liquidations an episode above which it is bad.")
    stuck_entropy: float = Field(
        0.5, ge=0, description="Entropy (nats) below which a policy behind greedy is stuck."
    )
    good_kl: float = Field(0.05, gt=0, description="KL of an update below which it is good.")
    bad_kl: float = Field(0.1, gt=0, description="KL of an update above which it is bad.")
    low_clip: float = Field(0.1, ge=0, le=1, description="Clip fraction below which steps are small.")
    high_clip: float = Field(0.3, ge=0, le=1, description="Clip fraction above which steps are too large.")
    growing_value_loss: float = Field(
        3.0, gt=1, description="Recent value loss over its earlier level from which it is watched."
    )
    exploding_value_loss: float = Field(
        10.0, gt=1, description="Recent value loss over its earlier level from which it explodes."
    )
    good_explained: float = Field(
        0.3,
        le=1,
        description="Explained variance from which the value is of use; a larger loss is then no explosion.",
    )
    bad_explained: float = Field(
        0.0, le=1, description="Explained variance below which it is worse than none."
    )
    hardly: float = Field(0.001, ge=0, le=1, description="Share of steps below which a kind is never chosen.")
    churn: float = Field(0.2, ge=0, le=1, description="Share of steps with an entry above which it churns.")
    evaluations: int = Field(3, ge=1, description="Latest evaluations whose mean is held against greedy.")


class Case(_Model):
    """One way in which a sign is not good."""

    name: str
    verdict: Literal["watch", "bad"]
    when: str
    advice: str


class Watched(_Model):
    """A sign in general: when it is good, how it is not, and what to do then."""

    name: SignName
    good: str
    cases: tuple[Case, ...]

    def case(self, name: str) -> Case:
        """Return a case by its name."""
        return next(case for case in self.cases if case.name == name)


class Sign(_Model):
    """A sign of one training, judged."""

    name: SignName
    value: float | None = Field(description="What was measured; empty where it could not be.")
    verdict: SignVerdict
    reading: str = Field(description="What it says, in words.")
    advice: str = Field("", description="What to do about it; empty where nothing is to be done.")


class HealthReport(_Model):
    """Every sign of a training, judged where it stands."""

    signs: tuple[Sign, ...]
    limits: HealthLimits = Field(default_factory=HealthLimits)

    def sign(self, name: SignName) -> Sign:
        """Return a sign by its name."""
        return next(sign for sign in self.signs if sign.name == name)

    @property
    def to_mend(self) -> tuple[Sign, ...]:
        """The signs that are bad or to be watched, the bad ones first."""
        bad = tuple(sign for sign in self.signs if sign.verdict == "bad")
        return bad + tuple(sign for sign in self.signs if sign.verdict == "watch")


_LOWER_LEVERAGE: Final = (
    "Lower --max-leverage or raise --liquidation-buffer; check prices and rates (`carryflow validate`)."
)
_SMALLER_STEPS: Final = "Lower --learning-rate, or --n-epochs."


def watched(limits: HealthLimits) -> tuple[Watched, ...]:
    """Return every sign with its limits in words, in the order they are read."""
    m = limits
    low = f"below {m.stuck_entropy:g} and behind greedy on validation"
    stuck = (
        Case(
            name="behind",
            verdict="watch",
            when=f"{low}, but the mean or validation still rises",
            advice="Wait: it is stuck if both stop rising before it is ahead of greedy.",
        ),
        Case(
            name="stuck",
            verdict="bad",
            when=f"{low}, and neither rises: stuck",
            advice="Raise --entropy-coef threefold; if that does not help, another --seed.",
        ),
    )
    undecided = f"{m.stuck_entropy:g} or more, or not behind greedy on validation"
    return (
        Watched(
            name="mean of 100 episodes",
            good="rises, or has settled above its start once the learning rate is spent",
            cases=(
                Case(
                    name="flat",
                    verdict="watch",
                    when=f"flat for {m.trend_episodes} episodes",
                    advice="Look at entropy and KL; then change --learning-rate or --entropy-coef.",
                ),
                Case(
                    name="falls",
                    verdict="bad",
                    when=f"falls for {m.trend_episodes} episodes by {m.fall_errors:g} standard errors",
                    advice="Lower --learning-rate; best_model keeps what was good.",
                ),
            ),
        ),
        Watched(
            name="mean return",
            good=f"{m.low_return_pct:g} % or more",
            cases=(
                Case(
                    name="low",
                    verdict="watch",
                    when=f"below {m.low_return_pct:g} %",
                    advice="Its sampled actions lose; look at validation, where it decides without chance.",
                ),
                Case(
                    name="very low",
                    verdict="bad",
                    when=f"below {m.bad_return_pct:g} %",
                    advice=_LOWER_LEVERAGE,
                ),
            ),
        ),
        Watched(
            name="liquidations",
            good=f"{m.liquidations:g} an episode or fewer",
            cases=(
                Case(
                    name="many",
                    verdict="bad",
                    when=f"more than {m.liquidations:g} an episode",
                    advice=_LOWER_LEVERAGE,
                ),
            ),
        ),
        Watched(name="entropy of kind", good=undecided, cases=stuck),
        Watched(name="entropy of entry", good=undecided, cases=stuck),
        Watched(
            name="KL",
            good=f"below {m.good_kl:g}",
            cases=(
                Case(
                    name="high",
                    verdict="watch",
                    when=f"{m.good_kl:g} to {m.bad_kl:g}",
                    advice="Lower --learning-rate if the mean return is restless.",
                ),
                Case(name="too high", verdict="bad", when=f"above {m.bad_kl:g}", advice=_SMALLER_STEPS),
            ),
        ),
        Watched(
            name="clip fraction",
            good=f"{m.low_clip:g} to {m.high_clip:g}",
            cases=(
                Case(
                    name="low",
                    verdict="watch",
                    when=f"below {m.low_clip:g}",
                    advice="Where the mean is flat, raise --learning-rate or lower --batch-size.",
                ),
                Case(name="high", verdict="bad", when=f"above {m.high_clip:g}", advice=_SMALLER_STEPS),
            ),
        ),
        Watched(
            name="value loss",
            good="at its earlier level or below, or larger with well explained returns",
            cases=(
                Case(
                    name="grows",
                    verdict="watch",
                    when=f"{m.growing_value_loss:g} times its earlier level",
                    advice="Watch explained variance; lower --learning-rate if it falls.",
                ),
                Case(
                    name="explodes",
                    verdict="bad",
                    when=f"{m.exploding_value_loss:g} times its earlier level: exploding",
                    advice="Lower --learning-rate or --value-coef.",
                ),
            ),
        ),
        Watched(
            name="explained variance",
            good=f"{m.good_explained:g} or more",
            cases=(
                Case(
                    name="low",
                    verdict="watch",
                    when=f"{m.bad_explained:g} to {m.good_explained:g}",
                    advice="Train longer, or raise --value-coef.",
                ),
                Case(
                    name="negative",
                    verdict="bad",
                    when=f"below {m.bad_explained:g}: worse than a constant",
                    advice="Raise --value-coef and lower --learning-rate.",
                ),
            ),
        ),
        Watched(
            name="actions",
            good="enters and exits, each in its time",
            cases=(
                Case(
                    name="never enters",
                    verdict="watch",
                    when=f"enters in fewer than {100 * m.hardly:g} % of steps: never enters",
                    advice="Raise --entropy-coef; where greedy does not earn either, holding may be right.",
                ),
                Case(
                    name="never exits",
                    verdict="watch",
                    when=f"exits in fewer than {100 * m.hardly:g} % of steps though it enters: never exits",
                    advice="Stop-loss, buffer and the end close its positions; raise --entropy-coef.",
                ),
                Case(
                    name="churns",
                    verdict="watch",
                    when=f"enters in more than {100 * m.churn:g} % of steps: churns",
                    advice="Costs eat the funding; check fees and prices, and train longer.",
                ),
            ),
        ),
        Watched(
            name="validation",
            good="the best model is ahead of greedy and above 0 %",
            cases=(
                Case(
                    name="behind",
                    verdict="watch",
                    when="behind greedy, or not above 0 %",
                    advice="Train longer or with other seeds before anything is concluded from a backtest.",
                ),
            ),
        ),
    )
