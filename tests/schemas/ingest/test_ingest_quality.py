import os
from pathlib import Path

import pytest

from schemas.ingest.quality import QualityReport, TableQuality


def test_nulls_and_ranges_are_those_of_the_clean_rows(workshop):
    rows = [workshop.opportunity(h, volume_24h=v) for h, v in enumerate([5, "", 2, 9, "-1"])]
    columns = workshop.build_rows(rows).quality["opportunities"]["columns"]
    assert columns["volume_24h"] == {"nulls": 1, "min": 2.0, "max": 9.0}
    assert columns["bid_ask_spread_percent"] == {"nulls": 4, "min": None, "max": None}
    assert columns["entry_time"] == {"nulls": 0, "min": "2025-03-03T00:00:00Z", "max": "2025-03-03T03:00:00Z"}
    assert columns["symbol"]["min"] == "ABCUSDT"


def test_hours_without_rows_are_counted_and_the_longest_gaps_listed(workshop):
    # Rows after 01:00 are first known at 02:00, so 00:00, 02:00, 05:00 and 11:00 have rows.
    quality = workshop.build_rows([workshop.opportunity(h) for h in (0, 1.2, 2, 5, 10.5)]).quality[
        "opportunities"
    ]
    assert (quality["hours"], quality["hours_without_rows"]) == (12, 8)
    assert quality["gaps"] == [
        {"first": "2025-03-03T06:00:00Z", "last": "2025-03-03T10:00:00Z", "hours": 5},
        {"first": "2025-03-03T03:00:00Z", "last": "2025-03-03T04:00:00Z", "hours": 2},
        {"first": "2025-03-03T01:00:00Z", "last": "2025-03-03T01:00:00Z", "hours": 1},
    ]


def test_coverage_counts_days_venues_on_either_side_and_symbols(workshop):
    rows = [
        workshop.opportunity(0), workshop.opportunity(1, symbol="XYZ", short_exchange="OKX"),
        workshop.opportunity(30, long_exchange="bybit", short_exchange="binance"),
    ]  # fmt: skip
    built = workshop.build_rows(rows, [workshop.settlement(0), workshop.settlement(1, exchange="OKX")])
    quality = built.quality["opportunities"]
    assert quality["days"] == {"2025-03-03": 2, "2025-03-04": 1}
    assert quality["venues"] == {"binance": 3, "bybit": 2, "okx": 1}
    assert quality["symbols"] == {"ABCUSDT": 2, "XYZ": 1}
    assert built.quality["history"]["venues"] == {"binance": 1, "okx": 1}


def test_interval_changes_are_found_per_instrument_on_either_side(workshop):
    rows = [
        workshop.opportunity(0, long_funding_interval_hours=8),
        workshop.opportunity(9, long_funding_interval_hours=8),
        # The same instrument as the other leg, and out of order in the file.
        workshop.opportunity(5, long_exchange="bybit", short_exchange="binance",
                             long_funding_interval_hours=4, short_funding_interval_hours=4),
    ]  # fmt: skip
    built = workshop.build_rows(
        rows, [workshop.settlement(0), workshop.settlement(8, funding_interval_hours=1)]
    )
    assert built.quality["opportunities"]["interval_changes"] == {"binance ABCUSDT": "8 -> 4 -> 8"}
    assert built.quality["history"]["interval_changes"] == {"binance ABCUSDT": "8 -> 1"}


def test_examples_of_a_rule_are_few(workshop):
    rows = [workshop.opportunity(h, volume_24h=-h - 1) for h in range(9)] + [workshop.opportunity(10)]
    rule = workshop.build_rows(rows).quality["opportunities"]["rules"]["negative"]
    assert rule["rows"] == 9
    assert [example["row"] for example in rule["examples"]] == [2, 3, 4]


def test_a_report_that_loses_rows_cannot_be_made(workshop):
    built = workshop.build_rows([workshop.opportunity(h) for h in range(3)])
    fields = built.quality["opportunities"]
    assert TableQuality.model_validate(fields).clean == 3
    with pytest.raises(ValueError, match="4 rows came in, but 3 clean"):
        TableQuality.model_validate({**fields, "rows_in": 4})


def test_the_report_on_disk_is_the_report(workshop):
    built = workshop.build_rows([workshop.opportunity(0)])
    assert QualityReport.model_validate(built.quality).history is None


REAL = os.environ.get("CARRYFLOW_REAL_DATA", "")
needs_real_data = pytest.mark.skipif(
    not REAL, reason="CARRYFLOW_REAL_DATA does not name a folder of real data"
)


@needs_real_data
def test_a_scanner_file_builds_with_its_oddities_counted(workshop):
    built = workshop.build(Path(REAL) / "scanner_sample" / "opportunities.csv")
    quality = built.quality["opportunities"]
    assert (quality["rows_in"], quality["clean"]) == (88, 88)
    assert quality["counts"]["long_next_funding_time_repaired"] == 7
    assert quality["counts"]["short_next_funding_time_repaired"] == 7
    assert quality["extra_columns"] == ["subType"]
    assert quality["columns"]["orderbook_depth_usd"]["nulls"] == 63
    assert quality["interval_changes"]["binance AIAUSDT"] == "4 -> 1"


@needs_real_data
@pytest.mark.parametrize("with_history", [False, True])
def test_86_days_of_real_data_build_whole(workshop, with_history):
    folder = Path(REAL) / "binance_hyperliquid_2025"
    built = workshop.build(folder if with_history else folder / "opportunities.csv.gz")
    assert built.summary.opportunity_rows == 126_268
    assert built.summary.history_rows == (126_268 if with_history else 0)
    assert len(built.summary.days) == 86
    assert built.quality["opportunities"]["hours_without_rows"] == 0
