"""Names of coins and venues, huge cells, and rows that come twice."""

from __future__ import annotations

from collections.abc import Sequence

from tests.corpus.case import GOOD, Case, Kept, Make, content, each, every, good, later, one, table
from tests.corpus.rows import opportunity, to_csv

TURNED = {
    "long_exchange": "bybit", "short_exchange": "binance", "long_funding_rate": 0.0005, "short_funding_rate": 0.0001,
    "long_funding_interval_hours": 4, "short_funding_interval_hours": 8,
}  # fmt: skip
FORMULAS = ["=1+1", "+ABC", "-ABC", "@SUM(A1)", '=HYPERLINK("http://x","y")', "=cmd|' /C calc'!A0"]
PATHS = ["../../etc/passwd", "/etc/passwd", "..", ".", "a/b", "C:\\x", "~root", "a\\b", "CON", "a\u2215b"]
SCRIPTS = [
    "\u05d1\u05d9\u05d8\u05e7\u05d5\u05d9\u05df", "\u202eCBA", "\U0001f680\U0001f315", "\U0001f468\u200d\U0001f469", "e\u0301",
    "\u00e9", "\u200bABC",
]  # fmt: skip
MARKUP = [
    "A\x1b[31mB", "A\x07", "A\tB", "[/red]", "<script>alert(1)</script>", "a|b", "`a`", "![](x)", "$(id)", "%s%n", "{0}",
    "\u2028A", "A\x0bB", "A\x85B",
]  # fmt: skip


def near(hour: float) -> Make:
    """Good rows and one more of the same pair, with another volume."""
    return table([*good(), opportunity(hour, volume_24h=4e6)])


def symbols(names: Sequence[str]) -> Kept:
    """Each name is a symbol, as written but for blanks around it."""

    def check(outcome) -> None:
        assert set(outcome.table()["symbol"]) == {name.strip() for name in names}
        assert set(outcome.quality["opportunities"]["symbols"]) == {name.strip() for name in names}

    return Kept(rows=len(names), check=check, says="symbols stay as written")


CASES = (
    Case("exact duplicates", table([*good(), *good(5)]), Kept(rows=45, duplicates=5)),
    Case("duplicates that are written otherwise", table([*good(), opportunity(3, long_exchange="BINANCE", long_funding_interval_hours="8.0", entry_long_price="1e2")]), Kept(rows=41, duplicates=1)),
    Case("near duplicates: the same pair and moment, other values", near(3), Kept(rows=41, counts={"several_rows_for_one_time": 1, "several_rows_for_one_hour": 1})),
    Case("near duplicates: the same pair and hour, other minutes", near(3.5), Kept(rows=41, counts={"several_rows_for_one_hour": 1}, says="the newest of an hour is on offer")),
    Case("both directions of a pair", table([*good(), opportunity(3, **TURNED)]), Kept(rows=41, counts={"several_rows_for_one_hour": 0})),
    Case("the same exchange twice", one(short_exchange="BINANCE"), Kept(quarantined=1, rules=("same_exchange",))),
    Case("no symbol", one(symbol=""), Kept(quarantined=1, rules=("missing_value",))),
    Case("a symbol that is called NaN", one(symbol="NAN"), Kept(quarantined=1, rules=("missing_value",))),
    Case("symbols with blanks around", every(symbol="  ABC  "), Kept(check=lambda o: _one_symbol(o, "ABC"), says="blanks around are dropped")),
    Case("formula cells as symbols", each("symbol", FORMULAS), symbols(FORMULAS)),
    Case("symbols with path characters", each("symbol", PATHS), symbols(PATHS)),
    Case("RTL and emoji symbols", each("symbol", SCRIPTS), symbols(SCRIPTS)),
    Case("symbols with control characters and markup", each("symbol", MARKUP), symbols(MARKUP)),
    Case("a symbol of 300 characters", one(symbol="x" * 300), Kept(quarantined=1, rules=("name_too_long",))),
    Case("100,000 distinct symbols", later(lambda: table([opportunity(hour % 24, symbol=f"COIN{hour}") for hour in range(100_000)])), Kept(rows=100_000)),
    Case("10 MB in a cell of an extra column", later(lambda: table([*good(), opportunity(50, note="x" * 10_000_000)])), Kept(rows=41)),
    Case("10 MB in the cell of a number", later(lambda: one(volume_24h="9" * 10_000_000)), Kept(quarantined=1, rules=("not_finite",))),
    Case("10 MB in a quoted symbol full of commas", later(lambda: one(symbol="a," * 5_000_000)), Kept(quarantined=1, rules=("name_too_long",))),
    Case("a line of 10 MB that is no row", later(lambda: content(to_csv(good()) + "x" * 10_000_000 + "\n")), Kept(rows=41, quarantined=1, rules=("wrong_field_count",))),
)  # fmt: skip


def _one_symbol(outcome, name: str) -> None:
    assert outcome.table()["symbol"].tolist() == [name] * GOOD
