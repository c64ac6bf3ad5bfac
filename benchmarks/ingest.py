"""Ingest, validation and features beside the bare reading and writing of the same file; and growth with size.

Each figure comes from a process of its own that has imported what it needs before the clock starts. Both
sides may use two threads, and take turns. Seconds of the clock are what a person waits; on a machine that
does other work at the same time, seconds of the processor compare better, so both are told.

`python -m benchmarks.ingest --large` goes on to 20,000,000 rows (5 GB of CSV, 12 GB of disk, minutes).
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

ROWS = 1_000_000
GROWTH = (100_000, 1_000_000, 3_000_000)
LARGE = 20_000_000
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


def bare(path: Path, scratch: Path) -> None:
    """Read the file and write it as Parquet, nothing else."""
    import pyarrow.parquet as pq
    from pyarrow import csv

    pq.write_table(csv.read_csv(path), scratch / "bare.parquet")


def ingested(path: Path, scratch: Path) -> None:
    """Build the data set."""
    from schemas.ingest import build_dataset, discover

    build_dataset(discover(path), scratch / "dataset", memo=scratch / "memo")


def with_features(path: Path, scratch: Path) -> None:
    """Run the two steps of a run, into an empty store."""
    from schemas.trading import MarketRules
    from tasks.features import features
    from tasks.ingest import ingest

    os.environ["CARRYFLOW_ARTIFACTS"] = str(scratch / "artifacts")
    dataset = ingest(path)
    built = time.perf_counter()
    features(dataset.ref, rules=MarketRules(), episode_hours=336)
    print(f"  of this, features: {time.perf_counter() - built:.1f} s", file=sys.stderr)


WORK: dict[str, Callable[[Path, Path], None]] = {
    "bare": bare,
    "ingest": ingested,
    "ingest+features": with_features,
}


def measured_here(what: str, path: Path) -> dict[str, float]:
    """Do one kind of work in this process; returns seconds, seconds of the processor, and peak memory."""
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
        began, busy = time.perf_counter(), time.process_time()
        WORK[what](path, Path(scratch))
        seconds, processor = time.perf_counter() - began, time.process_time() - busy
    return {"seconds": seconds, "processor": processor, "mib": peak_mib()}


def peak_mib() -> float:
    """Return the most memory this process has had.

    What getrusage tells begins with that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(what: str, path: Path) -> dict[str, float]:
    """Do one kind of work in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.ingest", "--measure", what, str(path)]
    told = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(told.stdout)
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
    """Print the ratio."""
    turns: list[tuple[dict[str, float], dict[str, float]]] = []
    for _ in range(repeats):
        turns.append((measure("bare", path), measure("ingest+features", path)))
    print(f"{'':34}{'clock, s':>10}{'processor, s':>14}{'peak, MiB':>11}")
    best: list[dict[str, float]] = []
    for name, side in (("read_csv + write_table", 0), ("ingest + validation + features", 1)):
        best.append({key: min(turn[side][key] for turn in turns) for key in turns[0][0]})
        print(f"{name:34}{best[-1]['seconds']:10.1f}{best[-1]['processor']:14.1f}{best[-1]['mib']:11.0f}")
    clock, processor = (best[1][key] / best[0][key] for key in ("seconds", "processor"))
    print(f"{'ratio (goal ' + format(GOAL, 'g') + ')':34}{clock:10.1f}{processor:14.1f}")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--growth", type=int, nargs="*", default=list(GROWTH), help="Rows.")
    parser.add_argument("--large", action="store_true", help=f"Also {LARGE:,} rows.")
    parser.add_argument("--folder", type=Path, help="Where the files go; a temporary folder by default.")
    parser.add_argument("--measure", nargs=2, metavar=("WORK", "FILE"), help=argparse.SUPPRESS)
    args: Any = parser.parse_args()
    if args.measure:
        print(json.dumps(measured_here(args.measure[0], Path(args.measure[1]))))
        return
    sizes = [*args.growth, *([LARGE] if args.large else [])]
    with tempfile.TemporaryDirectory(prefix="carryflow-ingest-", dir=args.folder) as scratch:
        needed = 650 * max([*sizes, ROWS])
        if (free := shutil.disk_usage(scratch).free) < needed:
            sys.exit(f"{needed >> 30} GiB of disk are needed in {scratch}, {free >> 30} are free.")
        if args.repeats:
            for rows, path in files(Path(scratch) / "ratio", [ROWS]):
                print(f"{rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB")
                compare(path, args.repeats)
        print(f"{'rows':>12}{'MB':>8}{'clock, s':>10}{'processor, s':>14}{'us a row':>10}{'peak, MiB':>11}")
        for rows, path in files(Path(scratch) / "growth", sizes):
            one, size = measure("ingest", path), path.stat().st_size / 1e6
            print(f"{rows:12,}{size:8,.0f}{one['seconds']:10.1f}{one['processor']:14.1f}"
                  f"{1e6 * one['processor'] / rows:10.1f}{one['mib']:11.0f}", flush=True)  # fmt: skip
        print(f"the limit of memory is {LIMIT_MIB} MiB; a row's time is that of the processor")


if __name__ == "__main__":
    main()
