"""What a case of the corpus is: a name, how its files are made, and what must become of them."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from schemas.columns import COLUMNS
from tests.corpus.rows import START, Row, opportunity, to_csv

FILE: Final = "scan.csv"
REQUIRED: Final = ", ".join(column.name for column in COLUMNS["opportunities"] if column.required)
GOOD: Final = 40  # rows of a case in which one row is odd: one of them is 2.5 %, below the 5 % allowed
ODD: Final = 7  # position of that row; it stands in line 9

Make = Callable[[Path], Path]
Check = Callable[[Any], None]


@dataclass(frozen=True)
class Kept:
    """The files are used; every row of the opportunities is accounted for.

    Attributes:
        rows: Rows in.
        quarantined: Rows set aside, and by which rules.
        rules: Those rules.
        duplicates: Rows equal to a later one in every column.
        counts: Entries of quality.json's `counts` that must be there.
        says: What the documentation adds.
        check: What else holds of the data set.
    """

    rows: int = GOOD
    quarantined: int = 0
    rules: tuple[str, ...] = ()
    duplicates: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    says: str = ""
    check: Check | None = None

    @property
    def clean(self) -> int:
        """Rows that are left."""
        return self.rows - self.quarantined - self.duplicates


@dataclass(frozen=True)
class Refused:
    """Nothing is written, and one sentence says why.

    Attributes:
        sentence: It, with the folder of the case left out.
    """

    sentence: str


@dataclass(frozen=True)
class Case:
    """A line of the corpus.

    Attributes:
        name: As the documentation has it.
        make: Writes the files into an empty folder and returns what is given as `--data`.
        does: What must become of them.
        options: Options of `build_dataset`.
        meanwhile: What happens to the files after they were found and before they are read.
        unprivileged: Whoever reads is not the superuser.
    """

    name: str
    make: Make
    does: Kept | Refused
    options: Mapping[str, Any] = field(default_factory=dict)
    meanwhile: Callable[[Path], None] | None = None
    unprivileged: bool = False


def content(data: str | bytes, name: str = FILE) -> Make:
    """One file, as it stands."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return make


def table(rows: Sequence[Row], name: str = FILE) -> Make:
    """One tidy CSV file."""
    return content(to_csv(rows), name)


def later(make: Callable[[], Make]) -> Make:
    """Files too large to be made before they are wanted."""
    return lambda folder: make()(folder)


def good(count: int = GOOD) -> list[Row]:
    """Rows that hold every rule, an hour apart."""
    return [opportunity(hour) for hour in range(count)]


def good_text(count: int = GOOD) -> str:
    """Those rows as a file."""
    return to_csv(good(count))


def one(**changes: Any) -> Make:
    """Good rows of which one has other values."""
    rows = good()
    rows[ODD] = opportunity(ODD) | {name: str(value) for name, value in changes.items()}
    return table(rows)


def every(**changes: Any) -> Make:
    """Rows that all have other values; profits follow from changed rates."""
    return table([opportunity(hour, **changes) for hour in range(GOOD)])


def each(name: str, values: Sequence[Any]) -> Make:
    """As many rows as values of one column."""
    return table([opportunity(hour, **{name: value}) for hour, value in enumerate(values)])


def edited(change: Callable[[list[str]], Sequence[str]]) -> Make:
    """Good lines, header first, after a change."""
    return content("\n".join(change(good_text().splitlines())) + "\n")


def packed(data: bytes, name: str = FILE + ".gz") -> Make:
    """One file packed with gzip."""
    return content(gzip.compress(data, mtime=0), name)


def as_plain(outcome: Any) -> None:
    """Hold a data set against the good rows that it was made from."""
    rows = outcome.table()
    assert sorted(rows["entry_time"]) == [START + pd.Timedelta(hours=hour) for hour in range(len(rows))]
    assert set(rows["symbol"]) == {"ABCUSDT"} and set(rows["long_exchange"]) == {"binance"}
    assert set(rows["entry_long_price"]) == {100.0} and set(rows["long_funding_interval_hours"]) == {8.0}
