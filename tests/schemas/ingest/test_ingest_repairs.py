import pandas as pd
import pytest


def seconds(us):
    return [t.isoformat().replace("+00:00", "Z") for t in us]


PASSED = [
    ("2025-03-03T16:00:00Z", 8, "2025-03-03T16:00:00Z", "2025-03-04T00:00:00Z"),  # at entry_time
    ("2025-03-03T16:00:00Z", 4, "2025-03-03T12:00:00Z", "2025-03-03T20:00:00Z"),  # before it
    ("2025-03-03T16:20:00Z", 1, "2025-03-03T16:00:00Z", "2025-03-03T17:00:00Z"),
    (
        "2025-03-03T16:00:00Z",
        1,
        "2025-03-03T16:00:00.001Z",
        "2025-03-03T17:00:00Z",
    ),  # a late stamp of 16:00
    ("2025-03-03T16:00:10Z", 2, "2025-03-03T16:01:30Z", "2025-03-03T18:00:00Z"),
    ("2025-03-03T23:59:59Z", 8, "1970-01-01", "2025-03-04T00:00:00Z"),
]
KEPT = "2025-03-04T08:00:00Z"


@pytest.fixture(scope="module")
def repaired(shared_workshop):
    rows = []
    for side, other in (("long", "short"), ("short", "long")):
        for case, (entry, interval, due, _) in enumerate(PASSED):
            changes = {f"{side}_funding_interval_hours": interval, f"{side}_next_funding_time": due}
            changes[f"{other}_next_funding_time"] = KEPT
            rows.append(shared_workshop.opportunity(0, entry_time=entry, symbol=f"{side}{case}", **changes))
    return shared_workshop.build_rows(rows)


@pytest.mark.parametrize("case", range(len(PASSED)), ids=[f"{e} {d}" for e, _, d, _ in PASSED])
@pytest.mark.parametrize("side", ["long", "short"])
def test_a_settlement_that_has_passed_moves_to_the_next_boundary(repaired, side, case):
    row = repaired.table("opportunities").set_index("symbol").loc[[f"{side}{case}"]]
    other = "short" if side == "long" else "long"
    assert seconds(row[f"{side}_next_funding_time"]) == [PASSED[case][-1]]
    assert seconds(row[f"{other}_next_funding_time"]) == [KEPT]


def test_repaired_settlements_are_counted_by_side(repaired):
    counts = repaired.quality["opportunities"]["counts"]
    assert counts["long_next_funding_time_repaired"] == len(PASSED)
    assert counts["short_next_funding_time_repaired"] == len(PASSED)


def test_a_settlement_ahead_stays_as_it_is_and_an_odd_one_is_counted(workshop):
    due = ["2025-03-03T08:00:00Z", "2025-03-03T06:00:00Z", "2025-03-03T08:00:30Z"]
    built = workshop.build_rows([workshop.opportunity(1, long_next_funding_time=d) for d in due])
    assert seconds(built.table("opportunities")["long_next_funding_time"]) == sorted(due)
    assert built.quality["opportunities"]["counts"]["long_next_funding_time_off_boundary"] == 1


def test_an_unknown_settlement_is_filled_in_and_counted_apart(workshop):
    built = workshop.build_rows([workshop.opportunity(5, short_next_funding_time="")])
    assert seconds(built.table("opportunities")["short_next_funding_time"]) == ["2025-03-03T08:00:00Z"]
    counts = built.quality["opportunities"]["counts"]
    assert counts["short_next_funding_time_filled"] == 1 and counts["short_next_funding_time_repaired"] == 0


def test_arrival_times_are_never_rounded(workshop):
    written = ["2025-03-03T10:00:00.000001Z", "2025-03-03T10:01:59.999999Z"]
    built = workshop.build_rows([workshop.opportunity(0, entry_time=t) for t in written])
    assert seconds(built.table("opportunities")["entry_time"]) == written


def test_history_stamps_up_to_two_minutes_past_an_hour_are_that_hour(workshop):
    stamps = ["10:00:00", "11:00:00.250", "12:02:00", "13:02:00.001", "13:59:59", "15:30:00"]
    history = [workshop.settlement(1, timestamp=f"2025-03-03T{stamp}Z") for stamp in stamps]
    built = workshop.build_rows([workshop.opportunity(0)], history)
    assert seconds(built.table("history")["timestamp"]) == [
        "2025-03-03T10:00:00Z", "2025-03-03T11:00:00Z", "2025-03-03T12:00:00Z", "2025-03-03T13:02:00.001000Z",
        "2025-03-03T13:59:59Z", "2025-03-03T15:30:00Z",
    ]  # fmt: skip
    assert built.quality["history"]["counts"]["timestamp_snapped"] == 2


def test_a_snapped_stamp_belongs_to_the_day_of_its_hour(workshop):
    history = [workshop.settlement(0, timestamp="2025-03-04T00:01:00Z")]
    built = workshop.build_rows([workshop.opportunity(0)], history)
    assert pd.read_parquet(built.folder / "history" / "2025-03-04.parquet")[
        "timestamp"
    ].dt.minute.tolist() == [0]


def test_two_prices_for_one_hour_are_kept_in_order_and_counted(workshop):
    history = [
        workshop.settlement(1, price=100),
        workshop.settlement(1, price=101),
        workshop.settlement(1, price=101),
    ]
    built = workshop.build_rows([workshop.opportunity(0)], history)
    assert built.table("history")["price"].tolist() == [100.0, 101.0]
    assert built.quality["history"]["counts"]["several_rows_for_one_hour"] == 1
    assert built.quality["history"]["duplicates"] == 1


def test_a_profit_that_does_not_follow_from_the_rates_is_kept_and_counted(workshop):
    row = workshop.opportunity(0)
    row["fund_profit_8h"], row["fund_apr"] = "0.2", "219"
    built = workshop.build_rows([row, workshop.opportunity(1)])
    assert built.quality["opportunities"]["counts"]["fund_profit_8h_disagrees_with_rates"] == 1
    assert built.summary.opportunity_rows == 2


def test_bars_stamped_at_their_open_move_to_the_row_that_ends_them(workshop):
    history = [
        workshop.settlement(h, symbol=symbol, price=100 + h, high=200 + h, low=50 + h)
        for h, symbol in [(8, "A"), (9, "A"), (8, "B"), (10, "A"), (15, "A")]
    ]
    data = [workshop.opportunity(0)]
    plain = workshop.build_rows(data, history).table("history")
    built = workshop.build_rows(data, history, bars_open_stamped=True)
    table = built.table("history")
    bars = table[["symbol", "timestamp", "high", "low"]].astype({"high": "Int64", "low": "Int64"})
    assert [(r.symbol, r.timestamp.hour, r.high, r.low) for r in bars.itertuples()] == [
        ("A", 8, pd.NA, pd.NA), ("B", 8, pd.NA, pd.NA), ("A", 9, 208, 58), ("A", 10, 209, 59),
        ("A", 15, 210, 60),
    ]  # fmt: skip
    same = ["timestamp", "exchange", "symbol", "price", "funding_rate", "funding_interval_hours"]
    assert table[same].equals(plain[same])
    counts = built.quality["history"]["counts"]
    assert (counts["bars_shifted"], counts["bars_shifted_over_a_gap"]) == (3, 1)
