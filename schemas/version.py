"""What training knows of a version: how it is named, and the hours it saw.

Apart from the registry, so that a registry that learns something new retrains nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, field_validator

VERSION_DIGITS: Final = 12
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
        start, end = (instant(text) for text in window)
        if not start < end:
            raise ValueError(f"{window[0]} is not before {window[1]}")
        return start.isoformat(), end.isoformat()

    def seen_in_training(self, start: str, end: str) -> list[str]:
        """List which of train and validation the hours [start, end) overlap; any makes them in-sample."""
        first, last = instant(start), instant(end)
        known = {"train": self.train, "validation": self.validation}
        return [name for name, (a, b) in known.items() if first < instant(b) and instant(a) < last]


def instant(text: str) -> datetime:
    """Read a time of ISO 8601 into UTC.

    Raises:
        ValueError: It is no time, or has no time zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.astimezone(UTC)
