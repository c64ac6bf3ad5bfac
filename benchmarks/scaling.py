"""Time and memory against days and pairs, measured on generated markets, and a model that extrapolates them.

Each size is measured in a process of its own, whose peak memory is its own. Times are seconds of the
processor, which other work on the machine disturbs least. The model has one term per cause, fitted to
relative errors; how far it is off on the sizes it was fitted to is told beside it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZES = ((8, 20), (60, 20), (8, 120), (60, 120))  # days, rows an hour
EPISODES = 64
# 1,000 venues and 10,000 pairs for 5 years, each pair with two instruments and seen both ways every hour,
# beside a row of history for each instrument and hour.
TARGET = {"hours": 5 * 8_766, "pairs": 10_000, "instruments": 20_000, "rows": 5 * 8_766 * 40_000}
MIB = 2.0**20


def measure(sample: Path) -> dict[str, float]:
    """Run the steps of one size in this process; return sizes, processor seconds and peak memory in MiB."""
    import rl.train  # noqa: F401  importing it is no part of a training
    from rl.market.assemble import assemble
    from rl.sim.quotes import lay_out
    from schemas.params import Advanced
    from schemas.trading import MarketRules
    from tasks.backtest import backtest
    from tasks.features import features
    from tasks.ingest import ingest
    from tasks.store import Store
    from tasks.training import train

    told: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        made = work()
        told[f"{name}_s"] = time.process_time() - began
        told[f"{name}_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
        return made

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "artifacts"
        os.environ["CARRYFLOW_ARTIFACTS"] = str(root)
        rules = MarketRules()
        told["start_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
        dataset = timed("ingest", lambda: ingest(str(sample), None)).ref
        built = timed("features", lambda: features(dataset, rules=rules, episode_hours=24)).ref
        training = Advanced.model_validate({"training": {"episode_hours": 24, "burn_in_share": 0.0}})
        asked = training.training_config(seed=0, num_episodes=EPISODES)
        model = timed(
            "train",
            lambda: train(built, training=asked, preset="moderate", rules=rules, book="b"),
        )
        timed(
            "backtest",
            lambda: backtest(built, model.ref, rules=rules, book="b", purpose="benchmark", random_runs=0),
        )
        store = Store(root)
        market = assemble(sorted((store.path(built) / "days").iterdir()), rules)
        facts = json.loads((store.path(dataset) / "dataset.json").read_text(encoding="utf-8"))
        result = json.loads((model.path / "training.json").read_text(encoding="utf-8"))
        told |= {
            "arrays_mib": (nbytes(market) + nbytes(lay_out(market, rules))) / MIB,
            "hours": market.n_hours,
            "instruments": market.mark.shape[1],
            "pairs": market.half_spread.shape[1],
            "rows": facts["opportunity_rows"] + facts["history_rows"],
            "steps": result["steps"],
            "store_mib": sum(p.stat().st_size for p in store.folder.rglob("*") if p.is_file()) / MIB,
        }
    return told


def nbytes(block: Any) -> int:
    """Return the bytes of a dataclass's arrays, those of dataclasses in it included."""
    told = 0
    for field in dataclasses.fields(block):
        value = getattr(block, field.name)
        if dataclasses.is_dataclass(value):
            told += nbytes(value)
        elif isinstance(value, np.ndarray):
            told += value.nbytes
    return told


def fit(columns: list[list[float]], values: list[float]) -> tuple[np.ndarray, float]:
    """Return the non-negative coefficients of a sum of terms, and the largest relative error of the fit.

    Args:
        columns: (n, k) terms of each measurement.
        values: (n,) what was measured.
    """
    from scipy.optimize import nnls

    a, y = np.asarray(columns, np.float64), np.asarray(values, np.float64)
    scale = a.max(axis=0)
    found = nnls(a / scale / y[:, None], np.ones(len(y)))[0] / scale
    return found, float(np.abs(a @ found / y - 1.0).max())


def terms(name: str, r: dict[str, Any]) -> list[float]:
    """Return what a cost is taken to be a sum of."""
    cells = [r["hours"], r["hours"] * r["instruments"], r["hours"] * r["pairs"]]
    known = {"rows": [1.0, r["rows"]], "both": [1.0, r["hours"], r["rows"]], "hours": [1.0, r["hours"]]}
    return (known | {"cells": cells})[name]


def models(rows: list[dict[str, float]]) -> list[tuple[str, str, float, float]]:
    """Return what each step costs at `TARGET`: name, unit, value, largest error of its fit."""
    wanted = (
        ("ingest", "h of one core", "ingest_s", "rows", 3600.0),
        ("features", "h of one core", "features_s", "both", 3600.0),
        ("backtest of every hour", "min of one core", "backtest_s", "hours", 60.0),
        ("the market in memory", "GiB", "arrays_mib", "cells", 1024.0),
        ("store", "GiB", "store_mib", "rows", 1024.0),
    )
    told = []
    for name, unit, column, cause, scale in wanted:
        found, error = fit([terms(cause, r) for r in rows], [r[column] for r in rows])
        told.append((name, unit, float(np.dot(found, terms(cause, TARGET))) / scale, error))
    return told


def main() -> None:
    """Measure every size, print the table and the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=Path, help="measure this sample in this process; prints JSON")
    asked = parser.parse_args()
    if asked.one:
        print("RESULT " + json.dumps(measure(asked.one)))
        return
    rows = []
    for days, per_hour in SIZES:
        with tempfile.TemporaryDirectory() as sample:
            # A process of its own: a child's peak begins with what its parent holds.
            made = ["--out", f"{sample}/data", "--days", str(days), "--rows-per-hour", str(per_hour)]
            subprocess.run(
                [sys.executable, "-m", "flows.cli.main", "sample-data", *made],
                check=True,
                capture_output=True,
            )
            words = [sys.executable, "-m", "benchmarks.scaling", "--one", f"{sample}/data"]
            done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        line = next(x for x in done.stdout.splitlines() if x.startswith("RESULT "))
        rows.append(json.loads(line.removeprefix("RESULT ")))
        r = rows[-1]
        print(
            f"{r['hours']:.0f} hours, {r['rows']:,.0f} rows, {r['pairs']:.0f} pairs, {r['instruments']:.0f} "
            f"instruments: ingest {r['ingest_s']:.1f} s, features {r['features_s']:.1f} s, "
            f"training {r['steps'] / r['train_s']:,.0f} steps/s, backtest {r['backtest_s']:.1f} s; peak "
            f"{r['start_mib']:.0f} MiB at first, {r['features_mib']:.0f} after features, "
            f"{r['train_mib']:.0f} after training; the market {r['arrays_mib']:.1f} MiB; "
            f"store {r['store_mib']:.1f} MiB",
            flush=True,
        )
    print("\nAt 10,000 pairs of 1,000 venues for 5 years:")
    for name, unit, value, error in models(rows):
        print(f"  {name}: {value:,.1f} {unit} (the fit is off by up to {100 * error:.0f} %)")


if __name__ == "__main__":
    main()
