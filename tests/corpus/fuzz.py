"""Broken files by the thousand: each one is read or refused in a sentence, in time, and no row is lost.

    python -m tests.corpus.fuzz --files 10000 --seed 0

Half of the files are tables as Hypothesis makes them, half are the bytes of valid files after a few changes.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import hypothesis
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, settings

from schemas.errors import DataError
from schemas.ingest import build_dataset, discover
from tests.corpus.failure import require_clean_failure
from tests.corpus.mutate import broken_file
from tests.corpus.oracle import count_rows, unpacked
from tests.corpus.rows import opportunity, to_csv
from tests.corpus.strategies import files

SECONDS = 30.0
"""Processor time that a file may take; the usual one takes a twentieth of a second."""
STUCK_SECONDS = 300
"""After these the process is ended with the stack of every thread: something waits for what never comes."""


class TooSlow(Exception):
    """A file took longer than it may."""


@dataclass
class Tally:
    """What became of the files.

    Attributes:
        files: How many there were.
        clean: Of these, read without a row set aside.
        partly: Of these, read with rows set aside.
        refused: Kind of refusal -> files.
        rows: Rows in, clean, quarantined, duplicates, of the files that were read.
        failures: What should not have been: name of the kept file -> traceback.
        slowest: Seconds, and the name of the file.
    """

    files: int = 0
    clean: int = 0
    partly: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")

    def lines(self) -> Iterator[str]:
        """Yield the tally as text."""
        yield f"{self.files} files: {self.clean} clean, {self.partly} with rows set aside, "
        yield f"  {self.refused.total()} refused, {len(self.failures)} failures"
        yield "rows: " + ", ".join(f"{count:,} {name}" for name, count in self.rows.items())
        yield f"slowest: {self.slowest[0]:.2f} s ({self.slowest[1]})"
        for kind, count in self.refused.most_common():
            yield f"{count:7} {kind}"
        for name, said in self.failures.items():
            yield f"FAILED {name}: {said}"


def fuzz(count: int, seed: int, root: Path, keep: Path | None = None) -> Tally:
    """Read many broken files.

    Args:
        count: How many.
        seed: The same seed gives the same files.
        root: A folder to work in.
        keep: Where files that fail are copied to.
    """
    tally = Tally()
    chance = random.Random(seed)
    for _ in range(count // 2):
        _try(tally, *broken_file(chance), root, keep)

    @hypothesis.seed(seed)
    @settings(
        max_examples=count - count // 2, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(files())
    def read(file: tuple[str, bytes]) -> None:
        _try(tally, *file, root, keep)

    read()
    return tally


def _try(tally: Tally, name: str, data: bytes, root: Path, keep: Path | None) -> None:
    folder = root / "one"
    folder.mkdir()
    tally.files += 1
    told = f"{tally.files:05d}-{name}"
    try:
        begun = time.perf_counter()
        with _limit(SECONDS):
            _read(tally, name, data, folder)
        tally.slowest = max(tally.slowest, (time.perf_counter() - begun, told))
    except Exception:  # noqa: BLE001  whatever it is, the next file is tried too
        tally.failures[told] = traceback.format_exc()
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / told).write_bytes(data)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Raise after some seconds of work; end the process with all its stacks if it is stuck."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _read(tally: Tally, name: str, data: bytes, folder: Path) -> None:
    """Read one file: opportunities alone, a history beside good opportunities."""
    path, out = folder / name, folder / "out"
    path.write_bytes(data)
    given_as = (path, None)
    if name.startswith("history"):
        beside = folder / "good.csv"
        beside.write_text(to_csv([opportunity(hour) for hour in range(3)]), encoding="utf-8")
        given_as = (beside, path)
    try:
        sources = discover(*given_as)
        build_dataset(sources, out, max_bad_fraction=0.999)
    except DataError as error:
        require_clean_failure(error, out)
        tally.refused[_kind(error)] += 1
        return
    quality = json.loads((out / "quality.json").read_text(encoding="utf-8"))
    of = "history" if name.startswith("history") else "opportunities"
    table = quality[of]
    parts = {part: table[part] for part in ("rows_in", "clean", "quarantined", "duplicates")}
    counted = count_rows(unpacked(path))
    if parts["rows_in"] != counted:
        raise AssertionError(f"{counted} rows in the file, {parts['rows_in']} rows in")
    if parts["rows_in"] != parts["clean"] + parts["quarantined"] + parts["duplicates"]:
        raise AssertionError(f"rows are lost: {parts}")
    written = sum(pq.read_metadata(day).num_rows for day in (out / of).iterdir())
    if written != parts["clean"]:
        raise AssertionError(f"{parts['clean']} clean rows, {written} written")
    tally.rows.update(parts)
    if parts["quarantined"]:
        tally.partly += 1
    else:
        tally.clean += 1


def _kind(error: DataError) -> str:
    """Return what a refusal says without what it says it of."""
    said = re.sub(r"'(?:[^'\\]|\\.)*'|\"[^\"]*\"", "...", error.what)
    said = re.sub(r"lacks (the|\d+) column.*", "lacks columns.", said)
    return re.sub(r"0x[0-9a-f]{2}|[-+]?\d[\d.,]*", "N", said)[:110]


def main() -> int:
    """Run the fuzzer; 1 if a file was not read or refused as it should be."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--files", type=int, default=10_000)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--keep", type=Path, help="folder that gets the files that fail")
    answer = asked.parse_args()
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as root:
        tally = fuzz(answer.files, answer.seed, Path(root), answer.keep)
    print("\n".join(tally.lines()))
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
