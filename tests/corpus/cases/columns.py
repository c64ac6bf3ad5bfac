"""Headers: missing, repeated, renamed, moved, and too much of them."""

from __future__ import annotations

from tests.corpus.case import (
    GOOD,
    Case,
    Kept,
    Make,
    Refused,
    as_plain,
    content,
    edited,
    good,
    good_text,
    table,
)
from tests.corpus.cases.text import no_header
from tests.corpus.rows import opportunity, settlement, to_csv

TEXT = good_text()
HEADER, ROWS = TEXT.split("\n", 1)
ODD_NAME = "[red]<b>|\x1b[31m\u202enote"

PLAIN = Kept(check=as_plain, says="read like a plain file")
HEADER_AS_ROW = ("not_a_number", "not_a_time")
LONG = Refused(
    "scan.csv, row 1: begins with a line of more than 64 kB, which is no header. "
    "The first line must name the columns, and nothing else."
)
OPEN_QUOTE = Refused(
    "scan.csv, row 1: has a quote in its header that is not closed on the line. "
    "Names of columns go on one line, with quotes in pairs."
)


def camel(name: str) -> str:
    """Return a name as scanners written in JavaScript have it."""
    first, *rest = name.split("_")
    return first + "".join(part[0].upper() + part[1:] for part in rest)


def renamed(old: str, new: str) -> Make:
    return content(TEXT.replace(old, new, 1))


def without(*names: str) -> Make:
    return table([{name: value for name, value in row.items() if name not in names} for row in good()])


def under(header: str, more: str = "") -> Make:
    """The good rows under another header, each with some more cells."""
    return content(header + "\n" + "".join(f"{line}{more}\n" for line in ROWS.splitlines()))


def lacks(column: str, guess: str = "") -> Refused:
    return Refused(
        f"scan.csv, column {column!r}, row 1: lacks the column {column!r}{guess}. "
        "Add it, or rename the column that holds it."
    )


def reported(part: str, found) -> Kept:
    """All rows are kept, and the report says something about columns."""

    def check(outcome) -> None:
        as_plain(outcome)
        facts = outcome.quality["opportunities"][part]
        assert {name: facts[name] for name in found} == found if isinstance(found, dict) else facts == found

    return Kept(check=check, says=f"told under {part.replace('_', ' ')}")


CASES = (
    Case("no header", content(ROWS), no_header("2025-03-03T00:00:00+00:00,ABCUSDT,Binance,Bybit,100.0,100...")),
    Case("a header alone", content(HEADER + "\n"), Refused("scan.csv: has a header and no rows. Give a file with at least one row.")),
    Case("two headers, one below the other", content(HEADER + "\n" + TEXT), Kept(rows=41, quarantined=1, rules=HEADER_AS_ROW, check=as_plain)),
    Case("files joined with their headers", content(TEXT + to_csv([opportunity(h) for h in range(40, 80)])), Kept(rows=81, quarantined=1, rules=HEADER_AS_ROW)),
    Case("a line of units below the header", content(HEADER + "\n" + ",".join(["unit"] * (HEADER.count(",") + 1)) + "\n" + ROWS), Kept(rows=41, quarantined=1, rules=HEADER_AS_ROW, check=as_plain)),
    Case("a comment before the header", content("# exported at noon\n" + TEXT), no_header("# exported at noon")),
    Case("columns in another order", table([dict(reversed(row.items())) for row in good()]), PLAIN),
    Case("camelCase names", under(",".join(camel(name) for name in HEADER.split(","))), PLAIN),
    Case("names in capitals with spaces around", under(",".join(f" {name.upper()} " for name in HEADER.split(","))), PLAIN),
    Case("a column repeated", table([opportunity(h, fundApr=98.55) for h in range(GOOD)]), Refused("scan.csv, column 'fund_apr': has two columns for 'fund_apr': 'fund_apr' and 'fundApr'. Remove one of them.")),
    Case("an unknown column repeated", under(HEADER + ",note,note", ",a,b"), Refused("scan.csv, column 'note': has two columns for 'note': 'note' and 'note'. Remove one of them.")),
    Case("extra columns", table([opportunity(h, subType="perp", rank=h) for h in range(GOOD)]), reported("extra_columns", ["rank", "subType"])),
    Case("a name with markup, an escape code and RTL text", table([opportunity(h, **{ODD_NAME: "x"}) for h in range(GOOD)]), reported("extra_columns", [ODD_NAME])),
    Case("a column of row numbers without a name", edited(lambda lines: [f"{i - 1 if i else ''},{line}" for i, line in enumerate(lines)]), reported("dropped_columns", ["column 1"])),
    Case("a required column renamed", renamed("long_funding_rate", "long_fund_rate"), lacks("long_funding_rate", " (did you mean 'long_fund_rate'?)")),
    Case("a required column left out", without("symbol"), lacks("symbol")),
    Case("several required columns left out", without("entry_time", "long_exchange", "fund_apr"), Refused("scan.csv, column 'entry_time', row 1: lacks 3 columns: 'entry_time', 'long_exchange', 'fund_apr'. Add them, or rename the columns that hold them.")),
    Case("an optional column renamed", renamed("orderbook_depth_usd", "orderbook_depth"), reported("absent_columns", {"orderbook_depth_usd": "orderbook_depth"})),
    Case("optional columns left out", without("volume_24h", "orderbook_depth_usd"), reported("absent_columns", {"volume_24h": None, "orderbook_depth_usd": None})),
    Case("a market history in place of opportunities", table([settlement(h) for h in range(GOOD)]), Refused("scan.csv: is a market history. Give it with --history.")),
    Case("another table altogether", content("date,note\n2025-03-03,hello\n"), no_header("date,note")),
    Case("a name of 200,000 characters", under(HEADER + "," + "x" * 200_000, ","), LONG),
    Case("20,000 columns", under(HEADER + "," + ",".join(f"column_{i}" for i in range(20_000)), "," * 20_000), LONG),
    Case("2,000 columns", under(HEADER + "," + ",".join(f"c{i}" for i in range(2_000)), "," * 2_000), Refused("scan.csv, row 1: has 2,027 columns, more than the 1,000 that are read. Export the columns of the table alone.")),
    Case("a required column renamed among 900 others", under(HEADER.replace("symbol", "coin") + "," + ",".join(f"long_funding_{i}" for i in range(900)), "," * 900), lacks("symbol")),
    Case("a quote in the header that is never closed", renamed("symbol", '"symbol'), OPEN_QUOTE),
    Case("a header over two lines", renamed("symbol", '"sym\nbol"'), OPEN_QUOTE),
)  # fmt: skip
