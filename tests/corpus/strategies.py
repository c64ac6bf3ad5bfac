"""Tables as Hypothesis makes them: good rows, some cells of which hold the worst their column can get."""

from __future__ import annotations

import csv
import io

from hypothesis import strategies as st

from schemas.columns import COLUMNS, TableName
from tests.corpus.rows import opportunity, settlement

_NUMBERS = st.one_of(
    st.sampled_from([
        "", "-", "nan", "NULL", "inf", "-inf", "1e400", "1e-400", "1e308", "-1", "0", "-0.0", "5",
        "0.05", "0.050001",
        "3", "8.0", "24", "100,5", "1,000", "1 000", "1_000", "0x1F", "5%", "$5", "=1+1", "#DIV/0!",
        "TRUE", "\u0663",
        "9" * 400, "1" + "0" * 400, ".", "+", "e5", "1e", "--1", "100000", "0.001",
    ]),
    st.floats().map(repr),
    st.integers().map(str),
)  # fmt: skip
_TIMES = st.one_of(
    st.sampled_from([
        "", "null", "0", "-1", "1e400", "1741000000", "1741000000000", "1741000000000000",
        "1741000000000000000",
        "9223372036854775807", "-9223372036854775808", "1e18", "2025-03-03", "2025-03-03T24:00",
        "2025-03-03T00:00:60Z",
        "2025-03-30T02:30:00+01:00", "2025-03-30T02:30:00 Europe/Berlin", "2025-02-29",
        "2262-04-11T23:47:16.854775807Z",
        "2262-04-12", "9999-12-31T23:59:59-14:00", "0000-01-01", "0001-01-01T00:00:00+14:00",
        "1969-12-31T23:59:59.999999Z",
        "2025-03-03T00:00:00+99:99", "2025-03-03T00:00:00+24:00", "20250303T000000Z", "03/03/2025",
        "now", "2099-12-31",
        "2025-03-03T00:00:00.123456789123Z", "2025-03-03t00:00:00z",
    ]),
    st.integers(-(10**20), 10**20).map(str),
    st.datetimes().map(str),
)  # fmt: skip
_NAMES = st.one_of(
    st.sampled_from([
        "", "binance", "BYBIT", " bybit ", "nan", "=1+1", "../x", "a/b", "\u202eABC", "\U0001f680",
        "A\x1b[31m", "[/x]",
        'a"b', '"', "a,b", "a\nb", "a\r\nb", "\r", "\x00", "\ufeffA", "x" * 5000, "|", "<b>", "\u2028",
        "\x85", "\u0130",
    ]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)  # fmt: skip
_VALUES = {"number": _NUMBERS, "time": _TIMES, "symbol": _NAMES, "venue": _NAMES}
_MADE = {"opportunities": opportunity, "history": settlement}


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a file: its name and its bytes."""
    table: TableName = draw(st.sampled_from(["opportunities", "opportunities", "opportunities", "history"]))
    made = _MADE[table]
    rows = [list(made(hour).values()) for hour in range(draw(st.integers(1, 24)))]
    kinds = {column.name: column.kind for column in COLUMNS[table]}
    header = list(made(0))
    for _ in range(draw(st.integers(0, 8))):
        column = draw(st.integers(0, len(header) - 1))
        value = draw(_VALUES[kinds[header[column]]] if draw(st.integers(0, 5)) else _NAMES)
        some = [draw(st.integers(0, len(rows) - 1))] if draw(st.integers(0, 15)) else range(len(rows))
        for at in some:
            rows[at][column] = value
    for _ in range(draw(st.integers(0, 2))):
        rows.insert(draw(st.integers(0, len(rows))), list(draw(st.sampled_from(rows))))
    if not draw(st.integers(0, 5)):
        header, rows = _rearranged(draw, header, rows)
    return f"{table}.csv", _written(draw, header, rows)


def _rearranged(
    draw: st.DrawFn, header: list[str], rows: list[list[str]]
) -> tuple[list[str], list[list[str]]]:
    """Rename, drop, add or move a column."""
    at, kind = draw(st.integers(0, len(header) - 1)), draw(st.integers(0, 4))
    lines = [list(header), *(list(row) for row in rows)]
    if kind == 0:
        lines[0][at] = draw(st.one_of(_NAMES, st.sampled_from(header), st.just(header[at][:-1])))
    elif kind == 1:
        for line in lines:
            del line[at]
    elif kind == 2:
        extra, name = draw(_NAMES), draw(_NAMES)
        for number, line in enumerate(lines):
            line.insert(at, extra if number else name)
    elif kind == 3:
        lines.insert(draw(st.integers(1, len(lines))), list(header))
    else:
        order = draw(st.permutations(range(len(header))))
        lines = [[line[i] for i in order] for line in lines]
    return lines[0], lines[1:]


def _written(draw: st.DrawFn, header: list[str], rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    plain = draw(st.integers(0, 7)) > 0
    writer = csv.writer(
        out,
        delimiter="," if plain else draw(st.sampled_from(";\t|^ ")),
        quoting=csv.QUOTE_MINIMAL if plain else draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])),
        lineterminator="\n" if plain else draw(st.sampled_from(["\n", "\r\n", "\r"])),
    )
    writer.writerows([header, *rows])
    text = out.getvalue()
    if draw(st.integers(0, 7)) == 0:
        text = draw(st.sampled_from(["\ufeff", "\n\n", "sep=,\n", "# note\n", " "])) + text.rstrip("\n")
    encoding = (
        "utf-8" if draw(st.integers(0, 15)) else draw(st.sampled_from(["utf-16", "utf-16-le", "latin-1"]))
    )
    return text.encode(encoding, errors="replace")
