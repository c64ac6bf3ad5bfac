"""The columns of the two input tables, and how a header written by a scanner maps to them.

Light on purpose: the command line and the sample generator read names from here without pandas.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

TableName = Literal["opportunities", "history"]
Kind = Literal["time", "symbol", "venue", "number"]


@dataclass(frozen=True)
class Column:
    """One column of an input table.

    Attributes:
        name: The canonical snake_case name.
        kind: How its text is read.
        unit: What a value means.
        required: Whether the header must have it; otherwise it is null where absent.
        nullable: Whether a value may be null.
        aliases: Other spellings; case, spaces and punctuation never matter.
    """

    name: str
    kind: Kind
    unit: str
    required: bool = True
    nullable: bool = False
    aliases: tuple[str, ...] = ()


def _number(name: str, unit: str, *aliases: str) -> Column:
    return Column(name, "number", unit, aliases=aliases)


def _projected(name: str, unit: str, *aliases: str) -> Column:
    """Return a column that a header must have and a row may leave empty."""
    return Column(name, "number", unit, nullable=True, aliases=aliases)


def _optional(name: str, unit: str) -> Column:
    return Column(name, "number", unit, required=False, nullable=True)


OPPORTUNITY_COLUMNS: Final[tuple[Column, ...]] = (
    Column("entry_time", "time", "UTC, when the scanner saw the pair"),
    Column("symbol", "symbol", "as the scanner writes it"),
    Column("long_exchange", "venue", "lower case"),
    Column("short_exchange", "venue", "lower case"),
    _number("entry_long_price", "quote currency"),
    _number("entry_short_price", "quote currency"),
    _number("long_funding_rate", "fraction per interval"),
    _number("short_funding_rate", "fraction per interval"),
    _number("long_funding_interval_hours", "hours"),
    _number("short_funding_interval_hours", "hours"),
    # A missing value follows from entry_time and the interval, so a row may leave it empty.
    Column("long_next_funding_time", "time", "UTC", nullable=True),
    Column("short_next_funding_time", "time", "UTC", nullable=True),
    _projected("fund_profit_8h", "percent of notional per 8 h"),
    _projected("fund_profit_24h_proj", "percent of notional per 8 h", "fund_profit_8h_24h_proj"),
    _projected("fund_profit_3d_proj", "percent of notional per 8 h", "fund_profit_8h_3d_proj"),
    _projected("fund_apr", "percent a year"),
    _projected("fund_apr_24h_proj", "percent a year"),
    _projected("fund_apr_3d_proj", "percent a year"),
    _optional("spread_30_sample_avg", "fraction of mid, short - long"),
    _optional("spread_volatility_stddev", "fraction of mid"),
    _optional("price_spread_24h_avg", "percent, short - long"),
    _optional("price_spread_3d_avg", "percent, short - long"),
    _optional("volume_24h", "quote currency"),
    _optional("bid_ask_spread_percent", "percent"),
    _optional("orderbook_depth_usd", "USD"),
    _optional("estimated_profit_percentage", "percent"),
    _optional("position_cost_percent", "percent"),
)

HISTORY_COLUMNS: Final[tuple[Column, ...]] = (
    Column("timestamp", "time", "UTC"),
    Column("exchange", "venue", "lower case"),
    Column("symbol", "symbol", "as the venue writes it"),
    _number("price", "quote currency"),
    _projected("funding_rate", "fraction, settled at timestamp; empty between settlements"),
    _projected("funding_interval_hours", "hours"),
    _optional("high", "quote currency, of the hour that ends at timestamp"),
    _optional("low", "quote currency, of the hour that ends at timestamp"),
)

COLUMNS: Final[dict[TableName, tuple[Column, ...]]] = {
    "opportunities": OPPORTUNITY_COLUMNS,
    "history": HISTORY_COLUMNS,
}
TIME_COLUMN: Final[dict[TableName, str]] = {"opportunities": "entry_time", "history": "timestamp"}

_INDEX_HEADER = re.compile(r"^(Unnamed: \d+)?$")


def names(table: TableName) -> tuple[str, ...]:
    """Return the canonical column names of a table, in order."""
    return tuple(column.name for column in COLUMNS[table])


def spelling_key(name: str) -> str:
    """Return what two spellings of one column have in common: lower-case letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@dataclass(frozen=True)
class Header:
    """A file's header, matched against a table.

    Attributes:
        found: Canonical name -> position in the header.
        extra: Name as written -> position, of columns the table does not know.
        index: Positions of nameless columns: row numbers somebody's tool wrote.
        missing: Required names the header lacks.
        absent: Optional names the header lacks.
        lookalike: Missing or absent name -> the unknown column that resembles it.
        repeated: Name -> the two spellings that both mean it.
    """

    found: dict[str, int]
    extra: dict[str, int]
    index: tuple[int, ...]
    missing: tuple[str, ...]
    absent: tuple[str, ...]
    lookalike: dict[str, str]
    repeated: dict[str, tuple[str, str]]


def _spellings(table: TableName) -> dict[str, str]:
    """Return the key of every spelling of a table's columns, and the canonical name it means."""
    return {spelling_key(n): c.name for c in COLUMNS[table] for n in (c.name, *c.aliases)}


def count_known(header: Sequence[str], table: TableName) -> int:
    """Return how many columns of a table a header has; cheap, unlike the guesses of `match_header`."""
    spellings = _spellings(table)
    return len({spellings[key] for key in map(spelling_key, header) if key in spellings})


def match_header(header: Sequence[str], table: TableName) -> Header:
    """Match the names of a header line with the columns of a table.

    Args:
        header: Column names as they stand in the file.
        table: The table they should be of.
    """
    spellings = _spellings(table)
    found: dict[str, int] = {}
    extra: dict[str, int] = {}
    index: list[int] = []
    repeated: dict[str, tuple[str, str]] = {}
    for position, written in enumerate(name.strip() for name in header):
        canonical = spellings.get(spelling_key(written))
        target, name = (found, canonical) if canonical is not None else (extra, written)
        if _INDEX_HEADER.match(written):
            index.append(position)
        elif name in target:
            repeated[name] = (header[target[name]].strip(), written)
        else:
            target[name] = position
    missing = tuple(c.name for c in COLUMNS[table] if c.required and c.name not in found)
    absent = tuple(c.name for c in COLUMNS[table] if not c.required and c.name not in found)
    unknown = {spelling_key(name): name for name in extra}
    lookalike: dict[str, str] = {}
    for name in missing + absent:
        # A required column is missed by name, so a far guess helps; an optional one may well be absent.
        cutoff = 0.6 if name in missing else 0.8
        close = difflib.get_close_matches(spelling_key(name), list(unknown), n=1, cutoff=cutoff)
        if close:
            lookalike[name] = unknown[close[0]]
    return Header(found, extra, tuple(index), missing, absent, lookalike, repeated)


def classify(header: Sequence[str]) -> TableName | None:
    """Return the table a header is of, also if a column or two are missing; None if of neither."""
    share = {t: len(match_header(header, t).missing) / sum(c.required for c in COLUMNS[t]) for t in COLUMNS}
    best = min(share, key=lambda table: share[table])
    return best if share[best] <= 0.5 else None
