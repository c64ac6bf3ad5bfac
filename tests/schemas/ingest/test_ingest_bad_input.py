import pytest

from schemas.errors import DataError
from schemas.ingest import build_dataset, discover


def refuse(workshop, path, history=None, **options):
    """Return the one sentence a data set is refused with; nothing may have been written."""
    out = workshop.root / "out"
    with pytest.raises(DataError) as caught:
        build_dataset(discover(path, history), out, **options)
    assert not out.exists()
    sentence = str(caught.value)
    assert path.name in sentence and "\n" not in sentence
    assert caught.value.remedy
    return sentence


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", "  \r\n"])
@pytest.mark.parametrize("name", ["o.csv", "o.csv.gz", "o.csv.zst"])
def test_an_empty_file_is_refused(workshop, name, content):
    assert "is empty" in refuse(workshop, workshop.write(name, content))


def test_a_header_without_rows_is_refused(workshop):
    header = workshop.to_csv([workshop.opportunity()]).split("\n")[0]
    for content in (header, header + "\n", f"{header}\n\n{',' * header.count(',')}\n"):
        assert "has a header and no rows" in refuse(workshop, workshop.write("o.csv", content))


def test_a_broken_byte_far_into_a_file_is_found_with_its_row(workshop):
    content = workshop.to_csv([workshop.opportunity(h) for h in range(500)]).encode()
    lines = content.split(b"\n")
    for broken, said in ((b"\xff", "0xff"), (b"\0", "zero bytes")):
        bad = b"\n".join([*lines[:450], lines[450].replace(b"ABC", b"A" + broken), *lines[451:]])
        sentence = refuse(workshop, workshop.write("o.csv", bad))
        assert said in sentence and "row 451" in sentence


@pytest.mark.parametrize("name", ["o.csv.gz", "o.csv.zst"])
def test_packed_files_that_are_cut_short_or_damaged_are_refused(workshop, name):
    content = workshop.to_csv([workshop.opportunity(h) for h in range(2000)])
    whole = workshop.write(name, content).read_bytes()
    assert "cut short" in refuse(workshop, workshop.write(name, whole[:-40]))
    assert "cut short" in refuse(workshop, workshop.write(name, whole[: len(whole) // 2]))
    assert "is not valid" in refuse(workshop, workshop.write(name, content.encode()))
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes(255 - b for b in whole[middle : middle + 64]) + whole[middle + 64 :]
    refuse(workshop, workshop.write(name, damaged))


def test_a_file_that_cannot_be_read_is_refused(workshop, monkeypatch):
    path = workshop.write("o.csv", [workshop.opportunity()])
    sources = discover(path)

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(DataError, match=r"o\.csv: cannot be read: Permission denied\. Check the file"):
        build_dataset(sources, workshop.root / "out")


def test_one_file_of_a_folder_with_unreadable_times_is_enough(workshop):
    workshop.write("in/a.csv", [workshop.opportunity(h) for h in range(100)])
    workshop.write("in/b.csv", [workshop.opportunity(entry_time="3 March")])
    with pytest.raises(DataError, match=r"b\.csv, column 'entry_time', row 2: has no readable time"):
        workshop.build(workshop.root / "in")


def test_more_bad_rows_than_allowed_are_refused_with_the_worst_rule_and_its_first_row(workshop):
    rows = [workshop.opportunity(h) for h in range(100)]
    rows[7]["volume_24h"] = "-3"
    for bad in (20, 21, 22, 23):
        rows[bad]["entry_long_price"] = "-5"
    assert workshop.build(workshop.write("ok.csv", rows)).summary.quarantined == 5  # exactly 5 %
    rows[24]["entry_long_price"] = "-6"
    sentence = refuse(workshop, workshop.write("o.csv", rows))
    assert "6 of 100 rows of opportunities break a rule (6.0%), more than the 0.05 allowed" in sentence
    assert "must be above 0 (5 rows, the first here with '-5')" in sentence
    assert "column 'entry_long_price', row 22" in sentence
    assert workshop.build(workshop.root / "o.csv", max_bad_fraction=0.06).summary.quarantined == 6


def test_a_table_of_bad_rows_alone_is_refused_whatever_is_allowed(workshop):
    rows = [workshop.opportunity(h, entry_long_price=-1) for h in range(3)]
    sentence = refuse(workshop, workshop.write("o.csv", rows), max_bad_fraction=1.0)
    assert "3 of 3 rows" in sentence and "none is left" in sentence


def test_a_bad_history_is_refused_too(workshop):
    data = workshop.write("o.csv", [workshop.opportunity()])
    history = workshop.write("h.csv", [workshop.settlement(h, price=2 - h) for h in range(5)])
    with pytest.raises(DataError, match=r"h\.csv, column 'price', row 4: 3 of 5 rows of history"):
        build_dataset(discover(data, history), workshop.root / "out")
    assert not (workshop.root / "out").exists()


def test_a_folder_with_something_in_it_is_never_written_over(workshop):
    data = workshop.write("in/o.csv", [workshop.opportunity()])
    with pytest.raises(ValueError, match="not empty"):
        build_dataset(discover(data), data.parent)
