"""A kill in each step and a full disk: what is left is whole, and the next run ends as if nothing was.

The steps run as in the flow, in a process of their own, and without a server, which has its own faults
(test_desk.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.cli.main import _report
from tasks.registry import Registry
from tasks.store import Store
from tests.e2e.helpers import EPISODES, PROJECT, TINY
from tests.e2e.test_interruptions import assert_whole

pytestmark = pytest.mark.timeout(600)

STEPS = ("ingest", "features", "train", "backtest", "audit", "stress", "judgement", "promote")
TIMED = {"metrics.parquet", "training.json"}  # of a training: they also say how long it took
PIPELINE = """
import json, sys
from pathlib import Path
from flows.cli.main import _report
from schemas.params import Advanced
from tasks.audit import audit
from tasks.backtest import backtest
from tasks.features import features
from tasks.ingest import ingest
from tasks.judgement import judge
from tasks.promotion import promote_judged
from tasks.stress import stress
from tasks.training import train

told = json.loads(sys.argv[2])
a = Advanced.model_validate({"audit_times": 2, "training": told["training"]}).one_hurdle()
book, preset = "sample", "moderate"
try:
    data = ingest(sys.argv[1], max_bad_fraction=a.max_bad_fraction).ref
    built = features(data, rules=a.rules, episode_hours=a.training.episode_hours).ref
    recipe = a.training_config(seed=0, num_episodes=told["episodes"], preset=preset)
    model = train(built, training=recipe, preset=preset, rules=a.rules, book=book).ref
    tested = backtest(built, model, rules=a.rules, book=book, purpose="promotion", ladder=a.ladder).ref
    audited = audit(data, built, model, rules=a.rules, book=book, times=2, seed=0).ref
    stressed = stress(data, built, model, tested, book=book, preset=preset, settings=a.stress).ref
    judged = judge(tested, preset=preset, policy=a.gates, book=book, audited=audited, stressed=stressed,
                   dataset=data, trained=model).ref
    promote_judged(model, tested, judged, book=book, preset=preset)
except OSError as error:
    sys.exit(_report(error))
"""


def begin(sample: Path, root: Path) -> subprocess.Popen[str]:
    told = json.dumps({"training": TINY, "episodes": EPISODES})
    return subprocess.Popen(
        [sys.executable, "-c", PIPELINE, str(sample), told],
        env={**os.environ, "CARRYFLOW_ARTIFACTS": str(root), "PYTHONPATH": str(PROJECT)},
        cwd=PROJECT, start_new_session=True, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(sample: Path, root: Path, code: int = 0) -> str:
    with begin(sample, root) as process:
        said = process.communicate(timeout=500)[1]
        assert process.returncode == code, said
        return said


@pytest.fixture(scope="module")
def undisturbed(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts of a run that nobody disturbed."""
    root = tmp_path_factory.mktemp("undisturbed") / "artifacts"
    finish(sample, root)
    return root


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
    sample: Path, tmp_path: Path, undisturbed: Path
) -> None:
    root = tmp_path / "artifacts"
    for step in STEPS:
        with begin(sample, root) as process:
            begun, deadline = at_work(root, step), time.monotonic() + 200.0
            while not begun():
                assert process.poll() is None and time.monotonic() < deadline, f"{step} never began"
                time.sleep(0.002)
            os.killpg(process.pid, signal.SIGKILL)
        assert_whole(root)
        made = {ref.step for ref in Store(root).refs()}
        assert made >= set(STEPS[: STEPS.index(step)]) - {"promote"}, "what was done is kept"
        for lock in (root / "work" / "locks").glob("*.lock"):
            lock.unlink()  # their holders are dead: only so that the next one is seen to begin
    finish(sample, root)
    assert hashes(root) == hashes(undisturbed)
    compared = {name.partition("/")[0] for name in hashes(root)}
    assert compared >= set(STEPS) - {"promote"}, "every step has left something to compare"
    ends = [Registry(one, "sample").state() for one in (root, undisturbed)]
    assert list(ends[0].versions) == list(ends[1].versions)
    assert ends[0].aliases == ends[1].aliases


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
    sample: Path, small_disk: Path, undisturbed: Path
) -> None:
    root, filler = small_disk / "artifacts", small_disk / "filler"
    reached = []
    for left in (200_000, 1_500_000):  # in the data, and later
        facts = os.statvfs(small_disk)
        filler.write_bytes(b"\0" * (facts.f_bavail * facts.f_frsize - left))
        said = [line for line in finish(sample, root, code=2).splitlines() if line]
        assert len(said) == 1 and said[0].startswith("Error: ") and "the disk is full" in said[0], said
        filler.unlink()
        assert_whole(root)
        reached.append(len(Store(root).refs()))
    assert reached[0] < reached[1], "it came further with more room"
    finish(sample, root)
    assert hashes(root) == hashes(undisturbed)


def test_any_error_for_want_of_room_is_the_same_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    import errno

    assert _report(OSError(errno.ENOSPC, "No space left on device", "/a/b")) == 2
    assert capsys.readouterr().err.startswith("Error: /a/b: the disk is full")
    assert _report(OSError(errno.EDQUOT, "Disk quota exceeded")) == 2
    assert capsys.readouterr().err.startswith("Error: the disk is full")
    assert _report(OSError(errno.EIO, "Input/output error")) == 1
