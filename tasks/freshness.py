"""Whether the data is new enough to train on: a scanner that stopped is no reason to retrain on old rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from schemas.errors import DataError
from schemas.manifest import Ref
from tasks.store import Store, resolve_root


def refuse_stale(dataset: Ref, max_age_hours: float, *, now: datetime | None = None) -> None:
    """Refuse a data set whose newest row is too old.

    The opportunities decide: nothing can be entered on a market history that goes on alone.

    Args:
        dataset: What `ingest` made.
        max_age_hours: Hours that the newest opportunity may be old; 0 is no limit.
        now: The time it is, UTC; by default, of the clock.

    Raises:
        DataError: It is older.
    """
    if not max_age_hours:
        return
    told = json.loads((Store(resolve_root()).local(dataset) / "dataset.json").read_text(encoding="utf-8"))
    last = datetime.fromisoformat(told["last"])
    age = ((now or datetime.now(UTC)) - last).total_seconds() / 3600.0
    if age > max_age_hours:
        raise DataError(
            f"the data is stale: its newest opportunity is {last:%Y-%m-%d %H:%M} UTC, {age:,.1f} h ago, "
            f"and at most {max_age_hours:g} are allowed.",
            "max_data_age_hours",
            "Look whether the scanner still writes; a larger max_data_age_hours trains on old data.",
        )
