"""The walk-forward by its command, with a real Prefect server: killed, repeated, and refused."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from schemas.manifest import Ref
from tasks.ledger import Ledger
from tasks.store import Store, content_hash
from tests.e2e.helpers import EPISODES, TINY_FLAGS, Api, Run, Start
from tests.e2e.test_interruptions import assert_whole, wait_for

pytestmark = pytest.mark.prefect


def words(sample: Path, *more: str) -> list[str]:
    """Return the words of a tiny walk-forward: two folds of a week."""
    plan = ["--folds", "2", "--held-out", "0.35", "--validation", "0.3", "--seeds", "2"]
    return [
        "walk-forward", "--data", str(sample), "--book", "sample", "--num-episodes", str(EPISODES),
        *plan, *TINY_FLAGS, *more,
    ]  # fmt: skip


def kill(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def results(root: Path) -> dict[str, str]:
    """Return the content of each joined artifact, and the version of each training."""
    store = Store(root)
    joined = {str(ref): content_hash(store.verify(ref)) for ref in store.refs("walk-forward")}
    return joined | {str(ref): store.manifest(ref).summary["version"] for ref in store.refs("train")}


def test_killed_in_the_middle_and_repeated_it_ends_with_the_same_hashes(
    server: Api, start: Start, run: Run, sample: Path, tmp_path: Path
) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    done = run(*words(sample), root=whole)
    states = server.task_states()
    assert set(states.values()) == {"Completed"}
    for moment in ("Fold 1, seed 1 (2 of 4", "Fold 2, seed 0 (3 of 4"):
        process = start(*words(sample), root=torn)
        wait_for(process, moment)
        kill(process)
        assert_whole(torn)
        assert not Store(torn).refs("walk-forward")
    run(*words(sample), root=torn)
    assert_whole(torn)
    assert results(torn) == results(whole)
    for kind in ("trial", "opening"):
        told = [
            sorted((line["trial"], line["version"]) for line in Ledger(root, "sample").read(kind))  # type: ignore[arg-type]
            for root in (whole, torn)
        ]
        assert told[0] == told[1] and len(told[0]) == 4

    again = run(*words(sample), root=torn)
    assert set(server.task_states().values()) == {"Cached"}
    assert again.heavy == []
    assert server.artifact_keys() >= {"data-quality", "training", "backtest", "walk-forward"}
    shared = [line for line in done.out.splitlines() if not line.startswith(("Report", "Took"))]
    assert [line for line in again.out.splitlines() if not line.startswith(("Report", "Took"))] == shared


def test_data_too_short_for_its_folds_is_refused_in_one_sentence(
    run: Run, sample: Path, tmp_path: Path
) -> None:
    root = tmp_path / "artifacts"
    done = run(*words(sample, "--folds", "9"), root=root, code=2)
    [said] = [line for line in done.err.splitlines() if "Error: " in line]
    assert said.startswith("Error: the data has 168 hours, and ") and "9 folds" in said
    assert "Traceback" not in done.err
    store = Store(root)
    assert not store.refs("fold") and not store.refs("train")
    assert not (root / "books" / "sample" / "ledger.jsonl").exists()


def test_a_joined_artifact_that_was_altered_is_rebuilt_from_what_is_there(
    run: Run, sample: Path, tmp_path: Path
) -> None:
    root = tmp_path / "artifacts"
    run(*words(sample), root=root)
    before = results(root)
    store = Store(root)
    [ref] = store.refs("walk-forward")
    page = store.path(ref) / "report.html"
    page.write_text(page.read_text(encoding="utf-8").replace("No better", "Better"), encoding="utf-8")
    again = run(*words(sample), root=root)
    assert f"Warning: artifact {ref} was altered or deleted: rebuilding" in again.err
    assert results(root) == before
    assert store.verify(Ref.parse(str(ref)))
