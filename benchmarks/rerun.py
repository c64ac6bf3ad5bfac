"""What an identical second run costs, beside an empty flow of as many tasks started the same way.

A server is started once; then both commands take turns. `python -m benchmarks.rerun --repeats 7`
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EMPTY = """
from flows import settings
settings.apply_script()
from prefect import flow, task
@task
def nothing(): pass
@flow
def empty():
    for _ in range(%d):
        nothing()
empty()
"""
TASKS = 7  # of data-to-model
RECIPE = ("n_envs=8", "n_cohorts=2", "rollout_steps=24", "batch_size=96", "episode_hours=24")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with (
        tempfile.TemporaryDirectory(prefix="carryflow-rerun-") as folder,
        server(Path(folder)) as environment,
    ):
        sample = Path(folder) / "sample"
        ours = [sys.executable, "-m", "flows.cli.main"]
        timed([*ours, "sample-data", "--days", "10", "--out", str(sample)], environment)
        run = [*ours, "run", "--data", str(sample), "--num-episodes", "8"]
        run += ["--artifacts", str(Path(folder) / "artifacts")]
        run += [word for setting in RECIPE for word in ("--set", f"training.{setting}")]
        empty = [sys.executable, "-c", EMPTY % TASKS]
        first = timed(run, environment)
        pairs = [(timed(run, environment), timed(empty, environment)) for _ in range(repeats)]
    print(f"first run: {first:.1f} s (a small market, eight episodes)")
    print(f"{'':24}{'minimum':>9}{'median':>9}")
    again, nothing = (list(times) for times in zip(*pairs, strict=True))
    for name, times in (("the same run again, s", again), ("an empty flow, s", nothing)):
        print(f"{name:24}{min(times):9.2f}{statistics.median(times):9.2f}")
    ratios = min(again) / min(nothing), statistics.median(a / b for a, b in pairs)
    print(f"{'ratio':24}{ratios[0]:9.2f}{ratios[1]:9.2f}")


def timed(words: list[str], environment: dict[str, str]) -> float:
    """Run a command and return its seconds."""
    began = time.monotonic()
    subprocess.run(words, env=environment, check=True, capture_output=True)
    return time.monotonic() - began


@contextmanager
def server(home: Path) -> Iterator[dict[str, str]]:
    """Start a Prefect server of our own, and give the environment that reaches it."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "CARRYFLOW_"))}
    kept |= {"PREFECT_HOME": str(home / "prefect"), "PYTHONPATH": str(Path.cwd()), "DO_NOT_TRACK": "1"}
    asked = {"PREFECT_SERVER_API_PORT": str(port), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    words = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(words, env=kept | asked, stdout=quiet, stderr=quiet)
    try:
        url = f"http://127.0.0.1:{port}/api"
        for _ in range(480):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.25)
        yield kept | {"PREFECT_API_URL": url}
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
