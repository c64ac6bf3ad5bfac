"""Lines of a CSV file -> rows as text, with the line each row stands on. Nothing is interpreted here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from schemas.errors import DataError

_ARROW_BLOCK: Final = 1 << 20
# A line whose quoted fields all end on it: a quote opens a field, two stand for one, and what follows the
# closing one up to the comma belongs to the field.
_FIELD: Final = rb'(?:"(?>(?:[^"]|"")*)"[^,]*|[^",][^,]*|)'
_CLOSED: Final = re.compile(rb"%b(?:,%b)*" % (_FIELD, _FIELD))


@dataclass(frozen=True)
class BrokenLine:
    """A line that is no row of the table: it is quarantined as a whole.

    Attributes:
        line: Which of the lines read, from 0.
        rule: The rule it breaks.
        text: The line as it stands.
    """

    line: int
    rule: str
    text: str


@dataclass(frozen=True)
class TextRows:
    """Rows as text.

    Attributes:
        text: One string column per header position, named by that position; null where the text is empty.
        line: (n,) which of the lines read each row stands on, from 0.
        broken: Lines with too many or too few fields, or a quote that is not closed; by line.
        blank: Lines without any value; they are no rows.
    """

    text: pa.Table
    line: NDArray[np.int64]
    broken: tuple[BrokenLine, ...]
    blank: int

    @property
    def rows(self) -> int:
        """Rows, those included that are no rows of the table."""
        return int(self.text.num_rows) + len(self.broken)


def read_rows(body: bytes, width: int, where: str) -> TextRows:
    """Split lines into fields.

    Args:
        body: Whole lines, separated by line feeds.
        width: Fields of the header.
        where: What to call the file in an error.

    Raises:
        DataError: The lines cannot be told apart.
    """
    lines, numbers, unclosed = body, None, list[BrokenLine]()
    if b'"' in body:
        lines, numbers, unclosed = _without_open_quotes(body, strict=False)
    try:
        text, line, misfits = _parse_csv(lines, width)
        count = _count(lines)
        if len(line) + len(misfits) != count:  # a row swallowed the lines after it
            lines, numbers, unclosed = _without_open_quotes(body, strict=True)
            text, line, misfits = _parse_csv(lines, width)
            count = _count(lines)
    except pa.ArrowInvalid as error:
        raise DataError(f"is not a CSV table: {error}.", where, "Export it again as CSV.") from error
    if len(line) + len(misfits) != count:
        raise DataError("has quotes that do not pair up.", where, "Export it again as CSV.")
    if numbers is not None:  # lines were taken out: number the rest as they stand
        line = numbers[line]
        misfits = [(int(numbers[at]), text) for at, text in misfits]
    text, line, blank = _without_blanks(text, line)
    broken = [BrokenLine(at, "wrong_field_count", text) for at, text in misfits] + unclosed
    return TextRows(text, line, tuple(sorted(broken, key=lambda b: b.line)), blank)


def _count(body: bytes) -> int:
    unfinished = bool(body) and not body.endswith(b"\n")
    return int(body.count(b"\n")) + int(unfinished)


def _without_open_quotes(
    body: bytes, *, strict: bool
) -> tuple[bytes, NDArray[np.int64] | None, list[BrokenLine]]:
    """Take out lines in which a quote stays open: it would swallow the lines after it.

    An odd number of quotes tells at once. An even number may hide one, as in `a"b,"c`: strict finds these.
    """
    content = np.frombuffer(body, dtype=np.uint8)
    ends = np.flatnonzero(content == 10)
    quotes = np.bincount(np.searchsorted(ends, np.flatnonzero(content == 34)), minlength=len(ends) + 1)
    odd = np.flatnonzero(quotes % 2)
    lines = body.split(b"\n") if strict or len(odd) else []
    if strict:
        suspects = np.flatnonzero(quotes[: len(lines)])
        odd = np.array([i for i in suspects if quotes[i] % 2 or not _CLOSED.fullmatch(lines[i])], dtype=int)
    if not len(odd):
        return body, None, []
    broken = [BrokenLine(int(i), "quote_not_closed", lines[i].decode()) for i in odd]
    gone = np.zeros(len(lines), dtype=bool)
    gone[odd] = True
    kept = np.flatnonzero(~gone)
    # What follows the last line break is no line if it is empty; the join keeps it so.
    return b"\n".join(lines[i] for i in kept), kept.astype(np.int64), broken


def _parse_csv(body: bytes, width: int) -> tuple[pa.Table, NDArray[np.int64], list[tuple[int, str]]]:
    """Split lines into fields; returns the table, the line of each row, and the misfits with theirs."""
    names = [str(position) for position in range(width)]
    if not body:
        empty = pa.table({name: pa.array([], pa.string()) for name in names})
        return empty, np.empty(0, dtype=np.int64), []
    misfits: list[tuple[int, str]] = []

    def set_aside(row: Any) -> str:
        misfits.append((int(row.number) - 1, str(row.text)))
        return "skip"

    def parse(block_size: int) -> pa.Table:
        misfits.clear()
        return arrow_csv.read_csv(
            pa.BufferReader(body),
            # One thread: only then do misfits know their line.
            read_options=arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=block_size),
            # Empty lines are kept for now, so that rows keep their line numbers.
            parse_options=arrow_csv.ParseOptions(invalid_row_handler=set_aside, ignore_empty_lines=False),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )

    try:
        text = parse(_ARROW_BLOCK)
    except pa.ArrowInvalid:  # a row may be longer than a block of Arrow's
        text = parse(len(body) + 1)
    line = np.arange(text.num_rows + len(misfits), dtype=np.int64)
    if misfits:
        line = np.delete(line, [at for at, _ in misfits])
    return text, line, misfits


def _without_blanks(text: pa.Table, line: NDArray[np.int64]) -> tuple[pa.Table, NDArray[np.int64], int]:
    """Drop lines whose fields are all empty."""
    empty = np.ones(text.num_rows, dtype=bool)
    for column in text.columns:
        if not empty.any():
            return text, line, 0
        empty &= pc.is_null(column).to_numpy()
    return text.filter(pa.array(~empty)), line[~empty], int(empty.sum())
