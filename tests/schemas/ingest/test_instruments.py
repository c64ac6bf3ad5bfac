"""Contracts that count a coin in thousands become one coin before any rule looks at them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from schemas.columns import COLUMNS
from schemas.errors import DataError
from schemas.ingest.instruments import apply_instruments, load_instruments, read_instruments

HEADER = "exchange,symbol,canonical_symbol,multiplier\n"
TABLE = HEADER + "Binance,1000PEPE,PEPE,1000\nhyperliquid,1000PEPE,PEPE,1\nhyperliquid,kPEPE,PEPE,1000\n"


@pytest.fixture
def table(tmp_path: Path):
    """Write a table of instruments and read it."""

    def make(text: str = TABLE):
        (tmp_path / "instruments.csv").write_text(text)
        return read_instruments(tmp_path / "instruments.csv")

    return make


def opportunities(*rows: tuple[str, str, str, float, float], spread: float | None = 0.001) -> pd.DataFrame:
    found = pd.DataFrame(
        [
            dict(zip(("symbol", "long_exchange", "short_exchange"), row[:3], strict=True))
            | {"entry_long_price": row[3], "entry_short_price": row[4]}
            for row in rows
        ],
        index=range(5, 5 + len(rows)),
    )
    for name in ("spread_30_sample_avg", "spread_volatility_stddev", "price_spread_24h_avg"):
        found[name] = spread
    found["price_spread_3d_avg"] = float("nan")
    found["volume_24h"] = 7e6
    return found


def test_each_leg_has_its_own_multiplier_and_both_one_symbol(table) -> None:
    frame = opportunities(
        ("1000PEPE", "binance", "hyperliquid", 0.0104, 0.0000121),
        ("kPEPE", "hyperliquid", "hyperliquid", 0.012, 0.013),
        ("BTC", "binance", "hyperliquid", 1e5, 1e5),
    )
    before = frame.copy()
    mapped = apply_instruments(frame, "opportunities", table())
    assert mapped.frame["symbol"].tolist() == ["PEPE", "PEPE", "BTC"]
    assert mapped.frame["entry_long_price"].tolist() == [0.0104 / 1000, 0.012 / 1000, 1e5]
    assert mapped.frame["entry_short_price"].tolist() == [0.0000121, 0.013 / 1000, 1e5]
    assert mapped.frame["volume_24h"].tolist() == [7e6] * 3
    assert mapped.frame.index.tolist() == [5, 6, 7]
    pd.testing.assert_frame_equal(frame, before)
    assert mapped.counts == {
        "binance 1000PEPE as PEPE / 1000": 1,
        "hyperliquid 1000PEPE as PEPE / 1": 1,
        "hyperliquid kPEPE as PEPE / 1000": 2,
        "spreads_of_unlike_prices_dropped": 1,
    }


def test_spreads_of_unlike_prices_are_dropped_and_those_of_like_prices_stay(table) -> None:
    unlike, like = (
        ("1000PEPE", "binance", "hyperliquid", 1.0, 0.001),
        ("kPEPE", *["hyperliquid"] * 2, 1.0, 1.0),
    )
    mapped = apply_instruments(opportunities(unlike, like, spread=-1.998), "opportunities", table())
    assert mapped.frame["spread_30_sample_avg"].isna().tolist() == [True, False]
    assert mapped.frame["price_spread_24h_avg"].isna().tolist() == [True, False]
    assert mapped.counts["spreads_of_unlike_prices_dropped"] == 1
    empty = apply_instruments(opportunities(unlike, spread=None), "opportunities", table())
    assert empty.counts["spreads_of_unlike_prices_dropped"] == 0, "there was nothing to drop"


def test_a_leg_without_an_entry_is_in_units_of_one_coin_already(table) -> None:
    units = table(HEADER + "hyperliquid,PEPE,PEPE,1000\n")
    frame = opportunities(("PEPE", "binance", "hyperliquid", 0.00001, 0.0101))
    mapped = apply_instruments(frame, "opportunities", units)
    assert mapped.frame["entry_long_price"].tolist() == [0.00001]
    assert mapped.frame["entry_short_price"].tolist() == [0.0101 / 1000]


def test_a_history_is_put_into_units_by_exchange_and_symbol(table) -> None:
    frame = pd.DataFrame(
        {
            "exchange": ["hyperliquid", "binance", "hyperliquid"],
            "symbol": ["kPEPE", "1000PEPE", "BTC"],
            "price": [0.012, 0.013, 1e5],
            "high": [0.02, None, 2e5],
            "low": [0.01, 0.011, 9e4],
            "funding_rate": [0.001, 0.002, 0.003],
        }
    )
    mapped = apply_instruments(frame, "history", table())
    assert mapped.frame["symbol"].tolist() == ["PEPE", "PEPE", "BTC"]
    for name in ("price", "high", "low"):
        assert mapped.frame[name].tolist() == pytest.approx(
            [frame[name][0] / 1000, frame[name][1] / 1000, frame[name][2]], nan_ok=True, rel=1e-15
        )
    assert mapped.frame["funding_rate"].tolist() == frame["funding_rate"].tolist()
    assert mapped.counts["hyperliquid 1000PEPE as PEPE / 1"] == 0


@pytest.mark.parametrize("name", ["opportunities", "history"])
def test_no_rows_and_rows_it_says_nothing_of_stay_as_they_are(table, workshop, name) -> None:
    frame = pd.DataFrame({column.name: [] for column in COLUMNS[name]})
    assert apply_instruments(frame, name, table()).frame.empty
    if name == "opportunities":
        other = opportunities(("ETH", "a", "b", 1.0, 2.0))
        pd.testing.assert_frame_equal(apply_instruments(other, name, table()).frame, other)


def test_rows_can_be_given_in_any_pieces(table) -> None:
    rows = [("1000PEPE", "binance", "hyperliquid", 0.01 * n, 0.00001 * n) for n in range(1, 8)]
    frame, units = opportunities(*rows), table()
    whole = apply_instruments(frame, "opportunities", units)
    parts = [apply_instruments(frame.iloc[a:b], "opportunities", units) for a, b in ((0, 2), (2, 3), (3, 7))]
    pd.testing.assert_frame_equal(pd.concat([part.frame for part in parts]), whole.frame)
    assert {name: sum(part.counts[name] for part in parts) for name in whole.counts} == whole.counts


def test_a_symbol_met_on_an_exchange_the_table_does_not_name_is_refused_with_the_line_to_add(table) -> None:
    frame = opportunities(("1000PEPE", "binance", "bybit", 0.012, 0.012))
    with pytest.raises(DataError) as told:
        apply_instruments(frame, "opportunities", table())
    assert "nothing of 1000PEPE of bybit" in told.value.what
    assert told.value.remedy == "Add a line bybit,1000PEPE,PEPE,<multiplier>."


REFUSED = {
    "no line": (HEADER, "it has no line below its header"),
    "an empty file": ("", "does not begin with the columns of instruments but with ''"),
    "a column missing": ("exchange,symbol,multiplier\nx,y,1\n", "with 'exchange,symbol,multiplier'"),
    "a column too many": (HEADER.replace("\n", ",note\n") + "x,y,z,1,n\n", "does not begin with the columns"),
    "semicolons": (HEADER.replace(",", ";") + "x;y;z;1\n", "does not begin with the columns"),
    "a field missing": (HEADER + "x,y,z\n", "row 2: needs a value in each of its four columns"),
    "a field too many": (HEADER + "x,y,z,1,2\n", "row 2: needs a value in each of its four columns"),
    "an empty value": (HEADER + "x,,z,1\n", "row 2: needs a value in each"),
    "no number": (HEADER + "a,b,c,1\nx,y,z,k\n", "row 3: has the multiplier 'k'"),
    "zero": (HEADER + "x,y,z,0\n", "has the multiplier '0'"),
    "a negative one": (HEADER + "x,y,z,-1000\n", "has the multiplier '-1000'"),
    "infinity": (HEADER + "x,y,z,inf\n", "has the multiplier 'inf'"),
    "nan": (HEADER + "x,y,z,nan\n", "has the multiplier 'nan'"),
    "two multipliers for one": (
        HEADER + "x,1000A,A,1000\nX,1000A,A,100\n",
        "row 2 has x 1000A as A / 1000, row 3 has x 1000A as A / 100; one of them is wrong",
    ),
    "two coins for one": (HEADER + "x,A,B,1\nx,A,C,1\n", "one of them is wrong"),
    "two coins for one symbol": (HEADER + "x,1000A,A,1000\ny,1000A,B,1000\n", "so it means one coin"),
    "two units on one exchange": (HEADER + "x,1000A,A,1000\nx,kA,A,100\n", "counts a coin in one way"),
    "a chain": (HEADER + "x,1000A,A,1000\ny,A,B,1\n", "a canonical symbol cannot stand for another"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_that_is_wrong_or_contradicts_itself_is_refused_in_words(table, case) -> None:
    text, words = REFUSED[case]
    with pytest.raises(DataError) as told:
        table(text)
    assert words in str(told.value)
    assert "instruments.csv" in told.value.where and told.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("canonical_symbol", "Base").replace("exchange", "Exchange"),
        "symbol,multiplier,exchange,canonicalSymbol\n1000PEPE,1e3,BINANCE,PEPE\n\n",
        TABLE + "binance,1000PEPE,PEPE,1000.0\n",
    ],
)
def test_harmless_ways_of_writing_it_are_read(table, text) -> None:
    first = table(text).entries[0]
    assert (first.exchange, first.symbol, first.canonical) == ("binance", "1000PEPE", "PEPE")
    assert first.multiplier == 1000.0


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        load_instruments(tmp_path, tmp_path / "nowhere.csv")
    (tmp_path / "instruments.csv").write_bytes(b"\xff\xfee")
    with pytest.raises(DataError, match="is not UTF-8"):
        load_instruments(tmp_path)


def test_the_folder_of_the_data_brings_its_table_and_a_file_does_not(tmp_path: Path) -> None:
    assert load_instruments(tmp_path) is None
    (tmp_path / "instruments.csv").write_text(TABLE)
    (tmp_path / "other.csv").write_text(HEADER + "x,y,z,10\n")
    found = load_instruments(tmp_path)
    assert found is not None and len(found.entries) == 3
    assert load_instruments(tmp_path / "opportunities.csv") is None
    asked = load_instruments(tmp_path, tmp_path / "other.csv")
    assert asked is not None and asked.entries[0].multiplier == 10


def test_rows_ten_to_the_n_apart_pass_the_rules_once_mapped_and_are_counted(workshop) -> None:
    pair = {"symbol": "1000PEPE", "short_exchange": "Hyperliquid"}
    prices = {"entry_long_price": 0.012, "entry_short_price": 0.0000121}
    rows = [workshop.opportunity(n, **pair, **prices) for n in range(4)]
    past = [
        workshop.settlement(n, exchange=venue, symbol=symbol, price=0.012, high=0.013, low=0.011)
        for n in range(4)
        for venue, symbol in (("Binance", "1000PEPE"), ("Hyperliquid", "kPEPE"))
    ]
    rows.append(workshop.opportunity(1))
    without = workshop.build_rows(rows, past)
    assert without.quality["opportunities"]["rules"]["contract_multiplier"]["rows"] == 4

    table = workshop.write("instruments.csv", TABLE)
    built = workshop.build_rows(rows, past, instruments=read_instruments(table))
    assert built.summary.quarantined == 0
    opportunities = built.table("opportunities")
    assert opportunities["symbol"].value_counts().to_dict() == {"PEPE": 4, "ABCUSDT": 1}
    history = built.table("history")
    assert set(zip(history["exchange"], history["symbol"], strict=True)) == {
        ("binance", "PEPE"),
        ("hyperliquid", "PEPE"),
    }
    assert history["high"].unique().tolist() == [0.013 / 1000]
    counts = built.quality["opportunities"]["counts"]
    assert counts["binance 1000PEPE as PEPE / 1000"] == 4
    assert counts["spreads_of_unlike_prices_dropped"] == 4
    assert built.quality["history"]["counts"]["hyperliquid kPEPE as PEPE / 1000"] == 4


def test_the_table_in_a_folder_is_no_table_of_opportunities(workshop) -> None:
    from schemas.ingest import discover

    workshop.write("data/opportunities.csv", [workshop.opportunity(0)])
    workshop.write("data/instruments.csv", TABLE)
    assert [file.name for file in discover(workshop.root / "data").files] == ["opportunities.csv"]
