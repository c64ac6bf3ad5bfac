"""A scanner's file that grows by the hour: each hour costs an hour, and the end is that of one build."""

import hashlib
from pathlib import Path

import pytest

from rl.market.synthetic import write_sample
from schemas.trading import MarketRules
from tasks.features import features
from tasks.ingest import ingest
from tasks.store import Store

DAY_BEFORE = "2025-09-30"  # the sample begins on 1 September and has 31 days
HOURS = 24


def grown(lines, hour):
    """Return the lines a file has at an hour of its last day; rows that come late stand where they stand."""
    first = 1 + max(at for at, line in enumerate(lines) if line.startswith(DAY_BEFORE))
    return lines[: first + (len(lines) - first) * hour // HOURS]


def hashes(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def made(artifacts):
    """Return the days and the runs of lines that the memo of ingest knows."""
    memo = artifacts / "work" / "ingest"
    return [{path.name for path in memo.glob(f"*/{kind}/*.json")} for kind in ("days", "segments")]


@pytest.mark.timeout(900)
def test_a_day_of_hourly_appends_makes_one_day_each_time_and_ends_as_one_build(
    tmp_path: Path, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sample(tmp_path / "whole", days=31, rows_per_hour=6, seed=0)
    tables = {
        name: (tmp_path / "whole" / name).read_text(encoding="utf-8").splitlines(keepends=True)
        for name in ("opportunities.csv", "market_history.csv")
    }
    data = tmp_path / "data"
    data.mkdir()
    options = {"rules": MarketRules(), "episode_hours": 24}
    for hour in range(HOURS + 1):
        for name, lines in tables.items():
            (data / name).write_text("".join(grown(lines, hour)), encoding="utf-8")
        before = made(artifacts)
        dataset = ingest(data)
        days, runs = (now - then for now, then in zip(made(artifacts), before, strict=True))
        if hour == 0:
            assert len(days) == 60
            continue
        assert not dataset.hit
        assert (len(days), len(runs)) == (2, 2)  # of each table one
        if hour in (1, HOURS):
            built = features(dataset.ref, **options)
            known = len(Store(artifacts).refs("features-day"))
            assert built.manifest.summary["days"] - built.manifest.summary["days_reused"] <= (
                31 if hour == 1 else 2
            )
    assert known >= 31

    monkeypatch.setenv("CARRYFLOW_ARTIFACTS", str(tmp_path / "elsewhere"))
    once = ingest(data)
    assert once.ref == dataset.ref
    assert hashes(once.path) == hashes(dataset.path)
    assert hashes(features(once.ref, **options).path) == hashes(built.path)
