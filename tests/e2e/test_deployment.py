"""`make deploy`, a worker and `prefect deployment run`, all real."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.ledger import Ledger
from tasks.registry import Registry
from tests.e2e.helpers import EPISODES, PROJECT, TINY, Api, end

pytestmark = pytest.mark.prefect

BIN = Path(sys.executable).parent


def test_a_deployment_runs_in_a_worker_and_judges_a_policy(server: Api, sample: Path, tmp_path: Path) -> None:
    environment = server.environment | {"CARRYFLOW_ARTIFACTS": str(tmp_path / "artifacts")}

    def say(*words: str) -> str:
        done = subprocess.run(
            words, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for _ in range(2):  # deploying again changes nothing
        say("make", "deploy", "STAMP=", f"BIN={BIN}")
    deployments = {row["name"]: row for row in server.post("/deployments/filter", {})}
    assert set(deployments) == {
        *("retrain", "backtest", "certify", "gc", "paper-trade", "promote", "sweep", "walk-forward"),
    }
    [schedule] = deployments["retrain"]["schedules"]
    assert schedule["active"] is False

    log = tmp_path / "worker.log"
    out = log.open("wb")
    worker = subprocess.Popen(
        [str(BIN / "prefect"), "worker", "start", "--pool", "carryflow"],
        env=environment, cwd=tmp_path, stdout=out, stderr=out, start_new_session=True,
    )  # fmt: skip
    try:
        say(
            str(BIN / "prefect"), "--no-prompt", "deployment", "run", "data-to-model/retrain",
            "--param", f"data={json.dumps(str(sample))}",
            "--param", f"num_episodes={EPISODES}",
            "--param", f"advanced={json.dumps({'training': TINY})}",
        )  # fmt: skip
        deadline = time.monotonic() + 240
        while True:
            [run] = server.post(
                "/flow_runs/filter",
                {
                    "deployments": {"name": {"any_": ["retrain"]}},
                    "sort": "EXPECTED_START_TIME_DESC",
                    "limit": 1,
                },
            )
            if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                break
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.5)
        assert run["state_type"] == "COMPLETED", log.read_text(errors="replace")
    finally:
        end(worker)
        out.close()
    assert len(Registry(tmp_path / "artifacts", "sample").versions()) == 1
    [opening] = Ledger(tmp_path / "artifacts", "sample").read("opening")
    assert opening["flow_run"] == run["name"]
