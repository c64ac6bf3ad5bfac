"""Raw files -> a data set: clean rows by day, the quarantine, and the quality report.

Pandas and pandera are imported when a data set is built, not when a command line asks what there is.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

from schemas.columns import TableName
from schemas.ingest.progress import OnProgress, Teller
from schemas.ingest.sources import Fingerprint, SourceFile, Sources, fingerprints

if TYPE_CHECKING:
    import pyarrow as pa

    from schemas.ingest.facts import DayFacts
    from schemas.ingest.instruments import Instruments
    from schemas.ingest.memo import Memo
    from schemas.ingest.merge import Day, MadeDay
    from schemas.ingest.parts import FileParts

LOG = logging.getLogger("carryflow")

MAX_BAD_FRACTION: Final = 0.05
SUMMARY_FILE: Final = "dataset.json"
QUALITY_FILE: Final = "quality.json"
QUARANTINE_FILE: Final = "quarantine.parquet"


class FileFacts(BaseModel):
    """One input file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    table: TableName
    sha256: str = Field(description="Of the bytes on disk.")
    bytes: int
    rows: int = Field(description="Rows in the file, bad ones included.")


class DatasetSummary(BaseModel):
    """What a data set holds; written as dataset.json. Times are ISO 8601 UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: tuple[str, ...] = Field(description="UTC days that have rows of either table.")
    opportunity_rows: int
    history_rows: int
    first: str = Field(description="First entry_time.")
    last: str = Field(description="Last entry_time.")
    has_history: bool
    history_first: str | None = Field(description="First history stamp.")
    history_last: str | None = Field(description="Last history stamp.")
    quarantined: int = Field(description="Rows of both tables that broke a rule.")
    duplicates: int = Field(description="Rows of both tables dropped as exact duplicates.")
    files: tuple[FileFacts, ...] = Field(description="Input files, by name.")


@dataclass(frozen=True)
class _Table:
    """A table that was read and made."""

    name: TableName
    files: tuple[FileParts, ...]
    days: dict[str, MadeDay]

    @property
    def facts(self) -> dict[str, DayFacts]:
        """Day -> what its clean rows look like."""
        return {name: day.record.facts for name, day in self.days.items()}


def build_dataset(
    sources: Sources,
    out_dir: Path,
    *,
    max_bad_fraction: float = MAX_BAD_FRACTION,
    bars_open_stamped: bool = False,
    instruments: Instruments | None = None,
    memo: Path | None = None,
    known: Mapping[SourceFile, Fingerprint] | None = None,
    on_progress: OnProgress | None = None,
) -> DatasetSummary:
    """Read, check and clean the files of a data set, and write it.

    The files are read in blocks, and a block's clean rows wait on disk, by day, until each day is put
    together: memory holds two blocks and two days, whatever the size. A day's rows are in an order that
    depends on what they say alone, so the data set is the same however its rows are spread over files.

    Nothing is written to `out_dir` before every row of every file has been judged.

    Args:
        sources: The files, as `discover` finds them.
        out_dir: An empty or new folder; gets opportunities/ and history/ by day, quarantine.parquet,
            quality.json and, last, dataset.json.
        max_bad_fraction: Largest share of a table's rows that may be quarantined.
        bars_open_stamped: The history's high and low are of the hour that begins at the row's stamp;
            they move to the row that ends it.
        instruments: Which symbols count a coin in thousands; None is no such table.
        memo: A folder that remembers what was read, for the next build with the same instruments: lines that
            were read are not read again, and days that stay are not made again. It may be deleted at any time
            and must not be used by two processes at once; None remembers nothing.
        known: The files' fingerprints, where they have been taken.
        on_progress: Told after each block of lines, and after each day.

    Raises:
        DataError: A file cannot be read as its table, changed while it was read, or too many rows are bad.
        ValueError: `out_dir` already holds something.
    """
    from schemas.ingest.memo import Damaged, Memo

    if out_dir.exists() and any(out_dir.iterdir()):
        raise ValueError(f"{out_dir} is not empty")
    known = known if known is not None else fingerprints(sources)
    with _workspace(memo, out_dir) as folder:
        remembered = Memo(folder)
        asked = max_bad_fraction, bars_open_stamped, instruments, on_progress
        try:
            return _build(sources, known, remembered, out_dir, *asked)
        except Damaged as damage:
            LOG.warning("%s was altered: reading all files again", damage)
        remembered.clear()
        if out_dir.exists():
            for left in out_dir.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        return _build(sources, known, remembered, out_dir, *asked)


@contextmanager
def _workspace(memo: Path | None, out_dir: Path) -> Iterator[Path]:
    if memo is not None:
        yield memo
        return
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".ingest-", dir=out_dir.parent) as folder:
        yield Path(folder)


def _build(
    sources: Sources,
    known: Mapping[SourceFile, Fingerprint],
    memo: Memo,
    out_dir: Path,
    max_bad_fraction: float,
    bars_open_stamped: bool,
    instruments: Instruments | None,
    on_progress: OnProgress | None,
) -> DatasetSummary:
    from schemas.ingest.files import WORKERS
    from schemas.ingest.merge import days_of
    from schemas.ingest.parts import (
        require_likely_units,
        require_mostly_good,
        require_one_period,
        require_rows,
    )
    from schemas.ingest.quality import QualityReport, table_quality
    from schemas.ingest.quarantine import write_quarantine

    asked: tuple[tuple[TableName, Sequence[SourceFile]], ...] = (
        ("opportunities", sources.opportunities),
        ("history", sources.history),
    )
    read: dict[TableName, tuple[FileParts, ...]] = {}
    tables: list[_Table] = []
    teller = Teller(on_progress, sum(known[file].size for file in sources.files))
    with ThreadPoolExecutor(WORKERS) as pool:
        for table, files in asked:
            if files:
                read[table] = _read(files, known, memo, pool, instruments, teller)
                for file in read[table]:
                    require_rows(file)
                require_mostly_good(table, read[table], max_bad_fraction)
                for file in read[table]:
                    require_likely_units(file)
                require_one_period(read[table])
        days = {
            table: days_of(table, [part.segment for file in parts for part in file.parts])
            for table, parts in read.items()
        }
        teller.days(sum(map(len, days.values())))
        for table, parts in read.items():
            made = _make_days(memo, table, days[table], pool, bars_open_stamped, teller)
            tables.append(_Table(table, parts, made))
    quality = [table_quality(table.name, table.files, table.facts) for table in tables]
    history = quality[1] if len(quality) > 1 else None
    report = QualityReport(opportunities=quality[0], history=history, unused_files=sources.unused)

    out_dir.mkdir(parents=True, exist_ok=True)
    for one in tables:
        _place_days(memo, one, out_dir)
    write_quarantine(out_dir / QUARANTINE_FILE, _quarantined(memo, tables))
    _write_json(out_dir / QUALITY_FILE, report)
    summary = DatasetSummary(
        days=tuple(sorted({day for made in tables for day in made.days})),
        opportunity_rows=quality[0].clean,
        history_rows=history.clean if history is not None else 0,
        first=quality[0].first,
        last=quality[0].last,
        has_history=history is not None,
        history_first=history.first if history is not None else None,
        history_last=history.last if history is not None else None,
        quarantined=sum(q.quarantined for q in quality),
        duplicates=sum(q.duplicates for q in quality),
        files=tuple(
            FileFacts(
                name=file.name,
                table=table.name,
                sha256=file.known.sha256,
                bytes=file.known.size,
                rows=file.rows,
            )
            for table in tables
            for file in table.files
        ),
    )
    _write_json(out_dir / SUMMARY_FILE, summary)
    memo.keep(
        [part.segment.id for table in tables for file in table.files for part in file.parts],
        [(table.name, file.known.sha256) for table in tables for file in table.files],
        [day.key for table in tables for day in table.days.values()],
    )
    return summary


def _read(
    files: Sequence[SourceFile],
    known: Mapping[SourceFile, Fingerprint],
    memo: Memo,
    pool: ThreadPoolExecutor,
    instruments: Instruments | None,
    teller: Teller,
) -> tuple[FileParts, ...]:
    from schemas.ingest.files import read_parts

    found = []
    for file in files:
        found.append(read_parts(file, known[file], memo, pool, instruments, teller.block))
        teller.file(known[file].size)
    return tuple(found)


def _make_days(
    memo: Memo,
    table: TableName,
    days: Sequence[Day],
    pool: ThreadPoolExecutor,
    bars_open_stamped: bool,
    teller: Teller,
) -> dict[str, MadeDay]:
    """Make the days of a table, several at once unless each needs the one before."""
    from schemas.ingest.merge import make_day

    found: dict[str, MadeDay] = {}
    if not (bars_open_stamped and table == "history"):
        made = pool.map(lambda day: make_day(memo, day, None, bars_open_stamped=False), days)
        for day, one in zip(days, made, strict=True):
            found[day.name] = one
            teller.day()
        return found
    before: MadeDay | None = None
    for day in days:
        found[day.name] = before = make_day(memo, day, before, bars_open_stamped=True)
        teller.day()
    return found


def _place_days(memo: Memo, table: _Table, out_dir: Path) -> None:
    """Put the days' files into a data set: the memo's own, under a second name where the disk can do that."""
    (out_dir / table.name).mkdir()
    for name, day in table.days.items():
        target = out_dir / table.name / f"{name}.parquet"
        try:
            os.link(memo.day_file(day.key), target)
        except OSError:
            shutil.copyfile(memo.day_file(day.key), target)


def _quarantined(memo: Memo, tables: Sequence[_Table]) -> Iterator[pa.Table]:
    from schemas.ingest.quarantine import read_listed

    for table in tables:
        for file in table.files:
            for part in file.parts:
                if part.segment.quarantine:
                    yield from read_listed(memo.quarantine(part.segment), file.name, table.name, part.line)


def _write_json(path: Path, model: BaseModel) -> None:
    content = json.dumps(model.model_dump(mode="json"), indent=2, allow_nan=False)
    path.write_text(content + "\n", encoding="utf-8")
