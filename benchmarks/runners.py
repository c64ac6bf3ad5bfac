"""One walk-forward by every runner, each into an empty store: seconds of the clock, and whether hashes agree.

All of them use one Prefect server, that of PREFECT_API_URL or else one each of their own, whose start is then
part of the time. A runner that is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

RUNNERS = ("inline", "process", "ray")
TINY = {
    "n_envs": 4, "n_cohorts": 2, "rollout_steps": 24, "batch_size": 96, "n_epochs": 1, "episode_hours": 24,
    "burn_in_share": 0.0, "threads": 1,
}  # fmt: skip


def hashes(root: Path) -> str:
    """Return one hash over the weights of every training and the content of every replay and joined curve."""
    from rl.checkpoint import load_checkpoint
    from schemas.checkpoint import BEST_MODEL
    from tasks.store import Store, content_hash

    store, told = Store(root), []
    for ref in store.refs():
        if ref.step == "train":
            told.append(f"{ref} {load_checkpoint(store.local(ref) / BEST_MODEL).weights_hash}")
        elif ref.step in ("backtest", "walk-forward"):
            told.append(f"{ref} {content_hash(store.verify(ref))}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def main() -> None:
    """Run and tell; exit code 1 where the hashes differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    from rl.market.synthetic import write_sample

    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        write_sample(data, days=7, rows_per_hour=20, seed=0)
        for runner in RUNNERS:
            if runner == "ray" and not find_spec("prefect_ray"):
                print("ray: not installed")
                continue
            root = Path(scratch) / runner
            words = [
                *("walk-forward", "--data", data, "--folds", 2, "--held-out", 0.35, "--validation", 0.3),
                *("--seeds", asked.seeds, "--num-episodes", asked.episodes, "--artifacts", root),
                *("--runner", runner, "--workers", asked.workers),
                *(word for name, value in TINY.items() for word in ("--set", f"training.{name}={value}")),
            ]
            command = [sys.executable, "-m", "flows.cli.main", *map(str, words)]
            began = time.monotonic()
            done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
            seconds = time.monotonic() - began
            if done.returncode:
                sys.exit(done.stderr)
            found[runner] = hashes(root)
            print(f"{runner:8} {seconds:6.1f} s  {found[runner][:16]}", flush=True)
    same = len(set(found.values())) == 1
    print("The hashes are the same." if same else "THE HASHES DIFFER.")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
