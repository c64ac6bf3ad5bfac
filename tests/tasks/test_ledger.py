"""What was written down stays, whole and in order."""

from __future__ import annotations

import logging
import signal
import time

import pytest

from schemas.errors import ArtifactError, ConfigError
from tasks.ledger import Ledger


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path, "sample")


def test_lines_come_back_in_order_with_time_and_user(ledger):
    assert ledger.read() == []
    written = [
        ledger.append("trial", recipe="ab", seed=3),
        ledger.append("opening", window=("a", "b"), result={"sharpe": float("nan")}),
    ]
    assert ledger.read() == written
    assert [line["kind"] for line in written] == ["trial", "opening"]
    assert written[0]["book"] == "sample"
    assert written[0]["user"]
    assert written[0]["time"] <= written[1]["time"]
    assert (written[1]["window"], written[1]["result"]) == (["a", "b"], {"sharpe": None})
    assert ledger.read("trial") == written[:1]


def test_what_was_written_is_never_rewritten(ledger):
    ledger.append("trial", n=1)
    before, inode = ledger.path.read_bytes(), ledger.path.stat().st_ino
    ledger.append("trial", text="line\nbreak")
    assert ledger.path.read_bytes().startswith(before)
    assert ledger.path.stat().st_ino == inode
    assert len(ledger.path.read_bytes().splitlines()) == 2


@pytest.mark.parametrize("torn", [b"{", b'{"kind":"trial","n":2', b'{"kind":"trial","n":2}', b"\xff\x00"])
def test_a_line_torn_by_a_kill_is_tolerated_and_repaired(ledger, caplog, torn):
    first = ledger.append("trial", n=1)
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + torn)
    assert ledger.read() == [first]
    with caplog.at_level(logging.WARNING, "carryflow"):
        second = ledger.append("trial", n=3)
    assert "never finished" in caplog.text
    assert ledger.read() == [first, second]
    assert ledger.path.read_bytes().startswith(whole + b"{")


def test_a_torn_first_line_is_repaired(ledger):
    ledger.append("trial", n=1)
    ledger.path.write_bytes(ledger.path.read_bytes()[:7])
    assert ledger.read() == []
    second = ledger.append("trial", n=2)
    assert ledger.read() == [second]


@pytest.mark.parametrize("line", [b"edited", b"[]", b""])
def test_an_edited_line_is_not_passed_over(ledger, line):
    for n in range(3):
        ledger.append("trial", n=n)
    lines = ledger.path.read_bytes().splitlines()
    lines[1] = line
    ledger.path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(ArtifactError, match="line 2: is not a ledger's line"):
        ledger.read()


def test_stamps_cannot_be_forged(ledger):
    with pytest.raises(ValueError, match="'time' is filled in"):
        ledger.append("trial", time="yesterday")
    assert not ledger.path.exists()


def test_a_book_needs_a_proper_name(tmp_path):
    with pytest.raises(ConfigError):
        Ledger(tmp_path, "no/book")


WRITER = """
import sys
from pathlib import Path
from tasks.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), "sample")
for n in range(int(sys.argv[3])):
    ledger.append("trial", writer=sys.argv[2], n=n, text="x" * 5000)
"""


def test_lines_of_writers_at_once_do_not_mix(ledger, tmp_path, start, output):
    writers = [start(WRITER, tmp_path, name, 15) for name in "ab"]
    for writer in writers:
        output(writer)
    lines = ledger.read()
    for name in "ab":
        assert [line["n"] for line in lines if line["writer"] == name] == list(range(15))


def test_a_writer_killed_at_work_leaves_a_ledger_that_goes_on(ledger, tmp_path, start, wait_for):
    writer = start(WRITER, tmp_path, "a", 10**6)
    wait_for(ledger.path)
    time.sleep(0.05)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    before = ledger.read()
    assert [line["n"] for line in before] == list(range(len(before)))
    assert ledger.read() == before
    after = ledger.append("opening", n=-1)
    assert ledger.read() == [*before, after]
