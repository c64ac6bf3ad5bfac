"""Ingest, validation and features beside the bare reading and writing of the same file; and growth with size.

Each figure comes from a process of its own that has imported what it needs before the clock starts. Both
sides may use two threads, and take turns. Seconds of the clock are what a person waits; on a machine that
does other work at the same time, seconds of the processor compare better, so both are told.

Growth is shown with 0.1, 1, 5 and 20 million rows (5 GB of CSV, 13 GB of disk, some minutes; `--growth`
names other sizes). A line is laid through seconds of the processor, each size counting for its share and not
for its seconds: a start that costs the same whatever the size, and a time for each row.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Measured = dict[str, dict[str, float]]

ROWS = 1_000_000
GROWTH = (100_000, 1_000_000, 5_000_000, 20_000_000)
GOAL = 5.0
LIMIT_MIB = 1536
TILE_DAYS = 28
ROWS_PER_HOUR = 230  # of a real scanner
TIMES = ("entry_time", "long_next_funding_time", "short_next_funding_time")


def write_rows(sample: Path, rows: int, path: Path) -> None:
    """Write a file of so many rows: the generated market's weeks, one after the other."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    names = sample.open(encoding="utf-8").readline().strip().split(",")
    convert = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    tile = csv.read_csv(sample, convert_options=convert).combine_chunks()
    stamps = {}
    for name in TIMES:
        shaped = pc.match_substring_regex(tile[name], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        known = pc.if_else(shaped, tile[name], pa.scalar(None, pa.string()))
        stamps[name] = pc.cast(known, pa.timestamp("ms", "UTC"))
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as file:
        file.write((",".join(names) + "\n").encode())
        for number in range(-(-rows // tile.num_rows)):
            part = tile
            later = pa.scalar(number * TILE_DAYS * 86_400_000, pa.duration("ms"))
            for name, stamp in stamps.items():
                text = pc.strftime(pc.add(stamp, later), "%Y-%m-%dT%H:%M:%SZ")
                at = names.index(name)
                part = part.set_column(at, name, pc.coalesce(text, tile[name]))
            csv.write_csv(part.slice(0, rows - number * tile.num_rows), file, options)


def bare(path: Path, scratch: Path) -> Iterator[str]:
    """Read the file and write it as Parquet, nothing else."""
    import pyarrow.parquet as pq
    from pyarrow import csv

    pq.write_table(csv.read_csv(path), scratch / "bare.parquet")
    yield "read_csv + write_table"


def ingested(path: Path, scratch: Path) -> Iterator[str]:
    """Build the data set."""
    from schemas.ingest import build_dataset, discover

    build_dataset(discover(path), scratch / "dataset", memo=scratch / "memo")
    yield "ingest + validation"


def with_features(path: Path, scratch: Path) -> Iterator[str]:
    """Run the two steps of a run, into an empty store."""
    from schemas.trading import MarketRules
    from tasks.features import features
    from tasks.ingest import ingest

    os.environ["CARRYFLOW_ARTIFACTS"] = str(scratch / "artifacts")
    dataset = ingest(path)
    yield "ingest + validation"
    features(dataset.ref, rules=MarketRules(), episode_hours=336)
    yield "features"


WORK: dict[str, Callable[[Path, Path], Iterator[str]]] = {
    "bare": bare,
    "ingest": ingested,
    "ingest+features": with_features,
}


def measured_here(what: str, path: Path) -> Measured:
    """Do one kind of work in this process; returns its parts, and their sum under `all`."""
    import pandera.pandas
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    import rl.market.assemble
    import rl.market.build
    import schemas.ingest.merge
    import schemas.ingest.order
    import schemas.ingest.quality
    import schemas.tables
    import tasks.fingerprint

    assert pandera.pandas and rl.market.assemble and schemas.tables  # imported before the clock starts
    tasks.fingerprint.code_fingerprint("tasks.ingest")
    tasks.fingerprint.code_fingerprint("tasks.features")
    pa.set_cpu_count(2)
    with tempfile.TemporaryDirectory(prefix="measured-", dir=path.parent) as scratch:
        clocks = [(time.perf_counter(), time.process_time())]
        found: Measured = {}
        for part in WORK[what](path, Path(scratch)):
            clocks.append((time.perf_counter(), time.process_time()))
            found[part] = _between(*clocks[-2:])
        found["all"] = _between(clocks[0], clocks[-1])
    return found


def _between(began: tuple[float, float], ended: tuple[float, float]) -> dict[str, float]:
    return {"seconds": ended[0] - began[0], "processor": ended[1] - began[1], "mib": peak_mib()}


def peak_mib() -> float:
    """Return the most memory this process has had.

    What getrusage tells begins with that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(what: str, path: Path) -> Measured:
    """Do one kind of work in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.ingest", "--measure", what, str(path)]
    told = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    found: Measured = json.loads(told.stdout)
    return found


def files(folder: Path, sizes: list[int]) -> Iterator[tuple[int, Path]]:
    """Yield generated files, one at a time: each is removed before the next is made."""
    from rl.market.synthetic import write_sample

    write_sample(folder / "sample", days=TILE_DAYS, rows_per_hour=ROWS_PER_HOUR, seed=0)
    for rows in sizes:
        path = folder / f"{rows}.csv"
        write_rows(folder / "sample" / "opportunities.csv", rows, path)
        yield rows, path
        path.unlink()


def compare(path: Path, repeats: int) -> None:
    """Print the ratio: of each side the fastest of its turns, which other work has disturbed least."""
    turns: dict[str, list[Measured]] = {"bare": [], "ingest+features": []}
    for _ in range(repeats):
        for what, measured in turns.items():
            measured.append(measure(what, path))
    print(f"{'':34}{'clock, s':>10}{'processor, s':>14}{'peak, MiB':>11}")
    best: dict[str, dict[str, float]] = {}
    for measured in turns.values():
        for part in measured[0]:
            row = {key: min(turn[part][key] for turn in measured) for key in measured[0][part]}
            best[part] = row
            if part != "all" or len(measured[0]) > 2:  # what has one part is that part
                print(f"{part:34}{row['seconds']:10.1f}{row['processor']:14.1f}{row['mib']:11.0f}")
    bottom = best["read_csv + write_table"]
    clock, processor = (best["all"][key] / bottom[key] for key in ("seconds", "processor"))
    print(f"{'ratio (goal ' + format(GOAL, 'g') + ')':34}{clock:10.1f}{processor:14.1f}")


def grow(folder: Path, sizes: list[int]) -> None:
    """Print what each size costs, and the line through them."""
    print(f"{'rows':>12}{'MB':>8}{'clock, s':>10}{'rows/s':>10}{'processor, s':>14}{'peak, MiB':>11}")
    found, most = [], 0.0
    for rows, path in files(folder, sizes):
        one, size = measure("ingest", path)["all"], path.stat().st_size / 1e6
        found.append((rows, one["processor"]))
        most = max(most, one["mib"])
        print(f"{rows:12,}{size:8,.0f}{one['seconds']:10.1f}{rows / one['seconds']:10,.0f}"
              f"{one['processor']:14.1f}{one['mib']:11.0f}", flush=True)  # fmt: skip
    print(f"the limit of memory is {LIMIT_MIB} MiB: {'kept' if most <= LIMIT_MIB else 'NOT KEPT'}")
    if len(found) > 2:
        rows, seconds = np.array(found).T
        # Divided by the seconds, so that the largest does not decide alone.
        (start, each), *_ = np.linalg.lstsq(
            np.stack([1.0 / seconds, rows / seconds], axis=1), np.ones(len(found)), rcond=None
        )
        off = " ".join(f"{100.0 * ((start + each * n) / s - 1.0):+.0f} %" for n, s in found)
        slope = np.polyfit(np.log(rows), np.log(seconds), 1)[0]
        print(f"a line: {start:.1f} s and {1e6 * each:.2f} us of the processor a row; it is off by {off}")
        print(f"seconds grow as rows to the power of {slope:.2f}: 1 is linear, 2 would be quadratic")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--growth", type=int, nargs="*", default=list(GROWTH), help="Rows.")
    parser.add_argument("--folder", type=Path, help="Where the files go; a temporary folder by default.")
    parser.add_argument("--measure", nargs=2, metavar=("WORK", "FILE"), help=argparse.SUPPRESS)
    args: Any = parser.parse_args()
    if args.measure:
        print(json.dumps(measured_here(args.measure[0], Path(args.measure[1]))))
        return
    with tempfile.TemporaryDirectory(prefix="carryflow-ingest-", dir=args.folder) as scratch:
        needed = 650 * max([*args.growth, ROWS])
        if (free := shutil.disk_usage(scratch).free) < needed:
            sys.exit(f"{needed >> 30} GiB of disk are needed in {scratch}, {free >> 30} are free.")
        if args.repeats:
            for rows, path in files(Path(scratch) / "ratio", [ROWS]):
                print(f"{rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB")
                compare(path, args.repeats)
        grow(Path(scratch) / "growth", args.growth)


if __name__ == "__main__":
    main()
