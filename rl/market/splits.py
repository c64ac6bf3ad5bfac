"""Train, validation and test windows, in the order of time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rl.market.arrays import HOUR_MS
from schemas.errors import DataError

EMBARGO_HOURS: Final = 72
SHORTEST_PART_HOURS: Final = 24
SHORT_DATA_HOURS: Final = 14 * 24


class Window(BaseModel):
    """Hours from `start` up to and not including `end`, both whole UTC hours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: AwareDatetime
    end: AwareDatetime

    @property
    def start_ms(self) -> int:
        """UTC epoch milliseconds of the first hour."""
        return _milliseconds(self.start)

    @property
    def end_ms(self) -> int:
        """UTC epoch milliseconds of the first hour after the window."""
        return _milliseconds(self.end)

    @property
    def hours(self) -> int:
        """Hours in the window."""
        return (self.end_ms - self.start_ms) // HOUR_MS

    def rows(self, market_start_ms: int) -> tuple[int, int]:
        """Return the half-open range of rows [a, b) in a market whose row 0 is at `market_start_ms`."""
        return (self.start_ms - market_start_ms) // HOUR_MS, (self.end_ms - market_start_ms) // HOUR_MS

    def overlaps(self, other: Window) -> bool:
        """Return whether the two windows share an hour."""
        return self.start_ms < other.end_ms and other.start_ms < self.end_ms


class Splits(BaseModel):
    """The three windows, the embargo between them, and the episode length that fits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Window
    validation: Window
    test: Window
    embargo_hours: int = Field(description="Hours left out on either side of validation.")
    episode_hours: int = Field(description="Episode length: as requested, or a quarter of train.")
    hours: int = Field(description="Hours in the data.")
    warning: str | None = Field(default=None, description="What to doubt about results on so little data.")


class _Sizes(NamedTuple):
    train: int
    embargo: int
    validation: int
    test: int
    episode: int

    @property
    def fit(self) -> bool:
        """Whether each part holds an episode and a day."""
        return min(self.train, self.validation, self.test) >= max(self.episode, SHORTEST_PART_HOURS)


def split_windows(hours: int, start_ms: int, episode_hours: int) -> Splits:
    """Split the hours of a market: train | embargo | validation | embargo | test.

    The embargo is 72 h and an episode, 5 % of the hours at most, so that no episode and no rolling
    feature of one part reaches into the next. Of the other hours 60 % are for train, 20 % for validation
    and the rest for test. Episodes are a quarter of train at most.

    Args:
        hours: Hours in the market.
        start_ms: UTC epoch milliseconds of its first hour.
        episode_hours: Longest episode asked for.

    Raises:
        DataError: A part would be shorter than an episode or than 24 hours.
    """
    sizes = _sizes(hours, episode_hours)
    if not sizes.fit:
        needed = next(n for n in range(max(hours, 0) + 1, hours + 100_000) if _sizes(n, episode_hours).fit)
        raise DataError(
            f"the data has {hours} hours, and {needed} are needed to split it in three.",
            remedy="Give data of more days.",
        )
    edges = [0]
    for length in (sizes.train, sizes.embargo, sizes.validation, sizes.embargo, sizes.test):
        edges.append(edges[-1] + length)
    warning = None
    if hours < SHORT_DATA_HOURS:
        warning = f"The data has {hours} hours ({hours / 24:.1f} days); under 14 days no result is evidence."
    return Splits(
        train=_window(start_ms, edges[0], edges[1]),
        validation=_window(start_ms, edges[2], edges[3]),
        test=_window(start_ms, edges[4], edges[5]),
        embargo_hours=sizes.embargo,
        episode_hours=sizes.episode,
        hours=hours,
        warning=warning,
    )


def _sizes(hours: int, requested: int) -> _Sizes:
    # A quarter of train, the other bound of an episode, always exceeds 5 % of the hours.
    embargo = min(EMBARGO_HOURS + requested, hours // 20)
    rest = hours - 2 * embargo
    train, validation = rest * 6 // 10, rest * 2 // 10
    test = rest - train - validation
    return _Sizes(train, embargo, validation, test, min(requested, train // 4))


def _window(start_ms: int, first: int, end: int) -> Window:
    times = [datetime.fromtimestamp((start_ms + row * HOUR_MS) / 1000, UTC) for row in (first, end)]
    return Window(start=times[0], end=times[1])


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
