"""Helpers for tests of the store and the books: a store in a temporary folder, and real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.store import Store

PROJECT = Path(__file__).resolve().parents[2]
Start = Callable[..., "subprocess.Popen[str]"]

# Runs `work()` in one forked child after another and kills each with SIGKILL just before a change of
# the disk, each before a later one, until one lives to the end; after each, `check()` must hold.
KILL_AT_EVERY_MOMENT = """
import os, signal, sys

CHANGES = {
    "open", "write", "pwrite", "flush", "fsync", "ftruncate", "flock", "close", "__exit__",
    "mkdir", "rmdir", "unlink", "rename", "replace", "utime",
}

def kill_at(moment):
    seen = 0
    def count(frame, event, function):
        nonlocal seen
        if event == "c_call" and function.__name__ in CHANGES:
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(count)

def every_moment(work, check):
    for moment in range(1, 1000):
        child = os.fork()
        if child == 0:
            kill_at(moment)
            try:
                work()
            finally:
                sys.setprofile(None)
                os._exit(0)
        _, status = os.waitpid(child, 0)
        check()
        if os.WIFEXITED(status):
            return moment - 1
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python with a script and arguments; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(script: str, *arguments: object, path: Path = PROJECT) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
            cwd=path,
            env={**os.environ, "PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def output() -> Callable[[subprocess.Popen[str]], str]:
    """Wait for a process, which must succeed, and return what it printed."""

    def wait(process: subprocess.Popen[str]) -> str:
        printed, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return printed.strip()

    return wait


@pytest.fixture
def wait_for() -> Callable[[Path], None]:
    """Wait until a file exists."""

    def wait(path: Path) -> None:
        until = time.monotonic() + 30
        while not path.exists():
            assert time.monotonic() < until, f"{path} never came"
            time.sleep(0.01)

    return wait


@pytest.fixture
def kill_at_every_moment() -> str:
    return KILL_AT_EVERY_MOMENT
