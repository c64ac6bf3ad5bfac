"""Two versions side by side: what `carryflow registry compare` says."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas.promotion import Verdict
from schemas.version import Windows


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class JudgedGate(_Model):
    """What one gate said of a version."""

    verdict: Verdict
    value: float | None
    threshold: float | None


class Side(_Model):
    """One of the two."""

    version: str
    aliases: tuple[str, ...] = Field(description="Every alias that points at it.")
    awaiting: tuple[str, ...] = Field(description="Every alias it awaits approval for.")
    created: str
    preset: str
    seed: int
    data: str = Field(description="Hash of the data set.")
    windows: Windows
    metrics: dict[str, float | None]
    code: str | None = Field(description="Fingerprint of the code that trained it; null where unknown.")
    judged: str | None = Field(description="When a run judged it last, UTC; null where none did.")
    judged_preset: str | None = Field(description="The risk profile it was judged under.")
    gates: dict[str, JudgedGate] = Field(description="The gates of then, by name.")


class Difference(_Model):
    """One parameter of training in which the two recipes differ."""

    parameter: str
    a: Any
    b: Any


class SharedWindow(_Model):
    """A backtest of the same hours of the same data under the same rules and risk profile, of both."""

    start: str
    end: str
    preset: str
    a_pct: float = Field(description="Return of the first, percent.")
    b_pct: float
    greedy_pct: float | None = Field(description="Return of greedy on the same hours, percent.")
    fair: bool = Field(description="It starts when the training and validation of both are over.")


class Comparison(_Model):
    """The whole of it."""

    book: str
    a: Side
    b: Side
    recipe_known: bool = Field(description="The parameters of both trainings could be read.")
    recipe: tuple[Difference, ...]
    fair_from: str = Field(description="The later end of the two validations, UTC.")
    warnings: tuple[str, ...] = Field(description="Why the numbers do not compare, where they do not.")
    shared: tuple[SharedWindow, ...]
