"""`carryflow registry` tells all that a person moves an alias by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tasks.bundles import Bundles
from tasks.promotion import Case, promote
from tasks.registry import Registry
from tasks.store import Store
from tests.tasks.made import backtested, gate, gates, judged, judgement, kept, trained
from tests.tasks.test_registry import A, B

NAMES = ("beats cash", "enough trades", "audit")


@pytest.fixture
def registry(artifacts: Path) -> Registry:
    """A book with two versions."""
    for version in (A, B):
        kept(artifacts, version)
    shutil.rmtree(artifacts / "store" / "judgement")
    for version in (A, B):  # judged by nobody yet
        shutil.rmtree(Bundles(artifacts, "b").folder(version))
    return Registry(artifacts, "b")


@pytest.fixture
def waiting(artifacts: Path) -> Registry:
    """A is champion; B awaits approval against it."""
    kept(artifacts, A)
    registry = Registry(artifacts, "b")
    registry.move("champion", A, reason="evidence")
    tested = backtested(artifacts, B)
    verdict = judged(artifacts, "pass", tested=tested)
    cases = [Case("champion", gates("pass"), A, require_approval=True)]
    promote(trained(artifacts, B), tested, verdict, cases, book="b", preset="moderate")
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


def test_the_list_shows_what_awaits_approval_and_how_to_give_it(
    carryflow, waiting: Registry, artifacts: Path
) -> None:
    answer = carryflow("registry", "list", "--book", "b")
    [line] = [line for line in answer.out.splitlines() if line.startswith(B)]
    assert "awaits champion" in line
    said = " ".join(answer.out.split())
    assert f"{B}, compared with {A} report: {artifacts}/books/b/versions/{B}/judgement-" in said
    assert f"carryflow registry promote {B} --alias champion --book b --reason" in said
    told = json.loads(carryflow("registry", "list", "--book", "b", "--json").out)
    assert (told["aliases"]["champion"], told["awaiting"]["champion"]["version"]) == (A, B)
    assert {version["version"] for version in told["versions"]} == {A, B}


@pytest.mark.parametrize(
    "words",
    [
        ("list", "--book", "../elsewhere"),
        ("show", "nothing"),
        ("compare", "nothing", "either"),
        ("promote", "nothing", "--alias", "champion", "--reason", "why not"),
        ("rollback", "champion", "--reason", "why not"),
        ("retire", "champion", "--reason", "why not"),
        ("withdraw", "winner", "--reason", "why not"),
        ("history", "--alias", "winner"),
    ],
)
def test_verbose_shows_the_traceback_of_every_command(carryflow, artifacts: Path, words) -> None:
    answer = carryflow("registry", *words, "--verbose")
    assert answer.code == 2
    assert "Traceback" in answer.err
    assert answer.err.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize("command", ["promote", "rollback", "retire", "withdraw"])
def test_no_alias_is_moved_without_a_reason(carryflow, waiting: Registry, command: str) -> None:
    words = (B, "--alias", "champion") if command == "promote" else ("champion",)
    before = waiting.state()
    missing = carryflow("registry", command, *words, "--book", "b")
    assert (missing.code, "--reason" in missing.err) == (2, True)
    empty = carryflow("registry", command, *words, "--book", "b", "--reason", " ")
    assert (empty.code, "a move needs a reason" in empty.err) == (2, True)
    assert waiting.state() == before


def judge(root: Path, version: str, created: str, *failed: str, audited: bool = True) -> None:
    """Leave a judgement of a version in the store, as a run does, or as a replay does: without an audit."""
    found = [gate(name, "fail" if name in failed else "pass") for name in NAMES]
    judgement(root, found, tested=backtested(root, version), created=created, audited=audited)


def promote_by_hand(carryflow, version: str) -> str:
    answer = carryflow(
        "registry", "promote", version, "--alias", "champion", "--reason", "I know better", "--book", "b"
    )
    assert answer.code == 0
    assert f"champion of book b: none -> {version}" in answer.out
    return " ".join(answer.out.split())


def test_a_promotion_by_hand_says_which_gates_failed_last(carryflow, artifacts, registry: Registry) -> None:
    judge(artifacts, A, "2026-02-01T10:00:00.000+00:00")
    judge(artifacts, A, "2026-02-03T10:00:00.000+00:00", "beats cash", "enough trades")
    judge(artifacts, A, "2026-02-04T10:00:00.000+00:00", "audit", audited=False)  # a replay judges nothing
    judge(artifacts, B, "2026-02-05T10:00:00.000+00:00", "audit")
    said = promote_by_hand(carryflow, A)
    assert "last judged 2026-02-03 10:00 UTC under moderate" in said
    assert "2 of 3 gates failed" in said
    assert "beats cash: Beats cash said fail." in said
    assert "enough trades: Enough trades said fail." in said
    assert "Audit said" not in said


def test_a_promotion_by_hand_says_that_all_gates_held(carryflow, artifacts, registry: Registry) -> None:
    judge(artifacts, A, "2026-02-01T10:00:00.000+00:00", "audit")
    judge(artifacts, A, "2026-02-02T10:00:00.000+00:00")
    said = promote_by_hand(carryflow, A)
    assert "last judged 2026-02-02 10:00 UTC under moderate: all 3 gates held." in said


def test_a_promotion_by_hand_says_that_a_version_was_never_judged(
    carryflow, artifacts, registry: Registry
) -> None:
    judge(artifacts, B, "2026-02-01T10:00:00.000+00:00")
    assert f"{A} was never judged" in promote_by_hand(carryflow, A)


def test_a_judgement_that_cannot_be_trusted_is_not_told_as_one(
    carryflow, artifacts, registry: Registry
) -> None:
    judge(artifacts, A, "2026-02-01T10:00:00.000+00:00")
    [ref] = Store(artifacts).refs("judgement")
    (Store(artifacts).path(ref) / "gates.json").write_text("[]", encoding="utf-8")
    assert f"The last judgement of {A} cannot be read" in promote_by_hand(carryflow, A)


def test_the_books_own_gates_are_told_when_the_store_is_gone(carryflow, artifacts: Path) -> None:
    kept(artifacts, A, "pass", "fail")
    shutil.rmtree(artifacts / "store")
    said = promote_by_hand(carryflow, A)
    assert "1 of 2 gates failed. gate 1: Gate 1 said fail." in said


def test_retiring_an_alias_tells_of_no_gates_and_going_back_does(
    carryflow, artifacts, registry: Registry
) -> None:
    judge(artifacts, A, "2026-02-01T10:00:00.000+00:00", "audit")
    promote_by_hand(carryflow, A)
    told = carryflow("registry", "retire", "champion", "--reason", "failed", "--book", "b").out
    assert told.splitlines() == [
        f"champion of book b: {A} -> none",
        "champion means hold from now on; `carryflow registry rollback champion` undoes it.",
    ]
    assert registry.aliases()["champion"] is None
    told = carryflow("registry", "rollback", "champion", "--reason", "again", "--book", "b").out
    assert "1 of 3 gates failed" in told


def test_a_person_approves_what_awaits_it(carryflow, waiting: Registry) -> None:
    answer = carryflow(
        "registry", "promote", B, "--alias", "champion", "--reason", "read the report", "--book", "b"
    )
    assert (answer.code, waiting.aliases()["champion"]) == (0, B)
    assert f"champion of book b: {A} -> {B}" in answer.out
    assert "all 1 gate held" in answer.out
    assert "AWAITING" not in carryflow("registry", "list", "--book", "b").out


def test_an_approval_is_refused_in_one_sentence_that_says_what_changed(carryflow, waiting: Registry) -> None:
    waiting.move("champion", None, reason="fails since Tuesday")
    answer = carryflow("registry", "promote", B, "--alias", "champion", "--reason", "yes", "--book", "b")
    assert (answer.code, answer.out) == (2, "")
    [line] = answer.err.splitlines()
    assert line.startswith(
        f"Error: {B} for champion of book b: cannot be approved, because it was compared with {A}, and the "
        "alias points at no version now."
    )
    assert "carryflow registry withdraw champion --book b" in line
    assert waiting.aliases()["champion"] is None


def test_what_awaits_can_be_turned_down(carryflow, waiting: Registry) -> None:
    words = ("registry", "withdraw", "champion", "--reason", "too few trades", "--book", "b")
    assert carryflow(*words).out == f"champion of book b: {B} no longer awaits approval; it stays at {A}.\n"
    assert waiting.state().awaiting == {}
    assert carryflow(*words).out == "No version awaits approval for champion of book b.\n"


def test_the_history_tells_every_move_who_made_it_and_why(carryflow, waiting: Registry) -> None:
    waiting.withdraw("champion", reason="too few trades", user="desk")
    waiting.move("challenger", B, reason="on paper", user="desk", run="wise-owl")
    told = carryflow("registry", "history", "--book", "b").out
    for words in (
        f"champion promote: none -> {A}  by ", "  evidence\n",
        f"champion await: {B} awaits approval, stays at {A}",
        f"champion withdraw: {B} no longer awaits approval, stays at {A}  by desk\n  too few trades\n",
        f"challenger promote: none -> {B}  by desk in run wise-owl\n",
    ):  # fmt: skip
        assert words in told
    one = carryflow("registry", "history", "--alias", "challenger", "--book", "b", "--json").out
    assert [(m["kind"], m["after"], m["run"]) for m in json.loads(one)] == [("promote", B, "wise-owl")]
    assert (
        carryflow("registry", "history", "--book", "empty").out == "No alias of book empty was ever moved.\n"
    )


def test_a_version_is_shown_with_its_folder_its_way_from_the_data_and_its_gates(
    carryflow, waiting: Registry, artifacts: Path
) -> None:
    shown = json.loads(carryflow("registry", "show", B[:3], "--book", "b").out)
    assert shown["awaiting"]["champion"]["expected"] == A
    assert shown["folder"] == str(Bundles(artifacts, "b").folder(B))
    assert Path(shown["report"]).read_text() == "<p>a report</p>"
    assert shown["origins"]["ingest"]["manifest"]["inputs"] == {"opportunities.csv": "raw d"}
    assert [g["verdict"] for g in shown["judged"]["gates"]] == ["pass"]
    assert [m["kind"] for m in shown["moves"]] == ["await"]
    (Bundles(artifacts, "b").folder(B) / "training.json").unlink()
    shown = json.loads(carryflow("registry", "show", B, "--book", "b").out)
    assert (shown["folder"], shown["folder_problem"]) == (None, "training.json is missing.")


def test_two_versions_are_compared_and_the_warnings_come_first(carryflow, artifacts: Path) -> None:
    kept(artifacts, A, "pass", "fail", learning_rate=1e-3)
    kept(artifacts, B, "pass", learning_rate=3e-4, data="other")
    answer = carryflow("registry", "compare", A, B, "--book", "b")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[1] == "Not comparable: They were trained on different data."
    rows = [" ".join(line.split()) for line in lines]
    assert f"gate {A} {B}" in rows
    assert "gate 1 fail (1) -" in rows
    assert "training.learning_rate 0.001 0.0003" in rows
    assert any("carryflow backtest --data ... --model" in row for row in rows)
    for version in (A, B):
        backtested(artifacts, version, day=11, return_pct=1.5)
    told = json.loads(carryflow("registry", "compare", A, B, "--book", "b", "--json").out)
    assert [(s["a_pct"], s["b_pct"], s["fair"]) for s in told["shared"]] == [(1.5, 1.5, True)]
    lines = carryflow("registry", "compare", A, B, "--book", "b").out.splitlines()
    rows = [" ".join(line.split()) for line in lines]
    assert "2025-01-11T00:00 2025-01-12T00:00 moderate 1.50 1.50 - yes" in rows


def test_the_old_way_to_type_a_promotion_is_refused_and_moves_nothing(carryflow, registry: Registry) -> None:
    assert carryflow("registry", "promote", "champion", A, "--reason", "x", "--book", "b").code == 2
    assert registry.history() == []
