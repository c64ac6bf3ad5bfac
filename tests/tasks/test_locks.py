"""Locks exclude, name their owner, and die with it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tasks.locks import LockBusy, hold, owner, try_lock, unlock

HOLDER = """
import sys, time
from pathlib import Path
from tasks.locks import hold
with hold(Path(sys.argv[1]), purpose="a test"):
    Path(sys.argv[2]).touch()
    time.sleep(60)
"""


def test_a_lock_excludes_another_process_and_names_it(tmp_path, start, wait_for):
    lock, ready = tmp_path / "a.lock", tmp_path / "ready"
    holder = start(HOLDER, lock, ready)
    wait_for(ready)
    found = owner(lock)
    assert found is not None
    assert (found.pid, found.purpose) == (holder.pid, "a test")
    with pytest.raises(LockBusy, match=f"process {holder.pid} .*a test"), hold(lock, timeout=0):
        pass


def test_a_lock_dies_with_its_process(tmp_path, start, wait_for):
    lock, ready = tmp_path / "a.lock", tmp_path / "ready"
    holder = start(HOLDER, lock, ready)
    wait_for(ready)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert lock.exists()  # nobody was left to remove it
    assert owner(lock) is None
    with hold(lock, timeout=0):
        pass


def test_a_forked_child_does_not_keep_its_parents_lock(tmp_path, start, wait_for):
    lock, ready = tmp_path / "a.lock", tmp_path / "ready"
    script = HOLDER.replace("    Path(sys", "    import os\n    child = os.fork()\n    Path(sys", 1)
    script = script.replace(".touch()", ".write_text(f'{child}\\n') if child else None", 1)
    holder = start(script, lock, ready)
    wait_for(ready)
    while not ready.read_text().endswith("\n"):  # there, and not yet written
        time.sleep(0.005)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    child = int(ready.read_text())
    try:
        os.kill(child, 0)  # it lives
        with hold(lock, timeout=5):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_threads_exclude_each_other_while_the_lock_comes_and_goes(tmp_path):
    lock, inside, most = tmp_path / "a.lock", [], []

    def work():
        for _ in range(20):
            with hold(lock):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (60, 1)


def test_a_released_lock_leaves_nothing_behind(tmp_path):
    lock = tmp_path / "deep" / "a.lock"
    with hold(lock):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert list(lock.parent.iterdir()) == []
    assert owner(lock) is None


def test_a_lock_on_a_file_that_was_just_removed_guards_nothing_and_is_not_taken(tmp_path, monkeypatch):
    lock, real = tmp_path / "a.lock", fcntl.flock

    def release_between_opening_and_locking(handle, how):
        monkeypatch.setattr(fcntl, "flock", real)
        lock.unlink()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", release_between_opening_and_locking)
    handle = try_lock(lock)
    assert handle is not None
    assert try_lock(lock) is None
    unlock(handle)


def test_waiting_is_told_once_and_ends_with_the_holder(tmp_path):
    lock, told = tmp_path / "a.lock", []
    with hold(lock):
        waiter = threading.Thread(target=lambda: _enter(lock, told))
        waiter.start()
        time.sleep(0.2)
        assert [found.pid for found in told] == [os.getpid()]
    waiter.join(5)
    assert told[1:] == ["inside"]


def _enter(lock: Path, told: list) -> None:
    with hold(lock, on_wait=told.append):
        told.append("inside")
