"""How far recent rows are from training data, and what is kept of that data to tell."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

DRIFT: Final = "drift.json"
REFERENCE: Final = "training_data.json"
DriftVerdict = Literal["steady", "watch", "major", "beyond", "not known"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DriftLimits(_Model):
    """How far recent rows may be from the training data; every field is shown in the Prefect form."""

    days: int = Field(7, ge=1, description="Length of the recent window, days up to the newest row.")
    watch_psi: float = Field(0.1, gt=0, description="Population stability index to keep an eye on.")
    major_psi: float = Field(0.25, gt=0, description="Index that credit scoring calls a major shift; told.")
    max_psi: float = Field(
        4.0, gt=0, description="Champion: index of one feature above which nothing is promoted."
    )
    max_ks: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Champion: Kolmogorov-Smirnov distance of one feature above which nothing is promoted.",
    )
    blocks: bool = Field(True, description="Drift beyond the two limits blocks a champion; else it is told.")


class Distribution(_Model):
    """How often a feature took which values: bins by number, or one bin by name."""

    edges: tuple[float, ...] = Field((), description="Upper ends of all bins but the last; ascending.")
    names: tuple[str, ...] = Field((), description="Instead, what is counted by name, such as venues.")
    counts: tuple[int, ...] = Field(description="Rows in each bin; by name, the last is all other names.")
    missing: int = Field(0, ge=0, description="Rows without a value.")
    middle: float | None = Field(None, description="Median; null for names, and where there is no value.")

    @model_validator(mode="after")
    def _a_count_for_every_bin(self) -> Self:
        if len(self.counts) != len(self.edges or self.names) + 1:
            raise ValueError(f"{len(self.counts)} counts do not go with {len(self.edges or self.names)} bins")
        if min(self.counts) < 0 or list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must ascend, and no count is negative")
        return self

    @property
    def known(self) -> int:
        """Rows that have a value."""
        return sum(self.counts)

    @property
    def rows(self) -> int:
        """Rows, those without a value included."""
        return self.known + self.missing


class Reference(_Model):
    """What is kept of the data a policy was trained on: a distribution of each feature, a few kilobytes."""

    format: Literal[1] = 1
    data: str = Field(description="Hash of the data set.")
    start: AwareDatetime = Field(description="First hour of the train window.")
    end: AwareDatetime = Field(description="First hour after it.")
    rows: int
    features: dict[str, Distribution]


class FeatureDrift(_Model):
    """One feature, recent rows against the reference."""

    feature: str
    psi: float | None = Field(description="Population stability index; null where it cannot be told.")
    ks: float | None = Field(description="Two-sample Kolmogorov-Smirnov statistic; null for names.")
    missing: tuple[float, float] = Field(description="Share of rows without a value: reference, recent.")
    middle: tuple[float | None, float | None] = Field(
        description="Median: reference, recent; null for names and where there is no value."
    )
    judged: bool = Field(True, description="Whether it may block; what is not is shown for a person to read.")
    note: str = Field("", description="What the numbers do not say, such as a venue that is gone.")


class DriftReport(_Model):
    """Recent rows against a reference, or why there is nothing to compare with."""

    data: str = Field(description="Hash of the data set whose recent rows are looked at.")
    start: AwareDatetime = Field(description="First hour of the recent window.")
    end: AwareDatetime = Field(description="First hour after it.")
    hours: int = Field(description="Of these, hours with a row.")
    rows: int
    champion: str = Field(
        description="Whose training data it is held against; empty: the data set's own train window."
    )
    against: Reference | None = Field(description="What it is held against; null where that is not known.")
    unknown: str = Field("", description="Why nothing can be said, in a sentence; empty where it can.")
    features: tuple[FeatureDrift, ...] = ()
