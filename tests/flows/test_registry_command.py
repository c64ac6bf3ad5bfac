"""`carryflow registry` tells all that a person moves an alias by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.registry import Registry
from tasks.store import Store, content_hash
from tests.tasks.test_promotion import publish
from tests.tasks.test_registry import A, B, record


@pytest.fixture
def registry(artifacts: Path) -> Registry:
    """A book with two versions."""
    registry = Registry(artifacts, "b")
    for version in (A, B):
        registry.register(record(version))
    return registry


def test_the_list_shows_every_alias_of_a_version(carryflow, registry: Registry) -> None:
    registry.move("challenger", A, reason="gates hold")
    registry.move("champion", A, reason="evidence")
    answer = carryflow("registry", "list", "--book", "b")
    assert answer.code == 0
    [line] = [line for line in answer.out.splitlines() if line.startswith(A)]
    assert "challenger, champion" in line
    [other] = [line for line in answer.out.splitlines() if line.startswith(B)]
    assert "champion" not in other


@pytest.mark.parametrize(
    "words",
    [
        ("list", "--book", "../elsewhere"),
        ("show", "nothing"),
        ("promote", "champion", "nothing", "--reason", "why not"),
        ("rollback", "champion", "--reason", "why not"),
    ],
)
def test_verbose_shows_the_traceback_of_every_command(carryflow, artifacts: Path, words) -> None:
    answer = carryflow("registry", *words, "--verbose")
    assert answer.code == 2
    assert "Traceback" in answer.err
    assert answer.err.splitlines()[-1].startswith("Error: ")


def judge(root: Path, version: str, created: str, *failed: str, audited: bool = True) -> None:
    """Leave a judgement of a version in the store, as a run does, or as a replay does: without an audit."""
    gates = [
        {
            "name": name, "value": 0.0, "threshold": 0.0, "reason": f"This is about {name}.",
            "verdict": "fail" if name in failed else "pass",
        }
        for name in ("beats cash", "enough trades", "audit")
    ]  # fmt: skip
    tested = publish(root, "backtest", {"backtest.json": version}, {"version": version})
    inputs = {"backtest": content_hash(Store(root).manifest(tested))} | ({"audit": "x"} if audited else {})
    publish(
        root, "judgement", {"gates.json": json.dumps(gates), "made": created}, inputs=inputs,
        params={"preset": "moderate"}, created=created,
    )  # fmt: skip


def promote(carryflow, version: str) -> str:
    answer = carryflow("registry", "promote", "champion", version, "--reason", "I know better", "--book", "b")
    assert answer.code == 0
    assert f"champion of book b: none -> {version}" in answer.out
    return " ".join(answer.out.split())


def test_a_promotion_by_hand_says_which_gates_failed_last(carryflow, artifacts, registry: Registry) -> None:
    judge(artifacts, A, "2026-02-01T10:00:00.000+00:00")
    judge(artifacts, A, "2026-02-03T10:00:00.000+00:00", "beats cash", "enough trades")
    judge(artifacts, A, "2026-02-04T10:00:00.000+00:00", "audit", audited=False)  # a replay judges nothing
    judge(artifacts, B, "2026-02-05T10:00:00.000+00:00", "audit")
    said = promote(carryflow, A)
    assert "last judged 2026-02-03 10:00 UTC under moderate" in said
    assert "2 of 3 gates failed" in said
    assert "beats cash: This is about beats cash." in said
    assert "enough trades: This is about enough trades." in said
    assert "about audit" not in said


def test_a_promotion_by_hand_says_that_all_gates_held(carryflow, artifacts, registry: Registry) -> None:
    judge(artifacts, A, "2026-02-01T10:00:00.000+00:00", "audit")
    judge(artifacts, A, "2026-02-02T10:00:00.000+00:00")
    assert "last judged 2026-02-02 10:00 UTC under moderate: all 3 gates held." in promote(carryflow, A)


def test_a_promotion_by_hand_says_that_a_version_was_never_judged(
    carryflow, artifacts, registry: Registry
) -> None:
    judge(artifacts, B, "2026-02-01T10:00:00.000+00:00")
    assert f"{A} was never judged" in promote(carryflow, A)


def test_a_judgement_that_cannot_be_trusted_is_not_told_as_one(
    carryflow, artifacts, registry: Registry
) -> None:
    judge(artifacts, A, "2026-02-01T10:00:00.000+00:00")
    [ref] = Store(artifacts).refs("judgement")
    (Store(artifacts).path(ref) / "gates.json").write_text("[]", encoding="utf-8")
    assert f"The last judgement of {A} cannot be read" in promote(carryflow, A)


def test_retiring_an_alias_tells_of_no_gates_and_going_back_does(
    carryflow, artifacts, registry: Registry
) -> None:
    judge(artifacts, A, "2026-02-01T10:00:00.000+00:00", "audit")
    promote(carryflow, A)
    told = carryflow("registry", "promote", "champion", "none", "--reason", "failed", "--book", "b").out
    assert told.splitlines() == [f"champion of book b: {A} -> none"]
    told = carryflow("registry", "rollback", "champion", "--reason", "again", "--book", "b").out
    assert "1 of 3 gates failed" in told
