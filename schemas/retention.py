"""What may be removed from below the artifact root and from Prefect's database, and what was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Fate = Literal["kept", "removed"]


class RetentionPolicy(BaseModel):
    """How long what nobody needs is kept, in days since it was used last; 0 keeps nothing of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store_days: float = Field(
        30, ge=0, allow_inf_nan=False, description="Artifacts, since a run made or found them last."
    )
    work_days: float = Field(
        14, ge=0, allow_inf_nan=False, description="Resume state of unfinished steps, since it was written."
    )
    reports_days: float = Field(
        90, ge=0, allow_inf_nan=False, description="Reports laid out for people, since they were."
    )
    prefect_days: float = Field(
        90, ge=0, allow_inf_nan=False, description="Flow runs in Prefect's database, since they ended."
    )
    shared_days: float = Field(
        0,
        allow_inf_nan=False,
        description="In the shared store, 1 or more: artifacts, since they were published, and files that "
        "none names, since they were written. 0 leaves it alone.",
    )
    versions: Literal["all", "named"] = Field(
        "all",
        description="Whose artifacts stay whatever their age: of every version, or only of those that an "
        "alias, what awaits approval or the history of the registry names. A version's own folder always "
        "stays.",
    )

    @field_validator("shared_days")
    @classmethod
    def _no_upload_takes_so_long(cls, value: float) -> float:
        if value != 0 and value < 1:
            raise ValueError(
                "should be 1 or more: a younger file may be part of an upload; 0 leaves it alone"
            )
        return value

    @classmethod
    def of(cls, days: float | None, **given: object) -> RetentionPolicy:
        """Return a policy of one limit for everything, but where another was given.

        The shared store is other people's too, and has to be named.

        Args:
            days: For every limit; None keeps the defaults.
            **given: Fields by name; None is not given.
        """
        limits = [name for name in cls.model_fields if name.endswith("_days") and name != "shared_days"]
        every = {} if days is None else dict.fromkeys(limits, days)
        return cls.model_validate(every | {name: value for name, value in given.items() if value is not None})


class Item(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str = Field(description="Its kind, such as `store/train`.")
    name: str = Field(description="Relative to the artifact root.")
    bytes: int = Field(description="That removing it frees; a file with a second name elsewhere frees none.")
    fate: Fate
    why: str


class Row(BaseModel):
    """Things of one kind, one fate and one reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    fate: Fate
    why: str
    count: int
    bytes: int


class PrefectRuns(BaseModel):
    """What became of the flow runs in Prefect's database."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    left_alone: str = Field("", description="Why it was not touched; empty where it was.")
    server: str = Field("", description="Its address.")
    runs: int = Field(0, description="Flow runs removed, with their task runs, states and logs.")
    artifacts: int = Field(0, description="Artifacts of these runs.")


class GcReport(BaseModel):
    """Everything a collection looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generated: str = Field(description="UTC, ISO 8601.")
    dry_run: bool
    policy: RetentionPolicy
    items: tuple[Item, ...]
    prefect: PrefectRuns
    shared: str = Field("", description="The shared store, if there is one.")

    @property
    def rows(self) -> list[Row]:
        """The items, counted by kind, fate and reason."""
        found: dict[tuple[str, Fate, str], list[int]] = {}
        for item in self.items:
            found.setdefault((item.what, item.fate, item.why), []).append(item.bytes)
        return [
            Row(what=what, fate=fate, why=why, count=len(sizes), bytes=sum(sizes))
            for (what, fate, why), sizes in sorted(found.items())
        ]

    def total(self, fate: Fate) -> tuple[int, int]:
        """Return how many things met a fate, and their bytes."""
        sizes = _sizes(self.items, fate)
        return len(sizes), sum(sizes)


def _sizes(items: Iterable[Item], fate: Fate) -> list[int]:
    return [item.bytes for item in items if item.fate == fate]
