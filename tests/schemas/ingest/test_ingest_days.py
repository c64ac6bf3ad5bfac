import hashlib

import pandas as pd

from schemas.ingest.days import read_day
from schemas.tables import HISTORY, OPPORTUNITIES


def hashes(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_files_give_the_same_bytes(workshop):
    workshop.write(
        "in/o.csv", [workshop.opportunity(h * 0.7, volume_24h=h, note=str(h % 3)) for h in range(90)]
    )
    workshop.write("in/h.csv", [workshop.settlement(h) for h in range(60)])
    first, second = (hashes(workshop.build(workshop.root / "in").folder) for _ in range(2))
    assert first == second
    assert set(first) == {
        "dataset.json", "quality.json", "quarantine.parquet",
        *(f"{table}/2025-03-0{day}.parquet" for table in ("opportunities", "history") for day in (3, 4, 5)),
    }  # fmt: skip


def test_the_bytes_of_a_day_do_not_depend_on_other_days(workshop):
    day = [workshop.opportunity(24 + h, symbol=f"S{h % 5}", volume_24h="" if h % 4 else h) for h in range(24)]
    alone = hashes(workshop.build_rows(day, [workshop.settlement(24 + h) for h in range(24)]).folder)
    earlier = [workshop.opportunity(h, symbol="ZZZ", volume_24h=1, only_then="x") for h in range(7)]
    later = [workshop.opportunity(60 + h, bid_ask_spread_percent=0.1) for h in range(9)]
    earlier[2]["symbol"] = ""
    workshop.write("in/a.csv", earlier + day)
    workshop.write("in/b.csv", later)
    workshop.write("in/h.csv", [workshop.settlement(h) for h in range(60)])
    among = hashes(workshop.build(workshop.root / "in", max_bad_fraction=0.2).folder)
    for name in ("opportunities/2025-03-04.parquet", "history/2025-03-04.parquet"):
        assert among[name] == alone[name]


def test_a_day_holds_its_rows_by_time_then_by_name(workshop):
    workshop.write("in/a.csv", [workshop.opportunity(h, symbol=f"A{h}") for h in (30, 2, 23.99, 1, 24)])
    workshop.write("in/b.csv", [workshop.opportunity(h, symbol=f"B{h}") for h in (2, 25)])
    built = workshop.build(workshop.root / "in")
    first, second = (read_day(built.folder, "opportunities", f"2025-03-0{day}")["symbol"] for day in (3, 4))
    assert first.tolist() == ["A1", "A2", "B2", "A23.99"]
    assert second.tolist() == ["A24", "B25", "A30"]
    assert built.summary.days == ("2025-03-03", "2025-03-04")


def test_a_day_file_knows_no_row_numbers_of_the_data_set(workshop):
    built = workshop.build_rows([workshop.opportunity(h) for h in range(30)])
    frame = pd.read_parquet(built.folder / "opportunities" / "2025-03-04.parquet")
    assert frame.index.tolist() == list(range(6))


def test_a_day_without_rows_reads_as_an_empty_table_of_the_right_types(workshop):
    built = workshop.build_rows([workshop.opportunity(0)])
    for table, schema in (("opportunities", OPPORTUNITIES), ("history", HISTORY)):
        empty = read_day(built.folder, table, "2025-03-09")
        assert empty.empty
        schema.validate(empty)
    full = read_day(built.folder, "opportunities", "2025-03-03")
    assert full.dtypes.equals(read_day(built.folder, "opportunities", "2025-03-09").dtypes)


def test_the_summary_covers_both_tables(workshop):
    built = workshop.build_rows(
        [workshop.opportunity(30)], [workshop.settlement(2), workshop.settlement(31), workshop.settlement(75)]
    )
    assert built.summary.days == ("2025-03-03", "2025-03-04", "2025-03-06")
    assert (built.summary.first, built.summary.last) == ("2025-03-04T06:00:00Z", "2025-03-04T06:00:00Z")
    assert (built.summary.history_first, built.summary.history_last) == (
        "2025-03-03T02:00:00Z", "2025-03-06T03:00:00Z"
    )  # fmt: skip
    text = (built.folder / "dataset.json").read_text()
    assert type(built.summary).model_validate_json(text) == built.summary
