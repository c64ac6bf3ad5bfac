"""Ingest: raw CSV files to a clean data set, by day, with a report of what was found."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from schemas.ingest import (
    Instruments,
    Progress,
    build_dataset,
    discover,
    fingerprints,
    load_instruments,
    named_hashes,
)
from tasks import ui
from tasks.cache import Cached, run_cached, versions
from tasks.files import canonical_json, sha256_text
from tasks.fingerprint import code_fingerprint
from tasks.locks import hold
from tasks.progress import duration
from tasks.store import Store, resolve_root

STEP = "ingest"
_MODULES = ("tasks.ingest",)
PAGE_EVERY_S: Final = 10.0


def ingest(
    data: str | Path,
    history: str | Path | None = None,
    *,
    max_bad_fraction: float = 0.05,
    bars_open_stamped: bool = False,
    instruments: str | Path = "",
) -> Cached:
    """Read, repair, check and sort by day what the user gave.

    Args:
        data: A CSV file of opportunities, or a folder of files.
        history: A market history; empty or None is none of its own.
        max_bad_fraction: Share of rows that may be quarantined.
        bars_open_stamped: High and low of a history row are of the hour that begins at its stamp.
        instruments: Which symbols count a coin in thousands; empty takes instruments.csv in the data folder,
            if there is one.

    Returns:
        The data set; keyed by the bytes of the files, not by where they lie.

    Raises:
        DataError: The files are missing, unreadable, or too bad to use.
    """
    sources = discover(Path(data), Path(history) if history else None)
    units = load_instruments(Path(data), Path(instruments) if instruments else None)
    known = fingerprints(sources)
    root = resolve_root()

    def compute(folder: Path) -> Mapping[str, Any]:
        ui.say("Reading and checking the data")
        with _memo(root, units) as memo:
            summary = build_dataset(
                sources,
                folder,
                max_bad_fraction=max_bad_fraction,
                bars_open_stamped=bars_open_stamped,
                instruments=units,
                memo=memo,
                known=known,
                on_progress=IngestProgress(),
            )
        return summary.model_dump(mode="json")

    return run_cached(
        Store(root),
        STEP,
        modules=_MODULES,
        inputs=named_hashes(known) | ({} if units is None else {"instruments": units.sha256}),
        params={"max_bad_fraction": max_bad_fraction, "bars_open_stamped": bars_open_stamped},
        compute=compute,
    )


class IngestProgress:
    """Told after every block of lines, and every day: a line that changes, and now and then one to keep."""

    def __init__(self) -> None:
        self._stage = ""
        self._began = self._heard = self._logged = time.monotonic()

    def __call__(self, now: Progress) -> None:
        """Say how far it is; the time left is that of the stage."""
        clock = time.monotonic()
        if now.stage != self._stage:  # it began when the stage before it had ended
            self._stage, self._began = now.stage, self._heard
        self._heard = clock
        text = self.line(now, clock - self._began)
        ui.say(text, transient=True)
        if clock - self._logged >= PAGE_EVERY_S:
            ui.note(text)
            self._logged = clock

    def line(self, now: Progress, elapsed: float) -> str:
        """Return one line: what is done, of how much, time left.

        Args:
            now: How far it is.
            elapsed: Seconds since the stage began.
        """
        left = duration(elapsed * (now.total - now.done) / max(now.done, 1))
        if now.stage == "reading":
            share = now.done / max(now.total, 1)
            return f"Reading: {now.rows:,} rows, {share:.0%} of {now.total / 1e6:,.0f} MB, ETA {left}"
        return f"Putting days together: {now.done:,} of {now.total:,}, {now.rows:,} rows, ETA {left}"


@contextmanager
def _memo(root: Path, units: Instruments | None) -> Iterator[Path]:
    """Yield the folder that remembers what was read, for this process alone.

    What other code has read may mean something else, and so may what was read by another table of
    instruments: each has a folder, and those of others are removed.
    """
    folder = root / "work" / STEP
    with hold(
        root / "work" / "locks" / f"{STEP}.lock",
        purpose=STEP,
        on_wait=lambda owner: ui.say(f"Waiting for {owner or 'another process'}, which is reading data too"),
    ):
        reader = [code_fingerprint(*_MODULES), versions(), "" if units is None else units.sha256]
        mine = folder / sha256_text(canonical_json(reader))[:16]
        for other in folder.glob("*"):
            if other != mine:
                shutil.rmtree(other, ignore_errors=True)
        yield mine
