"""`carryflow audit`: a table and exit code 0, the first difference and 1, one line and 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rl.market.scaler import Scaler
from schemas.audit import AuditReport


@pytest.fixture(scope="module")
def audited_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts that the commands of this file share."""
    return tmp_path_factory.mktemp("audited") / "artifacts"


@pytest.fixture
def words(audited_root: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    monkeypatch.setenv("CARRYFLOW_ARTIFACTS", str(audited_root))
    return ["audit", "--data", sample / "opportunities.csv", "--times", 2]


def test_an_audit_that_passes_prints_a_table_and_ends_with_0(carryflow, words) -> None:
    done = carryflow(*words)
    assert done.code == 0, done.err
    for text in ("validation", "test", "no rows", "additional rows", "PASSED", "without a market history"):
        assert text in done.out
    again = carryflow(*words, "--json")
    found = AuditReport.model_validate(json.loads(again.out))
    assert again.code == 0 and found.holds and len(found.times) == 2


def test_a_leak_ends_with_1_and_is_told_in_words(carryflow, words, monkeypatch) -> None:
    honest = Scaler.fit
    seen: list[float] = []

    def drifts(slot_raw):  # no two fits agree, as if each saw another future
        seen.append(1.0)
        return Scaler(honest(slot_raw).median * (1.0 + len(seen)))

    monkeypatch.setattr(Scaler, "fit", staticmethod(drifts))
    done = carryflow(*words, "--seed", 3)
    assert done.code == 1
    assert "FAILED at 2 of 2 times" in done.out
    assert "fitted on train, was" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["no-such-version"], "no version 'no-such-version'"),
        (["missing.safetensors"], "missing.safetensors: does not exist"),
        (["--times", "1"], "--times"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
    ],
    ids=["version", "checkpoint", "times", "data"],
)
def test_a_mistake_ends_with_2_and_names_it(carryflow, words, more: list[str], said: str) -> None:
    done = carryflow(*words, *more)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
