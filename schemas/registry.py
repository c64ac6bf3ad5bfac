"""What a registered policy version is, and what a book's registry holds."""

from __future__ import annotations

import math
from typing import Any, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.manifest import Ref
from schemas.promotion import Alias
from schemas.version import VERSION_DIGITS, Windows

ALIASES: Final[tuple[Alias, ...]] = get_args(Alias)
FORMAT: Final = 2
READABLE: Final = (1, 2)  # 1 knew no approval: neither `awaiting` nor a candidate in its history
MoveKind = Literal["promote", "rollback", "retire", "await", "withdraw", "refuse"]
_NO_MOVE: Final = ("await", "withdraw", "refuse")


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


class Awaiting(BaseModel):
    """A version whose gates hold for an alias and that a person has yet to approve."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    expected: str | None = Field(description="The version the alias pointed at when the gates were applied.")
    judgement: str = Field(description="The judgement artifact with the gates, step/key.")
    report: str = Field(description="The report to read before approving, relative to the artifact root.")
    time: str
    reason: str = Field(description="What the decision said.")


class Move(BaseModel):
    """One line of the history: an alias moved, or a version asked for one; None is no version, which is hold.

    `await` (a version awaits approval), `withdraw` (it no longer does) and `refuse` (the alias was moved
    between the judgement and the promotion) leave the alias where it is and name the version as candidate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: str
    alias: Alias
    kind: MoveKind
    before: str | None = Field(description="The version it pointed at.")
    after: str | None = Field(description="The version it points at from then on.")
    candidate: str | None = Field(None, description="The version that awaits, or was refused or withdrawn.")
    reason: str
    user: str
    run: str = Field(description="The flow run that moved it; empty where a person did.")

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.moved == (self.candidate is not None) or (not self.moved and self.before != self.after):
            raise ValueError(f"{self.kind} does not go with {self.before} -> {self.after}, {self.candidate}")
        return self

    @property
    def moved(self) -> bool:
        """Whether the alias was moved."""
        return self.kind not in _NO_MOVE

    def concerns(self, version: str) -> bool:
        """Whether a version takes part."""
        return version in (self.before, self.after, self.candidate)


class RegistryState(BaseModel):
    """The whole of a registry at one moment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[2] = FORMAT
    versions: dict[str, VersionRecord] = {}
    aliases: dict[Alias, str | None] = Field(default_factory=lambda: dict.fromkeys(ALIASES))
    awaiting: dict[Alias, Awaiting] = Field({}, description="What a person has yet to approve, by alias.")
    history: tuple[Move, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_an_older_format(cls, content: Any) -> Any:
        """Format 1 lacks what has a default here, so only its number has to change."""
        if isinstance(content, dict) and content.get("format") == 1:
            return {**content, "format": FORMAT}
        return content

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        pointing: dict[Alias, str | None] = dict.fromkeys(ALIASES)
        waiting: dict[Alias, str] = {}
        for move in self.history:
            if move.before != pointing[move.alias]:
                raise ValueError(f"the history of {move.alias} has a gap at {move.time}")
            pointing[move.alias] = move.after
            if move.kind == "await" and move.candidate and move.alias not in waiting:
                waiting[move.alias] = move.candidate
            elif move.kind == "await" or (
                move.kind == "withdraw" and waiting.pop(move.alias, None) != move.candidate
            ):
                raise ValueError(f"the history of what awaits {move.alias} has a gap at {move.time}")
            elif move.kind == "promote" and waiting.get(move.alias) == move.after:
                del waiting[move.alias]
        if pointing != self.aliases:
            raise ValueError("the aliases are not where the history leaves them")
        if waiting != {alias: one.version for alias, one in self.awaiting.items()}:
            raise ValueError("what awaits approval is not what the history says")
        known = {version for version in pointing.values() if version} | set(waiting.values())
        if unknown := known - set(self.versions):
            raise ValueError(f"an alias points at, or awaits, {unknown.pop()}, which is not registered")
        return self

    def aliases_of(self, version: str) -> list[Alias]:
        """Return every alias that points at a version."""
        return [alias for alias in ALIASES if self.aliases[alias] == version]

    def awaited_by(self, version: str) -> list[Alias]:
        """Return every alias a version awaits approval for."""
        return [alias for alias, one in self.awaiting.items() if one.version == version]

    def previous(self, alias: Alias) -> str | None:
        """Return the version an alias had before its present one, or None.

        A version that was rolled back is forgotten, so that rolling back twice goes back two, not to and fro.
        """
        had: list[str | None] = []
        for move in (move for move in self.history if move.alias == alias and move.moved):
            if move.kind == "rollback":
                while had and had[-1] != move.after:
                    had.pop()
            else:
                had.append(move.after)
        return next((version for version in reversed(had[:-1]) if version is not None), None)
