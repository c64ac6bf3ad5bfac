"""The order of a day's rows, which depends on what they say and on nothing else.

Rows go by time, then by what they are of, then by all they say, nulls first. So it does not matter which
file a row came in, or when, and the last of rows that tie is the same one for everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.columns import COLUMNS, TIME_COLUMN, TableName, names
from schemas.ingest.clean import HOUR_US, STAMPED

Codes = NDArray[np.int64]

KEYS: Final[dict[TableName, tuple[str, ...]]] = {
    "opportunities": ("symbol", "long_exchange", "short_exchange"),
    "history": ("exchange", "symbol"),
}


@dataclass(frozen=True)
class Ordered:
    """A day's rows in their order.

    Attributes:
        rows: Without exact duplicates; columns as they came, text coded.
        duplicates: Rows dropped because another one is equal in every column.
        counts: Rows that share a time or an hour with a newer one of the same pair or instrument.
    """

    rows: pa.Table
    duplicates: int
    counts: dict[str, int]


def put_in_order(rows: pa.Table, table: TableName) -> Ordered:
    """Sort a day's rows and drop exact duplicates.

    Of a history, rows of one hour go by the stamp they had before it was snapped to the hour: the newest
    is the last. Equal rows are one, whatever the stamp.

    Args:
        rows: Columns of the table, extra ones, and `STAMPED` for a history; text as dictionaries.
        table: The table they are of.
    """
    time = rows[TIME_COLUMN[table]].cast(pa.int64()).to_numpy()
    main = [time, *(_ranks(rows[name]) for name in KEYS[table])]
    order = np.lexsort(main[::-1])
    tied = _tied(main, order)
    dropped = 0
    if tied.any():
        order, kept = _settle_ties(rows, table, order, tied)
        dropped = len(kept) - int(kept.sum())
        order = order[kept]
        tied = _tied(main, order)
    several = int(tied.sum())
    if table == "history":
        return Ordered(rows.take(pa.array(order)), dropped, {"several_rows_for_one_hour": several})
    pair = -(-time[order] // HOUR_US)  # the first hour that may know the row
    pair -= pair.min()
    for key in main[1:]:
        pair = pair * (int(key.max()) + 1) + key[order]
    counts = {
        "several_rows_for_one_time": several,
        "several_rows_for_one_hour": len(order) - len(np.unique(pair)),
    }
    return Ordered(rows.take(pa.array(order)), dropped, counts)


def _tied(main: list[Codes], order: Codes) -> NDArray[np.bool_]:
    """Return which rows of an order have the main keys of the row before."""
    tied = np.ones(len(order), dtype=bool)
    tied[:1] = False
    for key in main:
        tied[1:] &= key[order[1:]] == key[order[:-1]]
    return tied


def _settle_ties(
    rows: pa.Table, table: TableName, order: Codes, tied: NDArray[np.bool_]
) -> tuple[Codes, NDArray[np.bool_]]:
    """Put tied rows in order by all else they say; returns the order, and which places of it to keep."""
    inside = tied.copy()
    inside[:-1] |= tied[1:]
    places = np.flatnonzero(inside)
    group = np.cumsum(~tied)[places]
    kinds = {column.name: column.kind for column in COLUMNS[table]}
    extra = sorted(name for name in rows.column_names if name not in kinds and name != STAMPED)
    said = [name for name in (*names(table), *extra) if name not in (TIME_COLUMN[table], *KEYS[table])]
    some = rows.take(pa.array(order[places]))
    keys = [_sortable(some[name], kinds.get(name)) for name in said]
    stamp = [some[STAMPED].to_numpy()] if STAMPED in rows.column_names else []
    kept = np.ones(len(order), dtype=bool)

    # Most ties are rows that are there twice: nothing has to be sorted where all of a group are equal.
    same = _same_as_before(np.arange(len(places)), group, keys)
    begins = np.ones(len(places), dtype=bool)
    begins[1:] = group[1:] != group[:-1]
    kept[places[same]] = False
    differ = np.isin(group, group[~same & ~begins])
    if not differ.any():
        return order, kept

    places, group = places[differ], group[differ]
    keys, stamp = [key[differ] for key in keys], [key[differ] for key in stamp]
    # Once by what they say, so that equal rows are neighbours, the newest last: it stays.
    first = np.lexsort([*stamp, *keys[::-1], group])
    gone = np.zeros(len(first), dtype=bool)
    gone[first[:-1]] = _same_as_before(first, group, keys)[1:]
    # Then by their stamp, and by what they say only among equals.
    last = np.lexsort([*keys[::-1], *stamp, group])
    settled = order.copy()
    settled[places] = order[places][last]
    kept[places] = ~gone[last]
    return settled, kept


def _same_as_before(order: NDArray[Any], group: NDArray[Any], keys: list[NDArray[Any]]) -> NDArray[np.bool_]:
    """Return which rows of an order are of the group of the row before and say the same."""
    same = np.ones(len(order), dtype=bool)
    same[:1] = False
    for key in (group, *keys):
        same[1:] &= key[order[1:]] == key[order[:-1]]
    return same


def _sortable(column: Any, kind: str | None) -> NDArray[Any]:
    """Return a column as numbers in the same order; null is the smallest."""
    if kind == "number":
        values = column.to_numpy()
        return np.where(np.isnan(values), -np.inf, values)
    if kind == "time":
        return np.asarray(pc.fill_null(column.cast(pa.int64()), np.iinfo(np.int64).min).to_numpy())
    return _ranks(column)


def _ranks(column: Any) -> Codes:
    """Return the rank of each text among the distinct ones, by code points; null is -1."""
    coded = column.combine_chunks()
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) and coded.num_chunks else coded
    if not len(coded):
        return np.empty(0, dtype=np.int64)
    if not pa.types.is_dictionary(coded.type):
        coded = pc.dictionary_encode(coded)
    # A dictionary may hold a word twice where it was joined from several.
    again = pc.dictionary_encode(coded.dictionary)
    by = pc.sort_indices(again.dictionary).to_numpy()
    rank = np.empty(len(by) + 1, dtype=np.int64)
    rank[by] = np.arange(len(by))
    rank[-1] = -1
    word = pc.fill_null(again.indices, len(by)).to_numpy(zero_copy_only=False)
    ranked = np.append(rank[word], -1)
    code = pc.fill_null(coded.indices, len(word)).to_numpy(zero_copy_only=False)
    return np.asarray(ranked[code], dtype=np.int64)
