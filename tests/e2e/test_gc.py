"""Old flow runs leave Prefect's database with all that is theirs; a run loses nothing to a collection."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from schemas.retention import RetentionPolicy
from tasks import leases
from tasks.bundles import Bundles
from tasks.gc import collect
from tasks.registry import Registry
from tasks.store import Store
from tests.e2e.helpers import PROJECT, Api, Run, Start, run_words

pytestmark = pytest.mark.prefect

# A collection as a flow run of its own, and a run of a flow that is not ours.
FLOWS = """
from flows.gc import gc
from prefect import flow
from schemas.retention import RetentionPolicy
gc(policy=RetentionPolicy.of(9999))
flow(name="somebody-else")(lambda: None)()
"""


def counts(server: Api, runs: list[str]) -> dict[str, int]:
    """Return what the database holds of some flow runs."""
    mine = {"flow_runs": {"id": {"any_": runs}}}
    of_run = {"flow_run_id": {"any_": runs}}
    return {
        "runs": len(server.post("/flow_runs/filter", mine)),
        "task runs": len(server.post("/task_runs/filter", mine)),
        "artifacts": len(server.post("/artifacts/filter", {"artifacts": of_run})),
        "logs": len(server.post("/logs/filter", {"logs": of_run})),
    }


def runs_of(server: Api, flow: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.post("/flow_runs/filter", {"flows": {"name": {"any_": [flow]}}})
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "artifacts").mkdir()
    return tmp_path / "artifacts"


def test_old_runs_go_with_their_task_runs_artifacts_and_logs(server: Api, run: Run, root: Path) -> None:
    run("gc", "--prefect-days", 0, root=root)  # what other tests left on this server
    done = subprocess.run(
        [sys.executable, "-c", FLOWS],
        env=server.environment | {"CARRYFLOW_ARTIFACTS": str(root)},
        cwd=PROJECT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [finished] = [one for one in runs_of(server, "gc") if one["state_type"] == "COMPLETED"]
    going_on = server.post(
        "/flow_runs/", {"flow_id": finished["flow_id"], "state": {"type": "RUNNING", "name": "Running"}}
    )
    mine = [finished["id"]]
    deadline = time.monotonic() + 60
    while 0 in counts(server, mine).values():  # logs and task runs are recorded a moment after the run
        assert time.monotonic() < deadline, counts(server, mine)
        time.sleep(0.2)
    before = counts(server, mine)

    young = run("gc", root=root)
    assert "0 flow runs that ended more than 90 days ago and 0 artifacts of them removed" in young.out
    told = run("gc", "--dry-run", "--prefect-days", 0, root=root)
    assert "1 flow runs that ended more than 0 days ago and 1 artifacts of them would go" in told.out
    assert counts(server, mine) == before

    alone = run("gc", "--prefect-days", 0, "--no-prefect", root=root)
    assert "Prefect's database was left alone: nobody asked for it." in alone.out
    assert counts(server, mine) == before

    gone = run("gc", "--prefect-days", 0, root=root)
    assert "1 flow runs that ended more than 0 days ago and 1 artifacts of them removed" in gone.out
    deadline = time.monotonic() + 60
    while set(counts(server, mine).values()) != {0}:  # the server deletes logs a moment later
        assert time.monotonic() < deadline, counts(server, mine)
        time.sleep(0.2)
    assert [one["id"] for one in runs_of(server, "gc")] == [going_on["id"]]
    assert len(runs_of(server, "somebody-else")) == 1


def test_a_server_that_does_not_answer_is_said_and_the_way_around_it(server: Api, root: Path) -> None:
    for words, code in ((["gc"], 2), (["gc", "--no-prefect"], 0)):
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli.main", *words, "--artifacts", str(root)],
            env=server.environment | {"PREFECT_API_URL": "http://127.0.0.1:9/api"},
            cwd=PROJECT, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        if code:
            assert "does not answer" in done.stderr and "--no-prefect" in done.stderr
            assert "Traceback" not in done.stderr


def test_a_whole_run_beside_collection_after_collection_loses_nothing(
    start: Start, root: Path, sample: Path
) -> None:
    process = start(*run_words(sample), root=root)
    collections = 0
    while process.poll() is None:
        collect(root, RetentionPolicy.of(0))
        collections += 1
        time.sleep(1.0)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    assert "rebuilding" not in err, "nothing it was handed went away"
    assert collections > 5

    [version] = Registry(root, "sample").versions()
    collect(root, RetentionPolicy.of(0))
    left = Store(root).refs()
    steps = {"ingest", "quality", "features", "train", "backtest", "audit", "stress", "judgement"}
    assert {ref.step for ref in left} == steps, "the days of the features are a cache, and nobody's need"
    for ref in left:
        Store(root).verify(ref)
    leases.let_go(root)
    Bundles(root, "sample").verify(version.version)
