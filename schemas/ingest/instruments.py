"""Contracts that count a coin in thousands: what an exchange's symbol is in units of one coin.

1000PEPE on one exchange and kPEPE on another are the same coin, a thousand at a time. A table of instruments
says so: exchange, symbol as it stands in the data, canonical symbol, multiplier. Prices are divided by the
multiplier and symbols become canonical before any rule looks at them.

Light on purpose: the table is read when a command starts, its rows are applied where pandas is there already.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schemas.columns import TableName, spelling_key
from schemas.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

INSTRUMENTS_FILE: Final = "instruments.csv"
_COLUMNS: Final = ("exchange", "symbol", "canonical_symbol", "multiplier")
_ALIASES: Final = {"canonical": "canonicalsymbol", "base": "canonicalsymbol", "basesymbol": "canonicalsymbol"}
_LEGS: Final[dict[TableName, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "opportunities": (("long_exchange", ("entry_long_price",)), ("short_exchange", ("entry_short_price",))),
    "history": (("exchange", ("price", "high", "low")),),
}
# A scanner works these out from both prices; of prices in different units they mean nothing.
_SPREADS: Final = (
    "spread_30_sample_avg",
    "spread_volatility_stddev",
    "price_spread_24h_avg",
    "price_spread_3d_avg",
)
_MEND: Final = f"Write one line for each exchange and symbol: {', '.join(_COLUMNS)}."


@dataclass(frozen=True)
class Instrument:
    """One line of the table.

    Attributes:
        exchange: In lower case.
        symbol: As it stands in the data.
        canonical: The symbol of one coin.
        multiplier: Coins that a price is of.
        line: Where it stands in the file.
    """

    exchange: str
    symbol: str
    canonical: str
    multiplier: float
    line: int

    def __str__(self) -> str:
        return f"{self.exchange} {self.symbol} as {self.canonical} / {self.multiplier:.12g}"


@dataclass(frozen=True)
class Instruments:
    """A table of instruments that does not contradict itself.

    Attributes:
        path: Where it was read.
        sha256: Of the file's bytes.
        entries: Its lines, in their order.
    """

    path: Path
    sha256: str
    entries: tuple[Instrument, ...]


@dataclass(frozen=True)
class Mapped:
    """A parsed table in canonical units.

    Attributes:
        frame: Its rows, in the order and with the index they had.
        counts: Each entry of the table -> legs it was applied to, 0 included; and how many rows lost spreads
            that were worked out from prices in different units.
    """

    frame: pd.DataFrame
    counts: dict[str, int]


def load_instruments(data: Path, explicit: Path | None = None) -> Instruments | None:
    """Return the table of instruments of a data set: the one asked for, else `instruments.csv` in its folder.

    Args:
        data: What `discover` is given; a single file brings no table by itself.
        explicit: A file, or None.

    Raises:
        DataError: It cannot be read, or a line of it is wrong or contradicts another.
    """
    path = explicit
    if path is None and data.is_dir() and (data / INSTRUMENTS_FILE).is_file():
        path = data / INSTRUMENTS_FILE
    return None if path is None else read_instruments(path)


def read_instruments(path: Path) -> Instruments:
    """Read a table of instruments; the errors are those of `load_instruments`."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}.", str(path), "Check the path.") from error
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8 text.", str(path), "Save it as UTF-8 CSV.") from error
    entries = tuple(_entries(path, text))
    if not entries:
        raise DataError("maps nothing: it has no line below its header.", str(path), _MEND)
    _refuse_contradictions(path, entries)
    return Instruments(path, hashlib.sha256(raw).hexdigest(), entries)


def apply_instruments(frame: pd.DataFrame, table: TableName, instruments: Instruments) -> Mapped:
    """Put a parsed table into canonical symbols and prices of one coin.

    A leg without an entry stays as it is: its symbol is canonical already. Legs of one row may have different
    multipliers; then the scanner's own spreads are dropped, being differences of unlike things.

    Args:
        frame: Parsed rows; it is not changed.
        table: The table they are of.
        instruments: What is what.

    Returns:
        The table, and counts for the report.

    Raises:
        DataError: A symbol that stands for another on one exchange is met on one the table does not name.
    """
    import numpy as np

    known = {(one.exchange, one.symbol): one for one in instruments.entries}
    renamed = {one.symbol: one.canonical for one in instruments.entries}
    counts = {str(one): 0 for one in instruments.entries}
    out = frame.copy()
    factors = []
    touched = frame["symbol"].isin(list(renamed))
    some = frame[touched]
    for venue, prices in _LEGS[table]:
        factor = np.ones(len(frame))
        at = np.flatnonzero(touched.to_numpy())
        groups: Any = some.groupby([venue, "symbol"], sort=True).indices
        for (exchange, symbol), rows in groups.items():
            entry = known.get((exchange, symbol))
            if entry is None:
                if renamed[symbol] != symbol:
                    raise _unknown(instruments, exchange, symbol)
                continue
            factor[at[rows]] = entry.multiplier
            counts[str(entry)] += len(rows)
        for price in prices:
            out[price] = frame[price] / factor
        factors.append(factor)
    out.loc[touched, "symbol"] = some["symbol"].map(renamed)
    if table == "opportunities":
        mixed = factors[0] != factors[1]
        lost = mixed & frame[list(_SPREADS)].notna().any(axis=1).to_numpy()
        out.loc[mixed, list(_SPREADS)] = np.nan
        counts["spreads_of_unlike_prices_dropped"] = int(lost.sum())
    return Mapped(out, counts)


def _unknown(instruments: Instruments, exchange: str, symbol: str) -> DataError:
    there = next(one for one in instruments.entries if one.symbol == symbol)
    return DataError(
        f"says that {symbol} of {there.exchange} is {there.canonical} x {there.multiplier:.12g}, and "
        f"nothing of {symbol} of {exchange}, which the data holds too.",
        str(instruments.path),
        f"Add a line {exchange},{symbol},{there.canonical},<multiplier>.",
    )


def _entries(path: Path, text: str) -> Iterator[Instrument]:
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    wanted = [spelling_key(name) for name in _COLUMNS]
    try:
        header = [_ALIASES.get(key, key) for key in map(spelling_key, next(reader, []))]
        if sorted(header) != sorted(wanted):
            shown = text.split("\n", 1)[0].strip()[:80]
            raise DataError(
                f"does not begin with the columns of instruments but with {shown!r}.", str(path), _MEND
            )
        for fields in reader:
            if any(field.strip() for field in fields):
                yield _entry(path, dict(zip(header, fields, strict=False)), len(fields), reader.line_num)
    except csv.Error as error:
        raise DataError(f"is not a CSV table: {error}.", f"{path}, row {reader.line_num}", _MEND) from error


def _entry(path: Path, fields: dict[str, str], width: int, line: int) -> Instrument:
    where = f"{path}, row {line}"
    if width != len(_COLUMNS) or not all(value.strip() for value in fields.values()):
        raise DataError("needs a value in each of its four columns.", where, _MEND)
    text = fields["multiplier"].strip()
    try:
        multiplier = float(text)
    except ValueError:
        multiplier = math.nan
    if not (math.isfinite(multiplier) and multiplier > 0):
        raise DataError(f"has the multiplier {text!r}.", where, "Write a number above 0, such as 1000.")
    return Instrument(
        exchange=fields["exchange"].strip().lower(),
        symbol=fields["symbol"].strip(),
        canonical=fields["canonicalsymbol"].strip(),
        multiplier=multiplier,
        line=line,
    )


def _refuse_contradictions(path: Path, entries: tuple[Instrument, ...]) -> None:
    """Raise unless a written symbol means one coin everywhere, and an exchange counts it in one way."""
    meaning: dict[str, Instrument] = {}
    own: dict[tuple[str, str], Instrument] = {}
    unit: dict[tuple[str, str], Instrument] = {}
    for one in entries:
        other = own.setdefault((one.exchange, one.symbol), one)
        if (other.canonical, other.multiplier) != (one.canonical, one.multiplier):
            raise _contradiction(path, other, one, "one of them is wrong")
        other = meaning.setdefault(one.symbol, one)
        if other.canonical != one.canonical:
            raise _contradiction(path, other, one, "both legs of a row have one symbol, so it means one coin")
        if one.multiplier != 1.0:  # a source may have put it into units of one coin already
            other = unit.setdefault((one.exchange, one.canonical), one)
            if other.multiplier != one.multiplier:
                raise _contradiction(path, other, one, "an exchange counts a coin in one way")
    for one in entries:
        other = meaning.get(one.canonical, one)
        if other.symbol == one.canonical and other.canonical != one.canonical:
            raise _contradiction(path, other, one, "a canonical symbol cannot stand for another")


def _contradiction(path: Path, first: Instrument, second: Instrument, why: str) -> DataError:
    return DataError(
        f"contradicts itself: row {first.line} has {first}, row {second.line} has {second}; {why}.",
        str(path),
        "Correct one of the two.",
    )
