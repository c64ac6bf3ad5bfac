"""Ingest: raw CSV files to a clean data set, by day, with a report of what was found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.ingest import build_dataset, discover, input_fingerprint, load_instruments
from tasks import ui
from tasks.cache import Cached, run_cached
from tasks.store import Store, resolve_root

STEP = "ingest"


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

    def compute(folder: Path) -> Mapping[str, Any]:
        ui.say("Reading and checking the data")
        summary = build_dataset(
            sources,
            folder,
            max_bad_fraction=max_bad_fraction,
            bars_open_stamped=bars_open_stamped,
            instruments=units,
        )
        return summary.model_dump(mode="json")

    return run_cached(
        Store(resolve_root()),
        STEP,
        modules=("tasks.ingest",),
        inputs=input_fingerprint(sources) | ({} if units is None else {"instruments": units.sha256}),
        params={"max_bad_fraction": max_bad_fraction, "bars_open_stamped": bars_open_stamped},
        compute=compute,
    )
