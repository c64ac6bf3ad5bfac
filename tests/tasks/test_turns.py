"""One retrain of a book runs, at most one waits, any further one is turned away."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from schemas.errors import ConfigError
from tasks.locks import owner, try_lock, unlock
from tasks.turns import RUNNING, TurnedAway, retrain_turn

HOLDER = """
import sys, time
from pathlib import Path
from tasks.turns import retrain_turn
said = Path(sys.argv[2])
wait = lambda who: said.write_text(f"waits for {who}")
with retrain_turn(Path(sys.argv[1]), "b", purpose=said.name, on_wait=wait):
    said.with_suffix(".running").touch()
    time.sleep(60)
"""


def test_a_second_waits_and_a_third_is_turned_away_by_a_name_that_says_since_when(
    tmp_path, start, wait_for
) -> None:
    first = start(HOLDER, tmp_path, tmp_path / "first")
    wait_for(tmp_path / "first.running")
    start(HOLDER, tmp_path, tmp_path / "second")
    wait_for(tmp_path / "second")
    running = owner(tmp_path / "books" / "b" / "locks" / RUNNING)
    assert running is not None and running.pid == first.pid
    with pytest.raises(TurnedAway) as told, retrain_turn(tmp_path, "b"):
        pass
    assert told.value.title == f"Skipped: a retrain is running since {running.since[11:16]}"
    assert f"process {first.pid}" in str(told.value)
    assert not (tmp_path / "second.running").exists()

    first.send_signal(signal.SIGKILL)
    wait_for(tmp_path / "second.running")
    third = start(HOLDER, tmp_path, tmp_path / "third")  # the waiting room is empty again
    wait_for(tmp_path / "third")
    assert third.poll() is None


def test_another_book_has_a_turn_of_its_own(tmp_path: Path) -> None:
    with retrain_turn(tmp_path, "a"), retrain_turn(tmp_path, "b"):
        pass


def test_after_it_the_turn_is_free_also_if_it_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), retrain_turn(tmp_path, "b"):
        raise ZeroDivisionError
    handle = try_lock(tmp_path / "books" / "b" / "locks" / RUNNING)
    assert handle is not None
    unlock(handle)


def test_a_book_that_would_leave_the_root_has_no_turn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a book"), retrain_turn(tmp_path, "../b"):
        pass
