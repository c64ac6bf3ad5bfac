"""Which rows come in, on which line they stand, and that none is lost."""

import gzip

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.ingest import discover, fingerprints
from schemas.ingest.blocks import TextFile
from schemas.ingest.read import read_rows


def as_text(path):
    """Return a file's header, its rows as text, and the line each stands on."""
    sources = discover(path)
    file = TextFile(sources.opportunities[0], fingerprints(sources)[sources.opportunities[0]])
    head, [block] = file.head(), list(file.blocks())
    rows = read_rows(block.body, head.width, str(path))
    return head.header, rows.text, (rows.line + block.line).tolist()


def test_every_row_is_clean_quarantined_or_a_duplicate(workshop):
    rows = [workshop.opportunity(h) for h in range(20)]
    rows += [rows[3], rows[4], rows[3]]
    rows[6] = {**rows[6], "entry_long_price": "-1"}
    rows += [rows[6]]  # a bad row twice is bad twice
    built = workshop.build_rows(rows)
    quality = built.quality["opportunities"]
    assert (quality["rows_in"], quality["clean"], quality["quarantined"], quality["duplicates"]) == (
        24,
        19,
        2,
        3,
    )
    assert len(built.table("opportunities")) == 19


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.sampled_from(
                ["entry_time", "symbol", "entry_long_price", "volume_24h", "fund_apr", "short_exchange"]
            ),
            st.sampled_from(["", "1e9", "-1", "abc", "bybit", '"', "a,b", "2025-03-03", "inf", "\n"]),
        ),
        max_size=25,
    )
)
def test_no_row_vanishes_whatever_stands_in_it(workshop, changes):
    rows = [workshop.opportunity(h % 25) for h in range(31)]
    for row, column, value in changes:
        rows[row][column] = value
    content = workshop.to_csv(rows)
    built = workshop.build(workshop.write("o.csv", content), max_bad_fraction=0.999)
    quality = built.quality["opportunities"]
    lines = [line for line in content.splitlines()[1:] if line.strip(",")]
    assert quality["rows_in"] == len(lines)
    assert quality["rows_in"] == quality["clean"] + quality["quarantined"] + quality["duplicates"]
    assert len(built.table("opportunities")) == quality["clean"]


def test_a_quarantined_row_is_the_line_of_its_file(workshop):
    lines = workshop.to_csv([workshop.opportunity(h) for h in range(8)]).splitlines()
    lines[2] = lines[2].replace("ABCUSDT", "")  # line 3
    lines[4] = "2025-03-03,ABCUSDT"  # line 5: too few fields
    lines[5] = lines[5].replace("ABCUSDT", '"ABCUSDT')  # line 6: the quote would swallow line 7
    lines[7] = lines[7].replace("100.1", "7")  # line 8
    lines.insert(6, "")  # line 7 is blank, so the last is line 9
    built = workshop.build(workshop.write("o.csv", "\n".join(lines)), max_bad_fraction=0.9)
    found = built.quarantine[["row", "rule"]].to_records(index=False).tolist()
    assert found == [
        (3, "missing_value"),
        (5, "wrong_field_count"),
        (6, "quote_not_closed"),
        (9, "legs_apart"),
    ]
    assert built.quarantine["value"][1] == "2025-03-03,ABCUSDT"
    assert built.quality["opportunities"]["blank_lines"] == 1
    assert built.quality["opportunities"]["rows_in"] == 8


def test_rows_are_numbered_in_their_own_file(workshop):
    workshop.write("in/a.csv", [workshop.opportunity(h) for h in range(5)])
    workshop.write("in/b.csv", [workshop.opportunity(9), workshop.opportunity(8, symbol="")])
    built = workshop.build(workshop.root / "in", max_bad_fraction=0.5)
    assert built.quarantine[["file", "row"]].to_records(index=False).tolist() == [("b.csv", 3)]


def test_line_numbers_hold_far_into_a_large_file(workshop):
    lines = workshop.to_csv(
        [workshop.opportunity(0)] * 9000
    ).splitlines()  # over two megabytes: several blocks
    for at in (4000, 8000):
        lines[at] = "short,row"
    lines[8500] = lines[8500].replace("ABCUSDT", "")
    built = workshop.build(workshop.write("o.csv", "\n".join(lines)))
    assert built.quarantine["row"].tolist() == [4001, 8001, 8501]
    assert built.quality["opportunities"]["rows_in"] == 9000


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", ["o.csv", "o.csv.gz", "o.csv.zst", "o.csv.GZ"])
def test_packing_line_ends_and_byte_marks_change_nothing(workshop, name, mark, ending):
    rows = [workshop.opportunity(h) for h in range(4)]
    plain = as_text(workshop.write("plain.csv", rows))
    content = (mark + workshop.to_csv(rows).replace("\n", ending)).encode()
    if name.lower().endswith("gz"):
        content = gzip.compress(content)
    elif name.endswith("zst"):
        content = pa.compress(content, "zstd", asbytes=True)
    path = workshop.write(name, content)
    assert [file.path for file in discover(path).opportunities] == [path]
    packed = as_text(path)
    assert packed[1].equals(plain[1])
    assert packed[0] == plain[0]
    assert packed[2] == plain[2] == [2, 3, 4, 5]


def test_quoted_fields_are_read_as_their_content(workshop):
    header, line = workshop.to_csv([workshop.opportunity(0, note="x")]).splitlines()
    quoted = ",".join(f'"{value}"' for value in line.split(","))
    quoted = quoted[: quoted.rindex('"x"')] + '"a, ""b"""'
    built = workshop.build(workshop.write("o.csv", f"{header}\n{quoted}\n"))
    assert built.table("opportunities")["note"].tolist() == ['a, "b"']
    assert built.table("opportunities")["entry_long_price"].tolist() == [100.0]


def test_exact_duplicates_are_one_row_whatever_file_they_are_in_and_however_they_are_written(workshop):
    first, second, third = (workshop.opportunity(0, symbol=s) for s in ("A", "B", "C"))
    workshop.write("in/1.csv", [first, second, first])
    again = {**second, "long_funding_interval_hours": "8.0", "long_exchange": "BINANCE"}  # the same values
    workshop.write("in/2.csv", [third, again])
    built = workshop.build(workshop.root / "in")
    assert built.table("opportunities")["symbol"].tolist() == ["A", "B", "C"]
    assert built.quality["opportunities"]["duplicates"] == 2


def test_rows_that_differ_in_any_column_are_no_duplicates(workshop):
    rows = [
        workshop.opportunity(0),
        workshop.opportunity(0, volume_24h=4e6),
        workshop.opportunity(0, subType=2),
    ]
    assert workshop.build_rows(rows).summary.duplicates == 0


def test_row_numbers_written_by_a_tool_are_no_data(workshop):
    content = workshop.to_csv([workshop.opportunity(0)] * 3).splitlines()
    numbered = "\n".join(f"{i - 1 if i else ''},{line}" for i, line in enumerate(content))
    built = workshop.build(workshop.write("o.csv", numbered))
    assert built.summary.duplicates == 2
    assert built.quality["opportunities"]["dropped_columns"] == ["column 1"]


def test_extra_columns_are_carried_as_they_stand(workshop):
    rows = [workshop.opportunity(0, subType=" 01 "), workshop.opportunity(1, subType="")]
    built = workshop.build_rows(rows)
    table = built.table("opportunities")
    assert table["subType"][0] == " 01 " and table["subType"].isna()[1]
    assert built.quality["opportunities"]["extra_columns"] == ["subType"]


def test_columns_the_file_lacks_are_null_and_reported_with_what_resembles_them(workshop):
    row = workshop.opportunity(0, orderbook_depth="5")
    for name in ("orderbook_depth_usd", "volume_24h"):
        del row[name]
    built = workshop.build_rows([row])
    assert built.table("opportunities")[["orderbook_depth_usd", "volume_24h"]].isna().all(axis=None)
    assert built.quality["opportunities"]["absent_columns"] == {
        "orderbook_depth_usd": "orderbook_depth", "volume_24h": None
    }  # fmt: skip


def test_files_may_differ_in_spelling_and_column_order(workshop):
    row = workshop.opportunity(1)
    workshop.write("in/a.csv", [workshop.opportunity(0)])
    renamed = {
        ("fundApr24hProj" if k == "fund_apr_24h_proj" else k): row[k] for k in sorted(row, reverse=True)
    }
    workshop.write("in/b.csv", [renamed])
    table = workshop.build(workshop.root / "in").table("opportunities")
    assert table.drop(columns=["entry_time"]).nunique(dropna=False).max() == 1
    assert np.isfinite(table["fund_apr_24h_proj"]).all()
