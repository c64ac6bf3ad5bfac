"""A fact goes into the ledger once, however often the cached step behind it is asked for."""

from __future__ import annotations

from pathlib import Path

from tasks.ledger import Ledger
from tasks.openings import record_opening, record_trial

OPENING = {
    "data": "d",
    "window": ["2025-01-01T00:00:00+00:00", "2025-01-02T00:00:00+00:00"],
    "version": "v",
    "trial": "t",
    "config": "c",
    "purpose": "promotion",
    "result": {"moderate": {"agent": 1.5, "cash": float("nan")}},
}


def test_the_same_opening_is_written_once(tmp_path: Path) -> None:
    for _ in range(3):
        record_opening(tmp_path, "b", **OPENING)
    [line] = Ledger(tmp_path, "b").read("opening")
    assert (line["version"], line["trial"], line["purpose"]) == ("v", "t", "promotion")
    assert line["result"] == {"moderate": {"agent": 1.5, "cash": None}}
    assert {"time", "user", "book", "flow_run"} <= set(line)


def test_another_window_version_config_purpose_or_data_is_another_opening(tmp_path: Path) -> None:
    record_opening(tmp_path, "b", **OPENING)
    for name in ("data", "version", "config", "purpose"):
        record_opening(tmp_path, "b", **(OPENING | {name: "other"}))
    record_opening(
        tmp_path, "b", **(OPENING | {"window": ["2025-01-01T00:00:00+00:00", "2025-01-03T00:00:00+00:00"]})
    )
    assert len(Ledger(tmp_path, "b").read("opening")) == 6


def test_books_do_not_know_of_each_other(tmp_path: Path) -> None:
    record_opening(tmp_path, "b", **OPENING)
    record_opening(tmp_path, "c", **OPENING)
    assert len(Ledger(tmp_path, "b").read()) == len(Ledger(tmp_path, "c").read()) == 1


def test_a_trial_is_written_once_per_version(tmp_path: Path) -> None:
    for version in ("v", "v", "w"):  # a run cut by its budget, twice, then finished
        record_trial(tmp_path, "b", trial="t", version=version, seed=0)
    assert [line["version"] for line in Ledger(tmp_path, "b").read("trial")] == ["v", "w"]
