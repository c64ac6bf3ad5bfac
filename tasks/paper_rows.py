"""Which rows were there when an hour was decided, so that rows which come late are noticed.

A day is known by the number of its rows and the sum of their hashes, which does not depend on their order and
can be had of a part of it: of the rows at or before an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.columns import TIME_COLUMN, TableName, names
from schemas.manifest import Manifest
from schemas.paper import KnownDay, LateRows

TABLES: Final[tuple[TableName, ...]] = ("opportunities", "history")
_DAY_MS: Final = 86_400_000
Known = Mapping[TableName, Mapping[str, KnownDay]]


class DatasetRows:
    """The rows of a data set, by day and time; a day is read when it is asked for.

    Args:
        source: The artifact of `ingest`.
        manifest: Its manifest.
    """

    def __init__(self, source: Path, manifest: Manifest) -> None:
        self._source = source
        self._files: dict[TableName, dict[str, str]] = {table: {} for table in TABLES}
        for entry in manifest.files:
            folder, _, name = entry.path.partition("/")
            if folder in TABLES and name.endswith(".parquet"):
                self._files[folder][name.removesuffix(".parquet")] = entry.sha256
        self._read: dict[tuple[TableName, str], tuple[NDArray[np.int64], NDArray[np.uint64]]] = {}

    def known_by(self, hour_ms: int, before: Known | None = None) -> dict[TableName, dict[str, KnownDay]]:
        """Return what is there of every day, of the rows at or before an hour.

        Args:
            hour_ms: UTC epoch milliseconds.
            before: What was known at an earlier hour; days whose file is the same are not read again.
        """
        return {
            table: {
                day: self._day(table, day, hour_ms, (before or {}).get(table, {}).get(day))
                for day in sorted(days)
                if _begin_ms(day) <= hour_ms
            }
            for table, days in self._files.items()
        }

    def late(self, hour_ms: int, then: Known) -> LateRows:
        """Return what came of rows at or before an hour after that hour was decided.

        Args:
            hour_ms: The last hour decided.
            then: What was known when it was.
        """
        now = self.known_by(hour_ms, then)
        added = dict.fromkeys(TABLES, 0)
        altered = 0
        nothing = KnownDay(rows=0, digest=_hex(0), file="")
        for table in TABLES:
            was = then.get(table, {})
            for day in {*now[table], *was}:
                a, b = now[table].get(day, nothing), was.get(day, nothing)
                added[table] += max(0, a.rows - b.rows)
                altered += a.rows <= b.rows and a.digest != b.digest
        return LateRows(**added, altered_days=altered)

    def _day(self, table: TableName, day: str, hour_ms: int, before: KnownDay | None) -> KnownDay:
        file = self._files[table][day]
        if before is not None and before.file == file:
            return before  # all of it, then as now
        times, sums = self._rows(table, day)
        rows = int(np.searchsorted(times, hour_ms * 1000, side="right"))
        digest = int(sums[rows - 1]) if rows else 0
        return KnownDay(rows=rows, digest=_hex(digest), file=file if rows == len(times) else "")

    def _rows(self, table: TableName, day: str) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return the times of a day's rows in order, microseconds, and the running sum of their hashes."""
        if (table, day) not in self._read:
            columns = list(names(table))
            import pandas as pd  # a run that finds everything reads no row

            frame = pd.read_parquet(self._source / table / f"{day}.parquet", columns=columns)
            times = frame[TIME_COLUMN[table]].to_numpy("datetime64[us]").astype(np.int64)
            order = np.argsort(times, kind="stable")
            hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy(np.uint64)
            self._read[table, day] = times[order], np.cumsum(hashes[order], dtype=np.uint64)
        return self._read[table, day]


def _begin_ms(day: str) -> int:
    return int(np.datetime64(day, "ms").astype(np.int64))


def _hex(number: int) -> str:
    return f"{number:016x}"
