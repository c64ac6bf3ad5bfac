"""What a registered policy version is, and what a book's registry holds."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.manifest import Ref
from schemas.promotion import Alias

ALIASES: Final[tuple[Alias, ...]] = get_args(Alias)
VERSION_DIGITS: Final = 12
MoveKind = Literal["promote", "rollback", "retire"]
Window = tuple[str, str]


class Windows(BaseModel):
    """What a version was trained, chosen and tested on: [start, end) in UTC, ISO 8601."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Window
    validation: Window
    test: Window

    @field_validator("*")
    @classmethod
    def _in_utc(cls, window: Window) -> Window:
        start, end = (_instant(text) for text in window)
        if not start < end:
            raise ValueError(f"{window[0]} is not before {window[1]}")
        return start.isoformat(), end.isoformat()

    def seen_in_training(self, start: str, end: str) -> list[str]:
        """List which of train and validation the hours [start, end) overlap; any makes them in-sample."""
        first, last = _instant(start), _instant(end)
        known = {"train": self.train, "validation": self.validation}
        return [name for name, (a, b) in known.items() if first < _instant(b) and _instant(a) < last]


class VersionRecord(BaseModel):
    """A policy by its content, where it lies, and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(
        pattern=rf"^[0-9a-f]{{{VERSION_DIGITS}}}$", description="Hash of what the policy is."
    )
    artifact: str = Field(description="The training artifact it lies in, step/key.")
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Its checkpoint there.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Hash of that file.")
    created: str = Field(description="First registered, UTC, ISO 8601.")
    preset: str = Field(description="The risk profile it was chosen for.")
    seed: int
    data: str = Field(description="Hash of the data set.")
    windows: Windows
    metrics: dict[str, float | None] = Field(default={}, description="Small facts worth showing.")

    @field_validator("artifact")
    @classmethod
    def _names_an_artifact(cls, value: str) -> str:
        return str(Ref.parse(value))

    @field_validator("metrics")
    @classmethod
    def _finite(cls, metrics: dict[str, float | None]) -> dict[str, float | None]:
        """A number that is not finite has no JSON form; null says as much."""
        return {k: v if v is not None and math.isfinite(v) else None for k, v in metrics.items()}

    @property
    def ref(self) -> Ref:
        """The training artifact it lies in."""
        return Ref.parse(self.artifact)


class Move(BaseModel):
    """One move of an alias; None is no version, which means hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: str
    alias: Alias
    kind: MoveKind
    before: str | None = Field(description="The version it pointed at.")
    after: str | None = Field(description="The version it points at from then on.")
    reason: str
    user: str
    run: str = Field(description="The flow run that moved it; empty where a person did.")


class RegistryState(BaseModel):
    """The whole of a registry at one moment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    versions: dict[str, VersionRecord] = {}
    aliases: dict[Alias, str | None] = Field(default_factory=lambda: dict.fromkeys(ALIASES))
    history: tuple[Move, ...] = ()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        pointing: dict[Alias, str | None] = dict.fromkeys(ALIASES)
        for move in self.history:
            if move.before != pointing[move.alias]:
                raise ValueError(f"the history of {move.alias} has a gap at {move.time}")
            pointing[move.alias] = move.after
        if pointing != self.aliases:
            raise ValueError("the aliases are not where the history leaves them")
        if unknown := {version for version in pointing.values() if version} - set(self.versions):
            raise ValueError(f"an alias points at {unknown.pop()}, which is not registered")
        return self

    def previous(self, alias: Alias) -> str | None:
        """Return the version an alias had before its present one, or None.

        A version that was rolled back is forgotten, so that rolling back twice goes back two, not to and fro.
        """
        had: list[str | None] = []
        for move in (move for move in self.history if move.alias == alias):
            if move.kind == "rollback":
                while had and had[-1] != move.after:
                    had.pop()
            else:
                had.append(move.after)
        return next((version for version in reversed(had[:-1]) if version is not None), None)


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.astimezone(UTC)
