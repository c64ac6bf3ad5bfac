"""Helpers of the end-to-end tests: what is typed, how it ended, and what the server says of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx

PROJECT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "pandas", "pandera", "matplotlib", "pyarrow")
# The console script, and after it one line that says which heavy libraries it needed.
SCRIPT = f"""
import json, sys
from flows.cli.main import main
try:
    main()
finally:
    print("HEAVY " + json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)
"""
# A whole training in seconds; every step of the real one, a fraction of its size.
TINY: dict[str, Any] = {
    "n_envs": 4,
    "n_cohorts": 2,
    "rollout_steps": 24,
    "batch_size": 96,
    "n_epochs": 1,
    "episode_hours": 24,
    "burn_in_share": 0.0,
    "threads": 1,
}
TINY_FLAGS = [word for name, value in TINY.items() for word in ("--set", f"training.{name}={value}")]
AUDIT_FLAGS = ["--set", "audit_times=2"]
EPISODES = 8
Start = Callable[..., "subprocess.Popen[str]"]


def end(process: subprocess.Popen[Any], grace: float = 20.0) -> None:
    """End a process and everything it started."""
    for number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            continue
    process.wait(10.0)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def heavy(self) -> list[str]:
        """Heavy libraries it imported."""
        line = next(line for line in reversed(self.err.splitlines()) if line.startswith("HEAVY "))
        found: list[str] = json.loads(line.removeprefix("HEAVY "))
        return found

    @property
    def verdict(self) -> str:
        """What became of the policy as challenger, in one line."""
        return self.verdict_on("Challenger")

    def verdict_on(self, alias: str) -> str:
        """What became of the policy under an alias, in one line."""
        lines = self.out.splitlines()
        [first] = [number for number, line in enumerate(lines) if line.startswith(f"{alias}: ")]
        rest = takewhile(lambda line: line.startswith("  "), lines[first + 1 :])
        return " ".join([lines[first].removeprefix(f"{alias}: "), *(line.strip() for line in rest)])


Run = Callable[..., Done]


@dataclass(frozen=True)
class Api:
    """A Prefect server."""

    url: str
    environment: dict[str, str]

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Ask it something."""
        answer = httpx.post(f"{self.url}{path}", json=body, timeout=60.0)
        answer.raise_for_status()
        return answer.json()

    def last_run(self) -> dict[str, Any]:
        """Return the flow run that started last."""
        found: list[dict[str, Any]] = self.post("/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
        return found[0]

    def task_states(self) -> dict[str, str]:
        """Return the states of the tasks of the last flow run, by task; recorded a moment after the run."""
        run = self.last_run()
        deadline = time.monotonic() + 60.0
        while True:
            rows = self.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
            states = {row["name"].rsplit("-", 1)[0]: row["state_name"] for row in rows}
            settled = set(states.values()) <= {"Cached", "Completed", "Failed", "Crashed"}
            if (len(states) >= 7 and settled) or time.monotonic() > deadline:
                return states
            time.sleep(0.3)

    def artifact_keys(self) -> set[str]:
        """Return the keys of the last flow run's artifacts."""
        rows = self.post("/artifacts/filter", {"flow_runs": {"id": {"any_": [self.last_run()["id"]]}}})
        return {row["key"] for row in rows}


def run_words(sample: Path, *more: str) -> list[str]:
    """Return the words of a tiny run."""
    return [
        "run",
        "--data",
        str(sample),
        "--book",
        "sample",
        "--num-episodes",
        str(EPISODES),
        *TINY_FLAGS,
        *AUDIT_FLAGS,
        *more,
    ]
