"""Cells that should be numbers."""

from __future__ import annotations

from typing import Any

from schemas.tables import RULES
from tests.corpus.case import (
    GOOD,
    Case,
    Kept,
    Make,
    Refused,
    as_plain,
    content,
    each,
    every,
    good_text,
    one,
    table,
)
from tests.corpus.cases.text import no_row_left
from tests.corpus.rows import opportunity

AS_NUMBER = Kept(quarantined=1, rules=("not_a_number",))
THREE = Kept(rows=60, quarantined=3, rules=("not_a_number",))
NOT_FINITE = Kept(quarantined=1, rules=("not_finite",))
MISSING = Kept(quarantined=1, rules=("missing_value",))
NOT_POSITIVE = Kept(quarantined=1, rules=("not_positive",))
INTERVAL = Kept(quarantined=1, rules=("interval_not_allowed",))
PLAIN = Kept(check=as_plain)


def three(*values: str) -> Make:
    """Values in the last three of 60 rows."""
    return each("volume_24h", [*["5e6"] * 57, *values])


def all_bad(column: str, rule: str, value: str, values: int = GOOD) -> Refused:
    return Refused(
        f"scan.csv, column {column!r}, row 2: 40 of 40 rows of opportunities break a rule (100.0%), none is left; "
        f"the most frequent rule: {RULES[rule]} ({values} rows, the first here with {value!r}). Mend or remove these rows."
    )


def in_percent() -> Make:
    """Rates that are a hundred times too large, beside the profits of the true ones."""
    percent: dict[str, Any] = {"long_funding_rate": "0.01", "short_funding_rate": "0.05"}
    return table([opportunity(hour) | percent for hour in range(GOOD)])


CASES = (
    Case("a decimal comma in one cell", one(entry_long_price="100,0"), AS_NUMBER),
    Case("decimal commas in every row, quoted", every(volume_24h="5000000,0"), all_bad("volume_24h", "not_a_number", "5000000,0")),
    Case("decimal commas in every row, not quoted", content(good_text().replace("5000000.0", "5000000,0")), no_row_left("2025-03-03T00:00:00+00:00,ABCUSDT,Binance,Bybit,100.0,100...")),
    Case("a thousands separator", one(volume_24h="5,000,000"), AS_NUMBER),
    Case("thousands separated by spaces, dots, apostrophes", three("5 000 000", "5.000.000", "5'000'000"), THREE),
    Case("a currency sign, a percent sign, a unit", three("$5000000", "5%", "5M"), THREE),
    Case("hexadecimal, underscores, Arabic digits", three("0x10", "5_000", "\u0661\u0662"), THREE),
    Case("a formula, a formula error, a truth value", three("=1+1", "#DIV/0!", "TRUE"), THREE),
    Case("inf in a price", one(entry_long_price="inf"), NOT_FINITE),
    Case("inf in a rate", one(long_funding_rate="-Infinity"), Kept(quarantined=1, rules=("rate_out_of_range",))),
    Case("NaN in a required column", one(entry_long_price="NaN"), MISSING),
    Case("null in a required column", one(long_funding_rate="null"), MISSING),
    Case("- in a required column", one(long_funding_interval_hours="-"), MISSING),
    Case("NaN, null, -, N/A and nothing in a column that may be empty", each("volume_24h", ["NaN", "null", "-", "N/A", "", *["5e6"] * 35]), Kept(check=lambda o: _nulls(o, 5))),
    Case("1e400", one(entry_long_price="1e400"), NOT_FINITE),
    Case("1e-400", one(entry_long_price="1e-400"), NOT_POSITIVE),
    Case("1e308 on both legs", one(entry_long_price="1e308", entry_short_price="1.01e308"), Kept(quarantined=1, rules=("price_out_of_range",))),
    Case("a price of 400 digits", one(entry_long_price="1" * 400), NOT_FINITE),
    Case("a negative price", one(entry_long_price="-100"), NOT_POSITIVE),
    Case("a price of zero", one(entry_long_price="0", entry_short_price="0"), NOT_POSITIVE),
    Case("a negative volume", one(volume_24h="-1"), Kept(quarantined=1, rules=("negative",))),
    Case("legs a factor of 1000 apart", one(entry_long_price="0.0123", entry_short_price="12.31"), Kept(quarantined=1, rules=("contract_multiplier",))),
    Case("legs a factor of 1000 apart in every row", every(entry_long_price="0.0123", entry_short_price="12.31"), all_bad("entry_short_price", "contract_multiplier", "entry_long_price 0.0123, entry_short_price 12.31")),
    Case("legs a factor of 2 apart", one(entry_long_price="100", entry_short_price="200"), Kept(quarantined=1, rules=("legs_apart",))),
    Case("a rate of 5", one(long_funding_rate="5"), Kept(quarantined=1, rules=("rate_out_of_range",))),
    Case("rates of 5 in every row", every(long_funding_rate="5", short_funding_rate="6"), all_bad("long_funding_rate", "rate_out_of_range", "5", 2 * GOOD)),
    Case("rates in percent, small enough to be fractions", in_percent(), Refused("scan.csv, column 'long_funding_rate' and 'short_funding_rate': seems to be in percent: in 40 of 40 rows the profits beside them follow from a hundredth of it. Write it in fractions.")),
    Case("spreads in percent where fractions belong", every(spread_30_sample_avg="0.1", spread_volatility_stddev="0.02"), Refused("scan.csv, column 'spread_30_sample_avg': seems to be in percent: in 40 of 40 rows it is a hundred times the difference of the prices. Write it in fractions.")),
    Case("spreads as fractions where percent belong", every(price_spread_24h_avg="0.001", price_spread_3d_avg="0.001"), Refused("scan.csv, column 'price_spread_24h_avg': seems to be in fractions: in 40 of 40 rows it is about the difference of the prices itself. Write it in percent.")),
    Case("one spread in percent", one(spread_30_sample_avg="0.1"), Kept(check=as_plain, says="one row alone proves nothing")),
    Case("an interval of 0", one(long_funding_interval_hours="0"), INTERVAL),
    Case("an interval of 3", one(long_funding_interval_hours="3"), INTERVAL),
    Case("an interval of 24", one(long_funding_interval_hours="24"), INTERVAL),
    Case("intervals of 24 in every row", every(long_funding_interval_hours="24"), all_bad("long_funding_interval_hours", "interval_not_allowed", "24")),
    Case("an interval written 8.0", every(long_funding_interval_hours="8.0"), PLAIN),
    Case("an interval written 8h", one(long_funding_interval_hours="8h"), AS_NUMBER),
    Case("an APR that does not follow from its profit", one(fund_apr="5"), Kept(quarantined=1, rules=("apr_disagrees",))),
)  # fmt: skip


def _nulls(outcome, count: int) -> None:
    as_plain(outcome)
    assert int(outcome.table()["volume_24h"].isna().sum()) == count
