"""The fuzzer finds nothing, and would find what it looks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.ingest import build_dataset
from tests.corpus import fuzz as fuzzer


def test_broken_files_are_read_or_refused_in_time_without_losing_a_row(tmp_path: Path) -> None:
    tally = fuzzer.fuzz(100, seed=0, root=tmp_path)
    assert not tally.failures, "\n".join(tally.lines())
    assert tally.clean + tally.partly + tally.refused.total() == tally.files == 100
    assert tally.partly > 20 and tally.refused.total() > 20 and len(tally.refused) > 5


def test_the_same_seed_breaks_files_in_the_same_way(tmp_path: Path) -> None:
    first, again = (fuzzer.fuzz(20, seed=3, root=tmp_path) for _ in range(2))
    assert (first.refused, first.rows) == (again.refused, again.rows)


def losing_a_line(sources, out, **options):
    for file in sources.files:
        if file.path.suffix == ".csv":
            content = file.path.read_bytes()
            file.path.write_bytes(content[: content.rstrip().rfind(b"\n") + 1])
            build_dataset(sources, out, **options)
            file.path.write_bytes(content)


def never_done(sources, out, **options):
    while True:
        pass


def broken(sources, out, **options):
    raise KeyError("entry_time")


@pytest.mark.parametrize(
    ("defect", "said", "seconds"),
    [
        (losing_a_line, "rows in the file", 30.0),
        (never_done, "TooSlow", 0.2),
        (broken, "KeyError: 'entry_time'", 30.0),
    ],
)
def test_a_lost_row_a_hang_and_a_traceback_are_failures_and_kept(
    monkeypatch, tmp_path, defect, said, seconds
) -> None:
    monkeypatch.setattr(fuzzer, "build_dataset", defect)
    monkeypatch.setattr(fuzzer, "SECONDS", seconds)
    tally = fuzzer.fuzz(6, seed=4, root=tmp_path, keep=tmp_path / "kept")
    assert tally.failures
    assert all(said in told for told in tally.failures.values())
    assert {path.name for path in (tmp_path / "kept").iterdir()} == set(tally.failures)
