"""How far a build of a data set is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """How far a build is.

    Attributes:
        stage: The files are read first, and then put together to days.
        done: Bytes of all files on the disk, or days of all tables.
        total: How many there are to do.
        rows: Rows read so far.
    """

    stage: Literal["reading", "days"]
    done: int
    total: int
    rows: int


OnProgress = Callable[[Progress], None]


class Teller:
    """Adds up what is done over files and tables, and tells it."""

    def __init__(self, on_progress: OnProgress | None, size: int) -> None:
        """Begin.

        Args:
            on_progress: Whom to tell, if anybody.
            size: Bytes of all files.
        """
        self._tell, self._size = on_progress or (lambda _: None), size
        self._files = self._rows = self._days = self._all_days = 0

    def block(self, rows: int, read: int) -> None:
        """Tell that a block of lines was read: its rows, and the bytes of its file read by then."""
        self._rows += rows
        self._tell(Progress("reading", self._files + read, self._size, self._rows))

    def file(self, size: int) -> None:
        """Take note that a file was read, or was known, to its end."""
        self._files += size

    def days(self, count: int) -> None:
        """Take note of days to come."""
        self._all_days += count

    def day(self) -> None:
        """Tell that a day was put together."""
        self._days += 1
        self._tell(Progress("days", self._days, self._all_days, self._rows))
