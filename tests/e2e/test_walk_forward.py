"""The walk-forward by its command, with a real Prefect server: killed, repeated, and refused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.ledger import Ledger
from tasks.store import Store, content_hash
from tests.e2e.helpers import EPISODES, PROJECT, SCRIPT, TINY_FLAGS, Api, Run, Start
from tests.e2e.test_interruptions import assert_whole, wait_for

pytestmark = pytest.mark.prefect


def words(sample: Path, *more: str) -> list[str]:
    """Return the words of a tiny walk-forward: two folds of a week."""
    plan = ["--folds", "2", "--held-out", "0.35", "--validation", "0.3", "--seeds", "2"]
    return [
        "walk-forward", "--data", str(sample), "--book", "sample", "--num-episodes", str(EPISODES),
        *plan, *TINY_FLAGS, *more,
    ]  # fmt: skip


def results(root: Path) -> dict[str, str]:
    """Return the content of each joined artifact, and the version of each training."""
    store = Store(root)
    joined = {str(ref): content_hash(store.verify(ref)) for ref in store.refs("walk-forward")}
    return joined | {str(ref): store.manifest(ref).summary["version"] for ref in store.refs("train")}


def undisturbed(server: Api, root: Path, asked: list[str], timeout: float = 280) -> str:
    """Run a command to its end, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *asked],
        env=server.environment | {"CARRYFLOW_ARTIFACTS": str(root)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def whole(server: Api, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A root after an undisturbed walk-forward, and what it printed. Copy it before you change it."""
    root = tmp_path_factory.mktemp("walk") / "artifacts"
    return root, undisturbed(server, root, words(sample))


@pytest.fixture
def root(whole: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the whole root, to be changed."""
    copy = tmp_path / "artifacts"
    shutil.copytree(whole[0], copy)
    return copy


def told(out: str) -> list[str]:
    """Return what was printed but where the report lies and how long it took."""
    return [line for line in out.splitlines() if not line.startswith(("Report: ", "Took "))]


def test_killed_in_the_middle_and_repeated_it_ends_with_the_same_hashes(
    whole: tuple[Path, str], start: Start, run: Run, sample: Path, tmp_path: Path
) -> None:
    torn = tmp_path / "artifacts"
    process = start(*words(sample), root=torn)
    wait_for(process, "Fold 2, seed 0 (3 of 4 trainings)")
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    assert_whole(torn)
    assert len(Store(torn).refs("backtest")) == 2 and not Store(torn).refs("walk-forward")
    repeated = run(*words(sample), root=torn)
    assert_whole(torn)
    assert told(repeated.out) == told(whole[1])
    assert results(torn) == results(whole[0])
    for kind in ("trial", "opening"):
        lines = [
            sorted((line["trial"], line["version"]) for line in Ledger(root, "sample").read(kind))  # type: ignore[arg-type]
            for root in (whole[0], torn)
        ]
        assert lines[0] == lines[1] and len(lines[0]) == 4


def test_repeated_it_finds_everything_and_imports_nothing_that_computes(
    server: Api, whole: tuple[Path, str], run: Run, root: Path, sample: Path
) -> None:
    again = run(*words(sample), root=root)
    states = server.task_states()
    assert set(states.values()) == {"Cached"}
    assert {"fold 1", "train fold 2, seed 1", "backtest fold 2, seed 1"} <= set(states)
    assert again.heavy == []
    trainings = {f"training-fold-{fold}-seed-{seed}" for fold in (1, 2) for seed in (0, 1)}
    assert server.artifact_keys() == {"data-quality", "backtest", "walk-forward", "lineage"} | trainings
    assert told(again.out) == told(whole[1])


def test_data_too_short_for_its_folds_is_refused_in_one_sentence(
    run: Run, sample: Path, tmp_path: Path
) -> None:
    root = tmp_path / "artifacts"
    done = run(*words(sample, "--folds", "9"), root=root, code=2)
    [said] = [line for line in done.err.splitlines() if "Error: " in line]
    assert said.startswith("Error: the data has 169 hours, and ") and "9 folds" in said
    assert "Traceback" not in done.err
    store = Store(root)
    assert not store.refs("fold") and not store.refs("train")
    assert not (root / "books" / "sample" / "ledger.jsonl").exists()


def test_a_joined_artifact_that_was_altered_is_rebuilt_from_what_is_there(
    run: Run, root: Path, sample: Path
) -> None:
    before = results(root)
    store = Store(root)
    [ref] = store.refs("walk-forward")
    page = store.path(ref) / "report.html"
    page.write_text(page.read_text(encoding="utf-8").replace("No better", "Better"), encoding="utf-8")
    again = run(*words(sample), root=root)
    assert f"Warning: artifact {ref} was altered or deleted: rebuilding" in again.err
    assert results(root) == before
