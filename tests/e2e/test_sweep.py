"""The sweep by its command, with a real Prefect server: trials side by side come to the same as alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.ledger import Ledger
from tests.e2e.helpers import Run
from tests.flows.test_sweep_flow import SEARCH, TINY, found_in, search

pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
pytestmark = pytest.mark.prefect


def words(sample: Path) -> list[str]:
    """Return the words of a sweep of four tiny trials, two at a time."""
    said = ["sweep", "--data", str(sample), "--book", "b", "--trials", "4", "--seed", "3", "--batch", "2"]
    said += ["--num-episodes", "8", "--random-trials", "4", "--bar-after", "1", "--rung", "0.5"]
    said += [word for name, value in TINY.items() for word in ("--set", f"training.{name}={value}")]
    ranges = [f"{name}={values.as_typed()}" for name, values in SEARCH.space.items()]
    return said + [word for text in ranges for word in ("--search", text)]


def test_trials_in_a_pool_of_processes_come_to_what_they_come_to_one_after_the_other(
    run: Run, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "beside"
    done = run(*words(sample), "--runner", "process", "--workers", "2", root=beside)
    assert "Trial 3 (4 of 4 ended; " in done.err
    assert f"Next, judge it on the sealed window:\n  carryflow run --data {sample} --book b" in done.out
    alone = tmp_path / "artifacts"
    monkeypatch.setenv("CARRYFLOW_ARTIFACTS", str(alone))
    config = SEARCH.model_copy(update={"batch": 2, "bar_after": 1})
    result, _ = search(monkeypatch, sample, trials=4, search=config)
    assert found_in(beside, result) == found_in(alone, result)
    lines = [sorted(line["trial"] for line in Ledger(root, "b").read("trial")) for root in (beside, alone)]
    assert lines[0] == lines[1]
