import subprocess
import sys

import pytest

from schemas.columns import COLUMNS, classify, match_header, names


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[0].upper() + part[1:] for part in rest)


@pytest.mark.parametrize("table", ["opportunities", "history"])
@pytest.mark.parametrize(
    "spell", [camel, str.upper, lambda n: f" {n.replace('_', ' ')} ", lambda n: n.replace("_", "-")]
)
def test_every_column_is_known_in_any_spelling(table, spell):
    header = match_header([spell(name) for name in names(table)], table)
    assert list(header.found) == list(names(table))
    assert not header.extra and not header.missing


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("fundProfit8h24hProj", "fund_profit_24h_proj"),
        ("fund_profit_8h_3d_proj", "fund_profit_3d_proj"),
        ("fundApr24hProj", "fund_apr_24h_proj"),
        ("spread30SampleAvg", "spread_30_sample_avg"),
        ("priceSpread24hAvg", "price_spread_24h_avg"),
        ("orderbookDepthUsd", "orderbook_depth_usd"),
    ],
)
def test_scanner_names_mean_canonical_columns(written, canonical):
    assert match_header([written], "opportunities").found == {canonical: 0}


def test_unknown_columns_are_extra_and_nameless_ones_are_row_numbers():
    header = match_header(["", "entry_time", "subType", "Unnamed: 3"], "opportunities")
    assert header.extra == {"subType": 2}
    assert header.index == (0, 3)


def test_a_missing_column_is_named_with_what_resembles_it():
    written = [n if n != "long_funding_rate" else "long_fund_rate" for n in names("opportunities")]
    header = match_header(written, "opportunities")
    assert header.missing == ("long_funding_rate",)
    assert header.lookalike == {"long_funding_rate": "long_fund_rate"}


def test_nullable_columns_may_be_absent_and_the_others_may_not():
    absent = {c.name for c in COLUMNS["opportunities"] if not c.required}
    assert absent == {
        "spread_30_sample_avg", "spread_volatility_stddev", "price_spread_24h_avg", "price_spread_3d_avg",
        "volume_24h", "bid_ask_spread_percent", "orderbook_depth_usd", "estimated_profit_percentage",
        "position_cost_percent",
    }  # fmt: skip
    assert match_header([n for n in names("history") if n not in ("high", "low")], "history").missing == ()


def test_two_spellings_of_one_column_are_seen():
    header = match_header(["fund_apr", "fundApr"], "opportunities")
    assert header.repeated == {"fund_apr": ("fund_apr", "fundApr")}


def test_a_header_tells_its_table_also_with_a_column_missing():
    assert classify([camel(n) for n in names("opportunities")[1:]]) == "opportunities"
    assert classify([n for n in names("history") if n != "price"]) == "history"
    assert classify(["date", "note"]) is None


def test_importing_names_and_finding_files_loads_no_table_library():
    code = (
        "import sys, schemas.columns, schemas.ingest\n"
        "heavy = {'numpy', 'pandas', 'pandera', 'pyarrow', 'torch', 'prefect'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
