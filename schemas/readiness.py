"""What `carryflow status` measures."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas.paper import PaperPortfolio
from schemas.registry import Awaiting


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataFacts(_Model):
    """The data set a training would use."""

    path: str
    opportunity_rows: int
    history_rows: int
    first: str
    last: str
    days: int
    hours: int = Field(description="Hours of the market.")
    quarantined: int
    duplicates: int
    columns: tuple[str, ...] = Field(description="Columns that were found.")
    absent_columns: tuple[str, ...] = Field(
        description="Optional columns that are missing; none is required."
    )
    warning: str | None = None


class EpisodeFacts(_Model):
    """One episode of a test; the losses and the entropy are those of the update it ended in."""

    reward_pct: float
    length: int
    policy_loss: float | None = None
    value_loss: float | None = None
    entropy: float | None = None


class TestFacts(_Model):
    """A few episodes, really run."""

    episodes: tuple[EpisodeFacts, ...]
    mean_pct: float
    deviation_pct: float
    seconds: float
    checkpoints: tuple[str, ...] = Field((), description="Files that were written, and read again.")


class Pace(_Model):
    """How fast this machine trains the default recipe on this data, right now."""

    steps_per_second: float
    episode_hours: int
    episodes_per_minute: float
    minutes_for_1000: float
    minutes_for_2000: float


class Readiness(_Model):
    """The whole report."""

    generated: str
    ready: bool
    reasons: tuple[str, ...] = Field(description="Why not, if not.")
    book: str
    data: DataFacts | None
    observation: int
    actions: int
    parameters: int | None
    training: TestFacts | None
    inference: TestFacts | None
    pace: Pace | None
    aliases: dict[str, str | None]
    awaiting: dict[str, Awaiting] = Field({}, description="What a person has yet to approve, by alias.")
    versions: int
    paper: tuple[PaperPortfolio, ...] = Field((), description="Where the book's paper portfolios stand.")
    last_runs: tuple[dict[str, Any], ...] = Field(description="The newest lines of the ledger.")
    disk: dict[str, float] = Field(description="Megabytes by part of the artifacts, and free.")
    environment: dict[str, str]
    commands: tuple[tuple[str, str], ...] = Field(description="What to type next, and what it does.")
