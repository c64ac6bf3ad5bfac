import numpy as np
import pandas as pd
import pytest
from pandera.errors import SchemaErrors

from schemas.columns import COLUMNS
from schemas.ingest.clean import broken_rules
from schemas.tables import DTYPES, HISTORY, OPPORTUNITIES, ROW_RULES, RULES, SCHEMAS

BROKEN = [
    ("entry_time", "", "missing_value"),
    ("entry_time", "1999-01-01", "time_out_of_range"),
    ("entry_time", "2100-01-01", "time_out_of_range"),
    ("entry_time", "soon", "not_a_time"),
    ("symbol", "", "missing_value"),
    ("long_exchange", "null", "missing_value"),
    ("short_exchange", "", "missing_value"),
    ("entry_long_price", "0", "not_positive"),
    ("entry_long_price", "-100", "not_positive"),
    ("entry_short_price", "1e308", "price_out_of_range"),
    ("entry_short_price", "", "missing_value"),
    ("entry_short_price", "x", "not_a_number"),
    ("long_funding_rate", "0.0501", "rate_out_of_range"),
    ("short_funding_rate", "-0.06", "rate_out_of_range"),
    ("short_funding_rate", "inf", "rate_out_of_range"),
    ("short_funding_rate", "", "missing_value"),
    ("long_funding_interval_hours", "3", "interval_not_allowed"),
    ("long_funding_interval_hours", "0", "interval_not_allowed"),
    ("short_funding_interval_hours", "", "missing_value"),
    ("long_next_funding_time", "whenever", "not_a_time"),
    ("short_next_funding_time", "2200-01-01", "time_out_of_range"),
    ("long_next_funding_time", "2025-03-30T00:00:00Z", "settlement_too_far"),
    ("fund_profit_8h", "inf", "not_finite"),
    ("fund_apr", "95.0", "apr_disagrees"),
    ("fund_apr_24h_proj", "0.985", "apr_disagrees"),
    ("fund_apr_3d_proj", "-98.55", "apr_disagrees"),
    ("spread_30_sample_avg", "-inf", "not_finite"),
    ("spread_volatility_stddev", "-0.1", "negative"),
    ("volume_24h", "-1", "negative"),
    ("volume_24h", "many", "not_a_number"),
    ("bid_ask_spread_percent", "-0.01", "negative"),
    ("orderbook_depth_usd", "inf", "not_finite"),
    ("position_cost_percent", "inf", "not_finite"),
]
UNUSUAL = [
    {"short_funding_rate": 0.02},
    {"short_funding_rate": 0.05, "long_funding_rate": -0.05},
    {"long_funding_interval_hours": "8.0"},
    {"long_funding_interval_hours": 1},
    {"short_funding_interval_hours": 2},
    {"entry_short_price": 120.0},
    {"entry_long_price": 120.1, "entry_short_price": 100.1},
    {"fund_apr": "", "fund_profit_8h": "", "fund_apr_3d_proj": "-", "fund_profit_24h_proj": "null"},
    {"fund_profit_8h": "0.09", "fund_apr": "98.6"},
    {"fund_profit_8h": "-0.09", "fund_apr": "-98.55"},
    {"volume_24h": 0},
    {"entry_long_price": "1e-7", "entry_short_price": "1.01e-7"},
    {"long_exchange": "Bybit", "short_exchange": "Binance"},
]
APART = [(100.0, 120.1), (120.1, 100.0), (100.0, 200.0), (1.0, 1e9), (1.0, 12.1)]
OTHER_SIZE = [(0.0123, 12.31), (12.31, 0.0123), (100.0, 1000.0), (1.0, 0.0000012), (5.0, 5.9e6)]
BETWEEN_COLUMNS = ("apr_disagrees", "settlement_too_far")
BROKEN_HISTORY = [
    ({"timestamp": "soon"}, "timestamp", "not_a_time"),
    ({"timestamp": "1970-01-01"}, "timestamp", "time_out_of_range"),
    ({"exchange": ""}, "exchange", "missing_value"),
    ({"symbol": "nan"}, "symbol", "missing_value"),
    ({"price": 0}, "price", "not_positive"),
    ({"price": "inf"}, "price", "not_finite"),
    ({"price": "1e-16"}, "price", "price_out_of_range"),
    ({"funding_rate": 0.06}, "funding_rate", "rate_out_of_range"),
    ({"funding_interval_hours": 24}, "funding_interval_hours", "interval_not_allowed"),
    ({"funding_rate": 0.01, "funding_interval_hours": ""}, "funding_interval_hours", "interval_missing"),
    ({"high": 90, "low": 95}, "low", "low_above_high"),
    ({"low": -1}, "low", "not_positive"),
]


@pytest.fixture(scope="module")
def built(shared_workshop):
    """Build one data set that holds every case: bad rows first, from line 2 on, then good ones."""
    make = shared_workshop.opportunity
    rows = []
    for hour, (column, value, _) in enumerate(BROKEN):
        row = make(hour)
        row[column] = value  # profits stay as they were, so that only the rule under test is broken
        if column == "fund_profit_8h":
            row["fund_apr"] = ""
        rows.append(row)
    rows += [make(0, entry_long_price=long, entry_short_price=short) for long, short in APART]
    rows += [make(0, long_exchange="BINANCE", short_exchange=" binance")]
    rows += [make(0, entry_long_price=long, entry_short_price=short) for long, short in OTHER_SIZE]
    rows += [make(hour, symbol=f"ODD{hour}", **changes) for hour, changes in enumerate(UNUSUAL)]
    history = [
        shared_workshop.settlement(hour, **changes) for hour, (changes, *_) in enumerate(BROKEN_HISTORY)
    ]
    return shared_workshop.build_rows(rows, [*history, shared_workshop.settlement(99)])


def lines_at(built, table, row):
    quarantine = built.quarantine
    return quarantine[(quarantine["table"] == table) & (quarantine["row"] == row)].to_dict("records")


@pytest.mark.parametrize("case", range(len(BROKEN)), ids=[f"{c}={v}" for c, v, _ in BROKEN])
def test_a_value_that_breaks_a_rule_is_quarantined_with_its_row_column_rule_and_value(built, case):
    column, value, rule = BROKEN[case]
    (line,) = lines_at(built, "opportunities", case + 2)
    assert (line["file"], line["column"], line["rule"]) == ("opportunities.csv", column, rule)
    assert line["value"] == value or (rule in BETWEEN_COLUMNS and value in line["value"])


@pytest.mark.parametrize("case", range(len(UNUSUAL)), ids=map(str, UNUSUAL))
def test_real_but_unusual_values_are_kept(built, case):
    assert f"ODD{case}" in set(built.table("opportunities")["symbol"])


@pytest.mark.parametrize("case", range(len(APART)), ids=map(str, APART))
def test_legs_more_than_a_fifth_apart_are_quarantined_with_both_prices(built, case):
    (line,) = lines_at(built, "opportunities", len(BROKEN) + 2 + case)
    assert (line["column"], line["rule"]) == ("entry_short_price", "legs_apart")
    assert line["value"] == f"entry_long_price {APART[case][0]}, entry_short_price {APART[case][1]}"


def test_a_pair_on_one_exchange_is_quarantined_whatever_the_case(built):
    (line,) = lines_at(built, "opportunities", len(BROKEN) + 2 + len(APART))
    assert (line["column"], line["rule"]) == ("short_exchange", "same_exchange")


@pytest.mark.parametrize("case", range(len(OTHER_SIZE)), ids=map(str, OTHER_SIZE))
def test_legs_a_power_of_ten_apart_are_contracts_of_different_size(built, case):
    (line,) = lines_at(built, "opportunities", len(BROKEN) + len(APART) + 3 + case)
    assert (line["column"], line["rule"]) == ("entry_short_price", "contract_multiplier")
    assert "1000PEPE" in RULES["contract_multiplier"]


@pytest.mark.parametrize("case", range(len(BROKEN_HISTORY)), ids=[str(c[0]) for c in BROKEN_HISTORY])
def test_a_history_row_that_breaks_a_rule_is_quarantined(built, case):
    _, column, rule = BROKEN_HISTORY[case]
    (line,) = lines_at(built, "history", case + 2)
    assert (line["file"], line["column"], line["rule"]) == ("history.csv", column, rule)


def test_the_report_counts_each_rule_and_shows_what_broke_it(built):
    rules = built.quality["opportunities"]["rules"]
    for rule, facts in rules.items():
        same = built.quarantine.query("table == 'opportunities' and rule == @rule")
        assert facts["meaning"] == RULES[rule] and facts["rows"] == len(same)
        first = same.iloc[0]
        assert facts["examples"][0] == {key: first[key] for key in ("file", "row", "column", "value")}
    assert set(rules) == {rule for *_, rule in BROKEN} | {
        "legs_apart", "same_exchange", "contract_multiplier"
    }  # fmt: skip


def test_a_row_that_breaks_several_rules_is_listed_for_each_and_counted_once(workshop):
    bad = workshop.opportunity(1, entry_long_price=-1, volume_24h=-1, long_funding_interval_hours=3)
    built = workshop.build_rows([workshop.opportunity(0), bad])
    assert set(built.quarantine["rule"]) == {"not_positive", "negative", "interval_not_allowed"}
    assert built.summary.quarantined == 1


def test_a_history_needs_neither_a_rate_nor_an_interval_nor_a_bar_in_every_row(workshop):
    history = [
        workshop.settlement(1, funding_rate="", funding_interval_hours="", high="", low=""),
        workshop.settlement(2, high=101, low=""),
    ]
    built = workshop.build_rows([workshop.opportunity(0)], history)
    assert built.table("history")["funding_rate"].isna().all()
    for row in history:
        del row["high"], row["low"]
    assert workshop.build_rows([workshop.opportunity(0)], history).table("history")["high"].isna().all()


def test_clean_tables_hold_their_schemas_and_types(workshop):
    rows = [workshop.opportunity(h, long_next_funding_time="", subType=str(h)) for h in range(30)]
    built = workshop.build_rows(rows, [workshop.settlement(h) for h in range(30)])
    opportunities, history = built.table("opportunities"), built.table("history")
    OPPORTUNITIES.validate(opportunities)
    HISTORY.validate(history)
    assert str(opportunities["entry_time"].dtype) == str(history["timestamp"].dtype) == "datetime64[us, UTC]"
    assert set(opportunities["long_exchange"]) == {"binance"} and set(history["exchange"]) == {"binance"}
    assert opportunities["long_next_funding_time"].notna().all()
    assert pd.api.types.is_string_dtype(opportunities["subType"])


@pytest.mark.parametrize("table", ["opportunities", "history"])
def test_what_ingest_says_of_each_row_is_what_pandera_says(table):
    """One value in twenty is hostile, so that most rows break a rule or several and some none."""
    rng = np.random.default_rng(5)
    hostile = {
        "number": [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-16, 1e13, 0.06, 3.0, 8.0, 100.0, 1e5],
        "time": [None, "2009-12-31", "2100-01-01", "2025-03-05", "2025-03-30"],
        "symbol": [None, "", "x" * 101, "BTC"],
        "venue": [None, "binance", "bybit"],
    }
    columns = {}
    for column in COLUMNS[table]:
        number = {"fund_apr": 1095.0}.get(column.name.removesuffix("_24h_proj").removesuffix("_3d_proj"), 1.0)
        number = 0.01 if column.name.endswith("funding_rate") else number
        usual = {"number": number, "time": "2025-03-04", "symbol": "ETH", "venue": column.name}[column.kind]
        said = [usual if rng.random() < 0.95 else rng.choice(hostile[column.kind]) for _ in range(400)]
        if column.kind == "time":
            columns[column.name] = pd.Series(pd.to_datetime(said, utc=True)).astype(DTYPES["time"])
        else:
            columns[column.name] = pd.Series(said, dtype=DTYPES[column.kind])
    frame = pd.DataFrame(columns)
    mine = {(int(p), c, r) for p, c, r in broken_rules(frame, table).itertuples(index=False)}

    with pytest.raises(SchemaErrors) as told:
        SCHEMAS[table].validate(frame, lazy=True)
    theirs = set()
    for error in told.value.schema_errors:
        if error.check == "not_nullable":
            bad, rule = frame[error.schema.name].isna(), "missing_value"
        else:
            bad, rule = ~error.check_output.reindex(frame.index, fill_value=True), error.check.name
        column = ROW_RULES[rule][0] if rule in ROW_RULES else error.schema.name
        theirs |= {(int(position), column, rule) for position in frame.index[bad.to_numpy(dtype=bool)]}
    assert mine == theirs
    assert {rule for *_, rule in mine} >= {
        "missing_value",
        "not_finite",
        "time_out_of_range",
        "name_too_long",
    }
    assert len({position for position, *_ in mine}) < len(frame)


def test_a_column_of_another_type_is_the_parsers_fault_and_no_bad_value():
    frame = pd.DataFrame({column.name: pd.Series(dtype=DTYPES[column.kind]) for column in COLUMNS["history"]})
    assert broken_rules(frame, "history").empty
    frame["price"] = frame["price"].astype("int64")
    with pytest.raises(TypeError, match="the column 'price' is of int64"):
        broken_rules(frame, "history")
