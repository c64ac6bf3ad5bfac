"""While data is read, a line says how far it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.ingest import Progress, blocks, build_dataset, discover
from tasks import ingest as ingest_module
from tasks import ui
from tasks.ingest import IngestProgress, ingest


def test_rows_bytes_and_days_only_grow_and_end_at_their_total(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 50_000)
    told: list[Progress] = []
    summary = build_dataset(
        discover(sample), tmp_path / "out", memo=tmp_path / "memo", on_progress=told.append
    )
    reading = [now for now in told if now.stage == "reading"]
    days = [now for now in told if now.stage == "days"]
    assert told == [*reading, *days] and len(reading) > 10
    assert [now.done for now in reading] == sorted({now.done for now in reading})
    assert {now.total for now in reading} == {sum(file.bytes for file in summary.files)} == {reading[-1].done}
    assert days[-1].rows == reading[-1].rows == sum(file.rows for file in summary.files)
    tables = 2
    assert [now.done for now in days] == list(range(1, tables * len(summary.days) + 1))
    assert {now.total for now in days} == {days[-1].done}

    told.clear()
    build_dataset(discover(sample), tmp_path / "again", memo=tmp_path / "memo", on_progress=told.append)
    assert {now.stage for now in told} == {"days"}  # what is known is not read


def test_the_line_says_rows_share_and_time_left_and_is_kept_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, shown, kept = [100.0], [], []
    monkeypatch.setattr(ingest_module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(ui, "say", lambda text, *, transient: shown.append(text))
    monkeypatch.setattr(ui, "note", kept.append)
    progress = IngestProgress()
    for seconds, now in (
        (6.0, Progress("reading", 100_000_000, 400_000_000, 380_000)),
        (12.0, Progress("reading", 200_000_000, 400_000_000, 760_000)),
        (24.0, Progress("reading", 400_000_000, 400_000_000, 1_520_000)),
        (25.0, Progress("days", 1, 300, 1_520_000)),
        (54.0, Progress("days", 30, 300, 1_520_000)),
    ):
        clock[0] = 100.0 + seconds
        progress(now)
    assert shown == [
        "Reading: 380,000 rows, 25% of 400 MB, ETA 18 s",
        "Reading: 760,000 rows, 50% of 400 MB, ETA 12 s",
        "Reading: 1,520,000 rows, 100% of 400 MB, ETA 0 s",
        "Putting days together: 1 of 300, 1,520,000 rows, ETA 4:59 min",
        "Putting days together: 30 of 300, 1,520,000 rows, ETA 4:30 min",
    ]
    assert kept == [shown[1], shown[2], shown[4]]


def test_ingest_says_it_in_the_terminal(artifacts: Path, sample: Path) -> None:
    lines: list[tuple[str, bool]] = []
    ui.set_terminal(lambda text, transient: lines.append((text, transient)))
    try:
        ingest(sample)
    finally:
        ui.set_terminal(None)
    assert any(text.startswith("Reading: ") and transient for text, transient in lines)
    assert any(text.startswith("Putting days together: ") for text, _ in lines)
