"""The result depends on what the rows say: not on files, blocks, order of arrival, or earlier builds."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import DataError
from schemas.ingest import blocks as blocks_module
from schemas.ingest import build_dataset, discover, fingerprints
from schemas.ingest import files as files_module
from schemas.ingest import merge as merge_module

quickly = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def hashes(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def days(folder):
    return {name: sha256 for name, sha256 in hashes(folder).items() if "/" in name}


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few rows."""
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 8000)


def scanned(workshop, seed=0, hours=30):
    """Rows with all that arrival could decide: equal ones, several a time and an hour, nulls, bad ones."""
    dice, rows = random.Random(seed), []
    for hour in range(hours):
        for symbol in ("A", "B"):
            row = workshop.opportunity(hour + dice.choice([0, 0, 0.4]), symbol=symbol, volume_24h=hour)
            rows.append(row)
            if dice.random() < 0.3:
                rows.append(dict(row))
            if dice.random() < 0.3:
                rows.append({**row, "volume_24h": dice.choice(["", "7", "-0.0", "0"])})
            if dice.random() < 0.1:
                rows.append({**row, "note": dice.choice(["x", "y", " "])})
            if dice.random() < 0.1:
                rows.append({**row, "entry_long_price": dice.choice(["-1", "abc", ""])})
    return rows


def stamped(workshop, seed=0, hours=30):
    """A history in which several stamps mean one hour, and equal rows stand among them."""
    dice, rows = random.Random(seed), []
    for hour in range(hours):
        for late in dice.choice([[0], [0], [0.01, 0.03], [0.03, 0.01, 0.02]]):
            price = dice.choice([100, 101])
            rows.append(workshop.settlement(hour + late, price=price, high=price + hour, low=price - 1))
    return rows


@quickly
@given(st.data())
def test_rows_cut_into_files_at_random_and_named_at_random_give_the_same_days(workshop, small_blocks, data):
    rows = scanned(workshop, data.draw(st.integers(0, 9)))
    history = stamped(workshop, data.draw(st.integers(0, 9)))
    open_stamped = data.draw(st.booleans())
    whole = workshop.build_rows(rows, history, bars_open_stamped=open_stamped)
    folder = workshop.root / f"cut-{whole.folder.name}"
    dice = random.Random(data.draw(st.integers(0, 1000)))
    for table, content in (("o", rows), ("h", history)):
        mixed = dice.sample(content, len(content))
        cuts = sorted(dice.sample(range(1, len(mixed)), 4))
        for first, last in zip([0, *cuts], [*cuts, len(mixed)], strict=True):
            name = f"{table}{dice.random()}{dice.choice(['.csv', '.csv.gz', '.csv.zst'])}"
            workshop.write(f"{folder.name}/{name}", mixed[first:last])
    cut = workshop.build(folder, max_bad_fraction=0.99, bars_open_stamped=open_stamped)
    assert days(cut.folder) == days(whole.folder)
    for table in ("opportunities", "history"):
        same = ("rows_in", "clean", "duplicates", "quarantined", "symbols", "columns", "interval_changes")
        for name in (*same, "hours", "days", "counts"):
            assert cut.quality[table][name] == whole.quality[table][name]


@quickly
@given(st.data())
def test_a_file_that_grows_by_any_bytes_ends_as_if_it_had_always_been_whole(workshop, small_blocks, data):
    content = workshop.to_csv(scanned(workshop, data.draw(st.integers(0, 9)), hours=25)).encode()
    ending = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    content = content.replace(b"\n", ending)
    past = workshop.to_csv(stamped(workshop, data.draw(st.integers(0, 9)))).encode()
    name = data.draw(st.sampled_from(["o.csv", "o.csv.zst"]))
    memo = workshop.root / f"memo-{data.draw(st.uuids())}"
    starts = sorted(data.draw(st.lists(st.integers(1500, len(content)), max_size=3)))
    for size in [*starts, len(content)]:
        text = content[:size].decode()
        part = past[: max(len(past) * size // len(content), 300)]
        grown = workshop.build(
            workshop.write(name, text), workshop.write("h.csv", part),
            max_bad_fraction=0.99, memo=memo, bars_open_stamped=True,
        )  # fmt: skip
    once = workshop.build(
        workshop.root / name, workshop.root / "h.csv", max_bad_fraction=0.99, bars_open_stamped=True
    )
    assert hashes(grown.folder) == hashes(once.folder)


def test_only_the_lines_that_were_added_are_read_and_only_their_day_is_made(workshop, monkeypatch):
    read, made = [], []
    real_segment, real_day = files_module.make_segment, merge_module.write_day
    monkeypatch.setattr(
        files_module, "make_segment", lambda body, *args: read.append(body) or real_segment(body, *args)
    )
    monkeypatch.setattr(
        merge_module, "write_day", lambda rows, *args: made.append(rows) or real_day(rows, *args)
    )
    lines = workshop.to_csv([workshop.opportunity(h) for h in range(100)]).splitlines(keepends=True)
    memo = workshop.root / "memo"
    for size in (90, 91, 92):
        read.clear(), made.clear()
        workshop.build(workshop.write("in/o.csv", "".join(lines[:size])), memo=memo)
    assert read == [lines[91].encode()]
    assert len(made) == 1
    read.clear(), made.clear()
    workshop.write("in/p.csv", "".join([lines[0], lines[95]]))
    workshop.build(workshop.root / "in", memo=memo)
    assert read == [lines[95].encode()]
    read.clear(), made.clear()
    workshop.build(workshop.root / "in", memo=memo)
    assert not read and not made


def test_a_row_in_the_middle_of_being_written_is_read_again_when_it_is_whole(workshop):
    lines = workshop.to_csv([workshop.opportunity(h) for h in range(4)]).splitlines(keepends=True)
    memo, path = workshop.root / "memo", workshop.root / "o.csv"
    path.write_text("".join(lines[:4]) + lines[4][:30])
    built = workshop.build(path, memo=memo, max_bad_fraction=0.5)
    assert built.quarantine[["row", "rule"]].to_numpy().tolist() == [[5, "wrong_field_count"]]
    assert built.quality["opportunities"]["counts"]["last_line_without_an_end"] == 1
    path.write_text("".join(lines).rstrip("\n"))  # many tools leave the last line break out
    built = workshop.build(path, memo=memo)
    assert (built.summary.opportunity_rows, built.summary.quarantined) == (4, 0)
    assert built.quality["opportunities"]["counts"]["last_line_without_an_end"] == 1
    path.write_text("".join(lines))
    assert workshop.build(path, memo=memo).quality["opportunities"]["counts"]["last_line_without_an_end"] == 0


def test_a_file_that_was_replaced_or_edited_since_its_fingerprint_is_refused(workshop):
    memo, first = workshop.root / "memo", [workshop.opportunity(h) for h in range(30)]
    path = workshop.write("o.csv", first)
    workshop.build(path, memo=memo)
    sources = discover(path)
    known = fingerprints(sources)
    out = workshop.root / "out"
    for changed in (
        [*first[:10], *first[11:], first[10]],
        first[:20],
        [{**first[0], "symbol": "Z"}, *first[1:]],
    ):
        workshop.write("o.csv", changed)
        for folder in (memo, None):
            if folder is not None:
                for chain in (memo / "files").iterdir():  # else the rows are known by their hash
                    chain.unlink()
            with pytest.raises(DataError, match=r"o\.csv: changed while it was read\. Run again"):
                build_dataset(sources, out, known=known, memo=folder)
            assert not out.exists()


def test_what_is_appended_after_the_fingerprint_is_left_for_the_next_time(workshop):
    rows = [workshop.opportunity(h) for h in range(30)]
    path = workshop.write("o.csv", rows[:20])
    before = workshop.build(path)
    sources = discover(path)
    known = fingerprints(sources)
    workshop.write("o.csv", rows)
    build_dataset(sources, workshop.root / "out", known=known)
    assert hashes(workshop.root / "out") == hashes(before.folder)


def test_a_damaged_memo_is_noticed_and_read_anew(workshop, small_blocks):
    workshop.write("in/o.csv", scanned(workshop))
    workshop.write("in/h.csv", stamped(workshop))
    options = {"max_bad_fraction": 0.99, "bars_open_stamped": True}
    good = hashes(workshop.build(workshop.root / "in", **options).folder)
    memo, dice = workshop.root / "memo", random.Random(0)
    assert hashes(workshop.build(workshop.root / "in", memo=memo, **options).folder) == good
    for round in range(40):
        path = dice.choice(sorted(path for path in memo.rglob("*") if path.is_file()))
        content = bytearray(path.read_bytes())
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        if round % 3 == 0:
            del content[len(content) // 2 :]
        path.unlink()  # a day's file has a second name in a data set
        if round % 5:
            path.write_bytes(content)
        if round % 4 == 0:  # or the days would be found made and the fragments never asked for
            for day in (memo / "days").iterdir():
                day.unlink()
        assert hashes(workshop.build(workshop.root / "in", memo=memo, **options).folder) == good, path


def test_a_build_that_is_killed_leaves_a_memo_that_serves_the_next(workshop):
    path = workshop.write("in/o.csv", scanned(workshop, hours=250))
    once = hashes(workshop.build(path, max_bad_fraction=0.99).folder)
    memo = workshop.root / "memo"
    code = (
        "import sys; from pathlib import Path; from schemas.ingest import blocks, build_dataset, discover\n"
        "import schemas.ingest.merge, schemas.ingest.order, schemas.ingest.quality\n"
        "blocks.BLOCK_BYTES = 8000; print('ready', flush=True)\n"
        "data, out, memo = map(Path, sys.argv[1:])\n"
        "build_dataset(discover(data), out, max_bad_fraction=0.99, memo=memo)"
    )
    killed = 0
    for round in range(4):
        words = [sys.executable, "-c", code, str(path), str(workshop.root / f"out-{round}"), str(memo)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, env=os.environ)
        process.stdout.readline()
        while process.poll() is None:
            written = sum(1 for _ in (memo / "segments").glob("*.json")) if memo.exists() else 0
            if written > 6 * round:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert killed >= 2
    assert hashes(workshop.build(path, max_bad_fraction=0.99, memo=memo).folder) == once


def test_bars_wait_for_the_next_day_and_a_day_before_them_that_changes_moves_them_anew(workshop):
    hours = [20, 22, 23, 25, 26, 50]
    history = [workshop.settlement(h, high=200 + h, low=50 + h) for h in hours]
    memo, data = workshop.root / "memo", workshop.write("o.csv", [workshop.opportunity(0)])

    def highs(rows):
        workshop.write("h/1.csv", rows[:3])
        workshop.write("h/2.csv", rows[3:])  # its lines stay, so only what the day before hands on can tell
        built = workshop.build(data, workshop.root / "h", bars_open_stamped=True, memo=memo)
        return built.table("history")["high"].astype("Int64").tolist()

    assert highs(history) == [pd.NA, 220, 222, 223, 225, 226]
    changed = [{**row, "high": "999"} if i == 2 else row for i, row in enumerate(history)]
    assert highs(changed) == [pd.NA, 220, 222, 999, 225, 226]


def test_of_rows_of_one_time_the_one_that_says_more_is_last_wherever_it_stands(workshop):
    full, bare = workshop.opportunity(1), workshop.opportunity(1, volume_24h="", fund_apr_24h_proj="")
    for rows in ([full, bare], [bare, full]):
        built = workshop.build_rows(rows)
        assert built.table("opportunities")["volume_24h"].isna().tolist() == [True, False]
        assert built.quality["opportunities"]["counts"]["several_rows_for_one_time"] == 1


def test_of_stamps_that_mean_one_hour_the_newest_is_last(workshop):
    history = [
        workshop.settlement(1 + late, price=price) for late, price in [(0.03, 90), (0, 99), (0.01, 95)]
    ]
    for rows in (history, history[::-1]):
        built = workshop.build_rows([workshop.opportunity(0)], rows)
        assert built.table("history")["price"].tolist() == [99.0, 95.0, 90.0]
        assert built.quality["history"]["counts"]["several_rows_for_one_hour"] == 2


def test_rows_of_one_pair_within_an_hour_are_kept_and_counted(workshop):
    rows = [workshop.opportunity(h, volume_24h=h) for h in (1.0, 1.2, 1.7, 2.0, 2.1)]
    rows.append(workshop.opportunity(1.3, symbol="B"))
    built = workshop.build_rows(rows)
    assert built.summary.opportunity_rows == 6
    assert built.quality["opportunities"]["counts"]["several_rows_for_one_hour"] == 2
