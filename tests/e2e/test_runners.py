"""Whichever runner ran it, a walk-forward ends with the same hashes; killed, nothing of it stays behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from rl.checkpoint import load_checkpoint
from schemas.checkpoint import BEST_MODEL, TRAINING
from tasks.ledger import Ledger
from tasks.store import Store, content_hash
from tests.e2e.helpers import PROJECT, Api, Start, end
from tests.e2e.test_interruptions import assert_whole
from tests.e2e.test_walk_forward import told, undisturbed, words

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(1800)]
needs_ray = pytest.mark.skipif(
    not (find_spec("ray") and find_spec("prefect_ray")), reason="the extra `ray` is not installed"
)
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
FOR_EVER = "1000000"


def hashes(root: Path) -> dict[str, str]:
    """Return the content of every replay and joined curve, and the weights of every training."""
    store = Store(root)
    found = {
        str(ref): content_hash(store.verify(ref))
        for step in ("backtest", "walk-forward")
        for ref in store.refs(step)
    }
    weights = {
        str(ref): load_checkpoint(store.local(ref) / BEST_MODEL).weights_hash for ref in store.refs("train")
    }
    return found | weights


def session_of(pid: int) -> list[str]:
    """List what runs in a session, zombies apart; each test starts its processes in one of their own."""
    found = subprocess.run(
        ["ps", "-ww", "-eo", "sid=,pid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    lines = (line.split(None, 3) for line in found.splitlines())
    return [" ".join(rest) for sid, *rest in lines if int(sid) == pid and not rest[1].startswith("Z")]


def wait_until(holds: Callable[[], Any], what: str, seconds: float = 300.0) -> Any:
    """Wait for something to hold, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"it did not come to pass: {what}"
        time.sleep(0.2)
    return found


def longer(sample: Path, episodes: str, *more: str) -> list[str]:
    """Return the words of a walk-forward of two trainings, of so many episodes."""
    asked = words(sample, *more)
    asked[asked.index("--num-episodes") + 1] = episodes
    asked[asked.index("--seeds") + 1] = "1"
    return asked


@pytest.fixture(scope="module")
def inline(server: Api, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A root after a walk-forward in one process, and what it printed."""
    root = tmp_path_factory.mktemp("inline") / "artifacts"
    return root, undisturbed(server, root, words(sample), timeout=600)


@pytest.mark.parametrize("runner", ["process", pytest.param("ray", marks=needs_ray)])
def test_the_hashes_are_the_same_whichever_runner_ran(
    inline: tuple[Path, str], start: Start, sample: Path, tmp_path: Path, runner: str
) -> None:
    root = tmp_path / "artifacts"
    process = start(*words(sample, "--runner", runner, "--workers", "2"), root=root)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    assert told(out) == told(inline[1])
    assert hashes(root) == hashes(inline[0])
    kept = [
        sorted((line["kind"], line["trial"], line["version"]) for line in Ledger(one, "sample").read())
        for one in (root, inline[0])
    ]
    assert kept[0] == kept[1] and len(kept[0]) == 8
    assert "Train fold 1, seed 1: Trained 8 episodes" in err, "what workers say is seen in the terminal"
    wait_until(lambda: not session_of(process.pid), "every process ended", 20.0)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_the_pool_ends_with_the_process_that_asked_and_training_goes_on_from_there(
    start: Start, sample: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Only the flow's own process gets the signal: its workers have to notice by themselves."""
    root = tmp_path / "artifacts"
    process = start(*longer(sample, FOR_EVER, "--runner", "process", "--workers", "2"), root=root)
    states = root / "work"
    wait_until(lambda: len(list(states.glob("*/resume.safetensors"))) == 2, "both trainings kept a state")
    assert len(session_of(process.pid)) >= 3
    os.kill(process.pid, number)
    assert process.wait(timeout=30) == code
    wait_until(lambda: not session_of(process.pid), "the workers ended", 10.0)
    assert_whole(root)
    assert len(list(states.glob("*/resume.safetensors"))) == 2


def test_a_worker_that_is_killed_is_told_in_a_sentence_and_exit_code_2(
    start: Start, sample: Path, tmp_path: Path
) -> None:
    root = tmp_path / "artifacts"
    process = start(*longer(sample, FOR_EVER, "--runner", "process", "--workers", "2"), root=root)
    states = root / "work"
    wait_until(lambda: len(list(states.glob("*/resume.safetensors"))) == 2, "both trainings kept a state")
    workers = [line for line in session_of(process.pid) if "spawn_main" in line]
    os.kill(int(workers[0].split()[0]), signal.SIGKILL)
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(timeout=30) == 2, said
    [line] = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert "train fold " in line and "one of the worker processes was killed" in line
    wait_until(lambda: not session_of(process.pid), "the workers ended", 10.0)


@pytest.fixture
def two_nodes(server: Api) -> Iterator[dict[str, Any]]:
    """Two nodes of one core each on loopback; what is left of them afterwards is killed."""
    folder = tempfile.mkdtemp(prefix="ray-")  # names of sockets may not be long
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.ray_nodes", folder],
        env=server.environment,
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None and process.stdin is not None
        line = next(line for line in process.stdout if line.startswith("{"))
        yield json.loads(line) | {"session": process.pid}
        process.stdin.close()
        process.wait(60.0)
        wait_until(lambda: not session_of(process.pid), "both nodes ended", 30.0)
    finally:
        with process:
            end(process, grace=5.0)
        for left in session_of(process.pid):
            os.kill(int(left.split()[0]), signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@needs_ray
def test_a_node_killed_in_mid_training_changes_no_hash(
    two_nodes: dict[str, Any], start: Start, sample: Path, tmp_path: Path
) -> None:
    episodes = "3000"  # long enough for both to keep a state, at ten seconds each, before one of them ends
    undisturbed, root = tmp_path / "undisturbed", tmp_path / "artifacts"
    address = {"RAY_ADDRESS": two_nodes["address"], **LOOPBACK}
    process = start(*longer(sample, episodes, "--runner", "ray"), root=root, **address)
    wait_until(
        lambda: len(list((root / "work").glob("*/resume.safetensors"))) == 2, "both trainings kept a state"
    )
    raylet = two_nodes["raylet"]
    workers = subprocess.run(
        ["ps", "--ppid", str(raylet), "-o", "pid="], capture_output=True, text=True, check=True
    )
    for pid in (raylet, *map(int, workers.stdout.split())):
        os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=800)
    assert process.returncode == 0, out + err
    store = Store(root)
    trained = [json.loads((store.local(ref) / TRAINING).read_text()) for ref in store.refs("train")]
    assert sorted(one["resumed_at"] > 0 for one in trained) == [False, True], "one of two went on"
    other = start(*longer(sample, episodes), root=undisturbed)
    out, err = other.communicate(timeout=800)
    assert other.returncode == 0, out + err
    assert hashes(root) == hashes(undisturbed)
    wait_until(lambda: not session_of(process.pid), "the flow's processes ended", 20.0)


@needs_ray
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "there is no Ray cluster at 127.0.0.1:1"),
        ("ray://head:1", "'ray://head:1' is not host:port"),
    ],
)
def test_a_cluster_that_is_not_there_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    from flows.runners import fan_out
    from schemas.errors import ConfigError

    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConfigError, match=f"^RAY_ADDRESS: {said}"), fan_out("ray"):
        raise AssertionError("nothing is opened")
