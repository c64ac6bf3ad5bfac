"""Killed, stopped, started twice: never half an artifact, and one correct result in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.ledger import Ledger
from tasks.registry import Registry
from tasks.store import Store
from tests.e2e.helpers import PROJECT, SCRIPT, Done, Run, Start, end, run_words

pytestmark = pytest.mark.prefect


def long_run(sample: Path) -> list[str]:
    """Return the words of a training that outlasts the test."""
    words = run_words(sample)
    words[words.index("--num-episodes") + 1] = "1000000"
    return words


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read the error stream until a line holds a text."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"it ended without saying {text!r}: {''.join(seen)}")


def assert_whole(root: Path) -> None:
    """Every artifact there is verifies, and nothing else lies among them."""
    store = Store(root)
    for ref in store.refs():
        store.verify(ref)
    folders = [f for step in store.folder.iterdir() if not step.name.startswith(".") for f in step.iterdir()]
    assert {folder.name for folder in folders} == {ref.key for ref in store.refs()}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_within_ten_seconds_and_loses_none_of_it(
    start: Start, root: Path, sample: Path, number: signal.Signals, code: int
) -> None:
    process = start(*long_run(sample), root=root)
    wait_for(process, "Training: ")
    time.sleep(1.0)
    began = time.monotonic()
    os.kill(process.pid, number)
    assert process.wait(timeout=30) == code
    assert time.monotonic() - began < 10
    assert_whole(root)


def test_killed_at_any_moment_a_run_leaves_no_half_artifact_and_can_be_repeated(
    start: Start, run: Run, sample: Path, tmp_path: Path, finished_root: tuple[Path, object]
) -> None:
    root = tmp_path / "artifacts"
    for seconds in (4.0, 8.0, 13.0):
        process = start(*run_words(sample), root=root)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        if root.exists() and (root / "store").exists():
            assert_whole(root)
    done = run(*run_words(sample), root=root)
    assert_whole(root)
    assert done.verdict == finished_root[1].verdict  # type: ignore[attr-defined]


def test_two_runs_at_once_end_with_one_correct_result(
    start: Start, sample: Path, tmp_path: Path, finished_root: tuple[Path, object]
) -> None:
    root = tmp_path / "artifacts"
    both = [start(*run_words(sample), root=root) for _ in range(2)]
    said = [process.communicate(timeout=280) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    verdicts = {Done(0, out, err, 0.0).verdict for out, err in said}
    assert verdicts == {finished_root[1].verdict}  # type: ignore[attr-defined]
    assert len(Registry(root, "sample").versions()) == 1
    assert len(Store(root).refs("train")) == 1
    assert {line["version"] for line in Ledger(root, "sample").read()} == set(
        Registry(root, "sample").state().versions
    )
    assert_whole(root)


def test_without_a_server_of_its_own_a_stopped_run_leaves_no_process(
    clean_environment: dict[str, str], sample: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *long_run(sample)],
        env=clean_environment
        | {"CARRYFLOW_ARTIFACTS": str(tmp_path / "artifacts"), "PREFECT_HOME": str(tmp_path / "home")},
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            wait_for(process, "Training: ")
            began = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the server gets it too
            assert process.wait(timeout=30) == 130
            assert time.monotonic() - began < 10
            time.sleep(1.0)
            with pytest.raises(ProcessLookupError):
                os.killpg(process.pid, 0)
        finally:
            end(process, grace=0.5)
