import hashlib

import pytest

from schemas.errors import DataError
from schemas.ingest import discover, fingerprints, named_hashes


def test_a_folder_is_the_csv_files_directly_in_it_by_name(workshop):
    row = workshop.opportunity
    workshop.write("in/b.csv", [row(1)])
    workshop.write("in/a.csv.gz", [row(2)])
    workshop.write("in/c.csv.zst", [row(3)])
    workshop.write("in/deeper/d.csv", [row(4)])
    workshop.write("in/notes.txt", "not a table")
    workshop.write("in/._a.csv", b"\0\0")
    sources = discover(workshop.root / "in")
    assert [file.name for file in sources.opportunities] == ["a.csv.gz", "b.csv", "c.csv.zst"]
    assert sources.history == ()
    built = workshop.build(workshop.root / "in")
    assert [file.name for file in built.summary.files] == ["a.csv.gz", "b.csv", "c.csv.zst"]
    assert built.table("opportunities")["entry_time"].dt.hour.tolist() == [1, 2, 3]


def test_files_with_the_columns_of_a_history_serve_as_history_in_a_folder(workshop):
    workshop.write("in/a_prices.csv", [workshop.settlement(0)])
    workshop.write("in/z.csv", [workshop.opportunity(0)])
    workshop.write("in/m.csv.gz", [workshop.settlement(1)])
    built = workshop.build(workshop.root / "in")
    assert [(f.name, f.table) for f in built.summary.files] == [
        ("z.csv", "opportunities"), ("a_prices.csv", "history"), ("m.csv.gz", "history")
    ]  # fmt: skip
    assert built.summary.history_rows == 2


def test_a_single_file_brings_no_history(workshop):
    workshop.write("in/market_history.csv", [workshop.settlement(0)])
    data = workshop.write("in/opportunities.csv", [workshop.opportunity(0)])
    built = workshop.build(data)
    assert not built.summary.has_history
    assert not (built.folder / "history").exists()


@pytest.mark.parametrize("as_folder", [False, True])
def test_history_given_replaces_the_one_in_the_folder(workshop, as_folder):
    workshop.write("in/o.csv", [workshop.opportunity(0)])
    workshop.write("in/h.csv", [workshop.settlement(0)])
    other = workshop.write("other/h2.csv", [workshop.settlement(0), workshop.settlement(1)])
    workshop.write("other/more.csv", [workshop.opportunity(0)])
    built = workshop.build(workshop.root / "in", other.parent if as_folder else other)
    assert [f.name for f in built.summary.files if f.table == "history"] == ["h2.csv"]
    assert built.quality["unused_files"] == ["h.csv"]


def test_a_fingerprint_is_the_hash_of_the_bytes_on_disk(workshop):
    data = workshop.write("o.csv.gz", [workshop.opportunity(0)])
    history = workshop.write("h.csv", [workshop.settlement(0)])
    prints = named_hashes(fingerprints(discover(data, history)))
    assert prints == {
        "opportunities/o.csv.gz": hashlib.sha256(data.read_bytes()).hexdigest(),
        "history/h.csv": hashlib.sha256(history.read_bytes()).hexdigest(),
    }
    built = workshop.build(data, history)
    assert {f"{f.table}/{f.name}": f.sha256 for f in built.summary.files} == prints


def test_a_path_that_does_not_exist_is_named(workshop):
    with pytest.raises(DataError, match=r"nowhere\.csv: does not exist\. Check the path"):
        discover(workshop.root / "nowhere.csv")
    data = workshop.write("o.csv", [workshop.opportunity(0)])
    with pytest.raises(DataError, match=r"no_history\.csv: does not exist"):
        discover(data, workshop.root / "no_history.csv")


def test_a_folder_without_csv_files_is_refused(workshop):
    workshop.write("in/sub/o.csv", [workshop.opportunity(0)])
    with pytest.raises(DataError, match=r"in: holds no CSV file\. .*subfolders are not read"):
        discover(workshop.root / "in")


def test_a_folder_of_histories_alone_is_refused(workshop):
    workshop.write("in/h.csv", [workshop.settlement(0)])
    with pytest.raises(DataError, match="holds a market history and no opportunities"):
        discover(workshop.root / "in")


def test_a_history_folder_without_a_history_is_refused(workshop):
    data = workshop.write("in/o.csv", [workshop.opportunity(0)])
    with pytest.raises(DataError, match="no file with the columns of a market history"):
        discover(data, data.parent)


def test_tables_given_the_wrong_way_round_are_told_apart(workshop):
    data = workshop.write("o.csv", [workshop.opportunity(0)])
    history = workshop.write("h.csv", [workshop.settlement(0)])
    with pytest.raises(DataError, match=r"h\.csv: is a market history\. Give it with --history"):
        workshop.build(history)
    with pytest.raises(DataError, match=r"o\.csv: is a table of opportunities\. Give it with --data"):
        workshop.build(data, data)


def test_something_that_is_no_file_is_refused():
    from pathlib import Path

    with pytest.raises(DataError, match="neither a file nor a folder"):
        discover(Path("/dev/null"))
