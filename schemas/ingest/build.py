"""Raw files -> a data set: clean rows by day, the quarantine, and the quality report.

Pandas and pandera are imported when a data set is built, not when a command line asks what there is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

from schemas.columns import TIME_COLUMN, TableName
from schemas.errors import DataError
from schemas.ingest.sources import SourceFile, Sources

if TYPE_CHECKING:
    import pandas as pd

    from schemas.ingest.clean import Cleaned
    from schemas.ingest.instruments import Instruments
    from schemas.ingest.parse import ParsedTable
    from schemas.ingest.quarantine import Origins
    from schemas.ingest.read import RawTable

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
    files: tuple[FileFacts, ...] = Field(description="Input files in the order of their rows.")


def build_dataset(
    sources: Sources,
    out_dir: Path,
    *,
    max_bad_fraction: float = MAX_BAD_FRACTION,
    bars_open_stamped: bool = False,
    instruments: Instruments | None = None,
) -> DatasetSummary:
    """Read, check and clean the files of a data set, and write it.

    Nothing is written before every row of every file has been judged.

    Args:
        sources: The files, as `discover` finds them.
        out_dir: An empty or new folder; gets opportunities/ and history/ by day, quarantine.parquet,
            quality.json and, last, dataset.json.
        max_bad_fraction: Largest share of a table's rows that may be quarantined.
        bars_open_stamped: The history's high and low are of the hour that begins at the row's stamp;
            they move to the row that ends it.
        instruments: Which symbols count a coin in thousands; None is no such table.

    Raises:
        DataError: A file cannot be read as its table, or too many rows are bad.
        ValueError: `out_dir` already holds something.
    """
    import pandas as pd

    from schemas.ingest.days import write_days
    from schemas.ingest.quality import QualityReport, table_quality
    from schemas.ingest.quarantine import write_quarantine

    if out_dir.exists() and any(out_dir.iterdir()):
        raise ValueError(f"{out_dir} is not empty")
    opportunities = _judge("opportunities", sources.opportunities, max_bad_fraction, instruments=instruments)
    history = None
    if sources.history:
        history = _judge("history", sources.history, max_bad_fraction, bars_open_stamped, instruments)
    judged = [table for table in (opportunities, history) if table is not None]
    quality = [table_quality(*table) for table in judged]
    report = QualityReport(
        opportunities=quality[0],
        history=quality[1] if history is not None else None,
        unused_files=sources.unused,
    )

    out_dir.mkdir(parents=True, exist_ok=True)
    days: set[str] = set()
    for origins, cleaned, _ in judged:
        days |= set(write_days(cleaned.frame, origins.table, out_dir / origins.table))
    listed = pd.concat([bad for _, _, bad in judged], ignore_index=True)
    write_quarantine(out_dir / QUARANTINE_FILE, listed)
    _write_json(out_dir / QUALITY_FILE, report)
    summary = DatasetSummary(
        days=tuple(sorted(days)),
        opportunity_rows=quality[0].clean,
        history_rows=quality[1].clean if history is not None else 0,
        first=quality[0].first,
        last=quality[0].last,
        has_history=history is not None,
        history_first=quality[1].first if history is not None else None,
        history_last=quality[1].last if history is not None else None,
        quarantined=sum(q.quarantined for q in quality),
        duplicates=sum(q.duplicates for q in quality),
        files=tuple(
            FileFacts(
                name=file.name,
                table=file.table,
                sha256=raw.sha256,
                bytes=raw.size,
                rows=raw.text.num_rows + len(raw.broken),
            )
            for origins, _, _ in judged
            for file, raw in zip(origins.files, origins.raws, strict=True)
        ),
    )
    _write_json(out_dir / SUMMARY_FILE, summary)
    return summary


def _judge(
    table: TableName,
    files: Sequence[SourceFile],
    max_bad_fraction: float,
    bars_open_stamped: bool = False,
    instruments: Instruments | None = None,
) -> tuple[Origins, Cleaned, pd.DataFrame]:
    """Read the files of a table, and part good rows from bad ones."""
    import pandas as pd

    from schemas.ingest.clean import broken_rules, clean_table
    from schemas.ingest.instruments import apply_instruments
    from schemas.ingest.parse import parse_table
    from schemas.ingest.quarantine import (
        Origins,
        quarantine_table,
        require_mostly_good,
    )
    from schemas.ingest.read import read_table

    raws = tuple(read_table(file.path, table) for file in files)
    parsed = [parse_table(raw, table) for raw in raws]
    for file, raw, one in zip(files, raws, parsed, strict=True):
        _require_times(file, raw, one)
    origins = Origins(table, tuple(files), raws)
    frame = pd.concat([one.frame for one in parsed], ignore_index=True)
    mapped = None if instruments is None else apply_instruments(frame, table, instruments)
    frame = frame if mapped is None else mapped.frame
    unreadable = pd.DataFrame(
        [
            (start + bad.row, bad.column, bad.rule)
            for start, one in zip(origins.starts, parsed, strict=False)
            for bad in one.unreadable
        ],
        columns=["position", "column", "rule"],
    )
    # A value that could not be read is null by now; only readable rows are held against the rules.
    readable = frame[~frame.index.isin(unreadable["position"])]
    broken = broken_rules(readable, table)
    listed = quarantine_table(origins, pd.concat([unreadable, broken], ignore_index=True))
    require_mostly_good(origins, listed, max_bad_fraction)
    good = readable[~readable.index.isin(broken["position"])]
    cleaned = clean_table(good, table, bars_open_stamped=bars_open_stamped)
    if mapped is not None:
        cleaned = replace(cleaned, counts=mapped.counts | cleaned.counts)
    return origins, cleaned, listed


def _require_times(file: SourceFile, raw: RawTable, parsed: ParsedTable) -> None:
    """Raise if not one time of a file can be read: its format is wrong, not its rows."""
    column = TIME_COLUMN[file.table]
    bad = [one for one in parsed.unreadable if one.column == column]
    if not bad or parsed.frame[column].notna().any():
        return
    text = raw.text.column(raw.header.found[column])[bad[0].row].as_py()
    raise DataError(
        f"has no readable time: the first is {text!r}.",
        f"{file.path}, column {column!r}, row {raw.line[bad[0].row]}",
        "Write times as 2025-10-03T16:00:00Z (without a zone: UTC) or as an epoch in s, ms, us or ns.",
    )


def _write_json(path: Path, model: BaseModel) -> None:
    content = json.dumps(model.model_dump(mode="json"), indent=2, allow_nan=False)
    path.write_text(content + "\n", encoding="utf-8")
