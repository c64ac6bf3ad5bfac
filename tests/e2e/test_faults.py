"""A kill in each step and a full disk: what is left is whole, and the next run ends as if nothing was."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.registry import Registry
from tasks.store import Store
from tests.e2e.helpers import Done, Run, Start, run_words
from tests.e2e.test_interruptions import assert_whole

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(600)]

STEPS = ("ingest", "features", "train", "backtest", "audit", "stress", "judgement", "promote")
TIMED = {"metrics.parquet", "training.json"}  # of a training: they also say how long it took


def hashes(root: Path) -> dict[str, str]:
    """Return the sha256 of every file of the store that does not depend on the clock, by step and name."""
    store = Store(root)
    return {
        f"{ref.step}/{path.relative_to(store.path(ref))}": hashlib.sha256(path.read_bytes()).hexdigest()
        for ref in store.refs()
        for path in store.path(ref).rglob("*")
        if path.is_file() and path.name not in {"manifest.json", *TIMED}
    }


def at_work(root: Path, step: str) -> Callable[[], bool]:
    """Return what says whether a step computes: it holds the lock of its key."""
    if step == "promote":
        return lambda: any((root / "books").glob("*/versions/*"))
    return lambda: any((root / "work" / "locks").glob(f"{step}-*.lock"))


def test_killed_in_each_step_a_run_resumes_and_ends_with_the_hashes_of_an_undisturbed_one(
    start: Start, run: Run, sample: Path, tmp_path: Path, finished_root: tuple[Path, Done]
) -> None:
    root = tmp_path / "artifacts"
    for step in STEPS:
        process = start(*run_words(sample), root=root)
        begun = at_work(root, step)
        deadline = time.monotonic() + 120.0
        while not begun():
            assert process.poll() is None and time.monotonic() < deadline, f"{step} never began"
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        assert_whole(root)
        made = {ref.step for ref in Store(root).refs()}
        assert made >= set(STEPS[: STEPS.index(step)]) - {"promote"}, "what was done is kept"
        for lock in (root / "work" / "locks").glob("*.lock"):
            lock.unlink()  # their holders are dead: only so that the next one is seen to begin
    done = run(*run_words(sample), root=root)
    assert done.verdict == finished_root[1].verdict
    assert hashes(root) == hashes(finished_root[0])
    assert len(hashes(root)) > 50
    assert list(Registry(root, "sample").state().versions) == list(
        Registry(finished_root[0], "sample").state().versions
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no small disk can be made here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_told_in_one_sentence_and_with_room_again_the_run_goes_on(
    run: Run, sample: Path, small_disk: Path, finished_root: tuple[Path, Done]
) -> None:
    root, filler = small_disk / "artifacts", small_disk / "filler"
    reached = []
    for left in (200_000, 1_500_000, 3_000_000):  # in the data, the features, the training
        facts = os.statvfs(small_disk)
        filler.write_bytes(b"\0" * (facts.f_bavail * facts.f_frsize - left))
        full = run(*run_words(sample), root=root, code=2)
        said = [line for line in full.err.splitlines() if "Error: " in line]
        assert len(said) == 1 and "the disk is full" in said[0], full.err
        assert "Traceback" not in full.err
        assert_whole(root)
        reached.append(len(Store(root).refs()))
        filler.unlink()
    assert reached == sorted(reached) and reached[0] < reached[-1], "it came further each time"
    done = run(*run_words(sample), root=root)
    assert done.verdict == finished_root[1].verdict
    assert hashes(root) == hashes(finished_root[0])
