"""Promotion registers the candidate, moves the alias only if every gate holds, and looks at it every time."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ArtifactError
from schemas.promotion import PromotionDecision
from tasks.bundles import Bundles
from tasks.models import find_model
from tasks.promotion import Case, promote, promote_judged
from tasks.registry import Registry
from tasks.store import Store
from tests.tasks.made import OTHER, VERSION, WINDOWS, backtested, gates, judged, kept, trained


def decide(root: Path, *verdicts: str, version: str = VERSION, dry_run: bool = False) -> Any:
    [decision] = promote_judged(
        trained(root, version), backtested(root, version), judged(root, *verdicts),
        book="b", preset="moderate", dry_run=dry_run,
    )  # fmt: skip
    return decision


def test_all_gates_held_the_alias_moves_and_the_history_says_why(artifacts: Path) -> None:
    decision = decide(artifacts, "pass", "pass")
    registry = Registry(artifacts, "b")
    assert (decision.promoted, decision.moved) == (True, True)
    assert registry.aliases() == {"challenger": VERSION, "champion": None}
    [move] = registry.history()
    assert (move.before, move.after, move.reason) == (None, VERSION, decision.reason)


def test_one_gate_missed_nothing_moves_and_every_gate_is_listed(artifacts: Path) -> None:
    decision = decide(artifacts, "pass", "fail", "pass")
    registry = Registry(artifacts, "b")
    assert (decision.promoted, decision.moved) == (False, False)
    assert decision.reason.startswith("Not promoted, because gate 1 said fail")
    assert [gate.verdict for gate in decision.gates] == ["pass", "fail", "pass"]
    assert registry.aliases()["challenger"] is None


@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_the_candidate_is_registered_either_way_with_its_windows(artifacts: Path, verdict: str) -> None:
    decide(artifacts, verdict)
    [record] = Registry(artifacts, "b").versions()
    assert (record.version, record.seed, record.preset, record.data) == (VERSION, 3, "moderate", "d")
    assert record.windows == WINDOWS
    assert record.metrics == {"validation_pct": 0.7, "agent_test_pct": 1.2}


def test_a_dry_run_does_all_but_move_the_alias(artifacts: Path) -> None:
    decision = decide(artifacts, "pass", dry_run=True)
    assert (decision.promoted, decision.moved) == (True, False)
    registry = Registry(artifacts, "b")
    assert registry.aliases()["challenger"] is None
    assert len(registry.versions()) == 1


def test_promoting_again_finds_the_alias_there_and_moves_nothing(artifacts: Path) -> None:
    decide(artifacts, "pass")
    decision = decide(artifacts, "pass")
    assert (decision.promoted, decision.moved) == (True, False)
    assert "already" in decision.reason
    assert len(Registry(artifacts, "b").history()) == 1


def test_an_alias_moved_by_another_run_meanwhile_is_looked_at_again(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Registry.move
    raced = []

    def late(self: Registry, *words: Any, **flags: Any) -> Any:
        if not raced:
            raced.append(True)  # the same version, moved by a run a moment earlier
            move(self, "challenger", VERSION, reason="the other run")
        return move(self, *words, **flags)

    monkeypatch.setattr(Registry, "move", late)
    decision = decide(artifacts, "pass")
    assert (decision.promoted, decision.moved) == (True, False)
    assert len(Registry(artifacts, "b").history()) == 1


def test_a_backtest_of_another_version_is_not_taken_for_evidence(artifacts: Path) -> None:
    with pytest.raises(ArtifactError, match="another version"):
        promote_judged(
            trained(artifacts), backtested(artifacts, "ffffffffffff"), judged(artifacts, "pass"),
            book="b", preset="moderate",
        )  # fmt: skip
    assert Registry(artifacts, "b").aliases()["challenger"] is None


def test_altered_gates_are_not_believed(artifacts: Path) -> None:
    gates = judged(artifacts, "fail")
    path = Store(artifacts).path(gates) / "gates.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"fail"', '"pass"'), encoding="utf-8")
    with pytest.raises(ArtifactError):
        promote_judged(trained(artifacts), backtested(artifacts), gates, book="b", preset="moderate")
    assert Registry(artifacts, "b").aliases()["challenger"] is None


def decide_on(
    root: Path, version: str, *verdicts: str, compared_with: Any = None, approval: bool = False,
    dry_run: bool = False, report: str = "a report",
) -> PromotionDecision:  # fmt: skip
    """Decide on a champion whose gates look at the reigning one."""
    tested = backtested(root, version)
    case = Case("champion", gates(*verdicts), compared_with, approval)
    [decision] = promote(
        trained(root, version), tested, judged(root, *verdicts, tested=tested, report=report), [case],
        book="b", preset="moderate", dry_run=dry_run,
    )  # fmt: skip
    return decision


def told(root: Path) -> list[tuple]:
    return [(m.alias, m.kind, m.before, m.after, m.candidate) for m in Registry(root, "b").history()]


def test_each_alias_is_decided_by_its_own_gates(artifacts: Path) -> None:
    tested = backtested(artifacts)
    cases = [Case("challenger", gates("pass")), Case("champion", gates("pass", "fail"), compared_with=None)]
    found = promote(trained(artifacts), tested, judged(artifacts, "pass", tested=tested), cases,
                    book="b", preset="moderate")  # fmt: skip
    assert [(d.alias, d.promoted, d.moved, len(d.gates)) for d in found] == [
        ("challenger", True, True, 1), ("champion", False, False, 2),
    ]  # fmt: skip
    assert Registry(artifacts, "b").aliases() == {"challenger": VERSION, "champion": None}


def test_a_registered_version_outlives_the_store(artifacts: Path) -> None:
    decide_on(artifacts, VERSION, "pass")
    shutil.rmtree(artifacts / "store")
    found = find_model(Store(artifacts), "champion", "b")
    assert found.read_text() == f"weights of {VERSION}"
    assert found.is_relative_to(artifacts / "books" / "b" / "versions" / VERSION)


def test_gates_that_look_at_an_earlier_champion_move_nothing_and_the_history_tells(artifacts: Path) -> None:
    decide_on(artifacts, OTHER, "pass")
    decision = decide_on(artifacts, VERSION, "pass", compared_with=None)
    assert (decision.promoted, decision.moved) == (False, False)
    assert f"compare it with no version, and champion was moved to {OTHER} meanwhile" in decision.reason
    assert told(artifacts) == [
        ("champion", "promote", None, OTHER, None), ("champion", "refuse", OTHER, OTHER, VERSION),
    ]  # fmt: skip
    assert decide_on(artifacts, VERSION, "pass", compared_with=OTHER).moved
    assert Registry(artifacts, "b").aliases()["champion"] == VERSION


def test_with_approval_the_version_is_marked_and_nothing_moves(artifacts: Path) -> None:
    kept(artifacts, OTHER)
    registry = Registry(artifacts, "b")
    registry.move("champion", OTHER, reason="reigns")
    decision = decide_on(artifacts, VERSION, "pass", "pass", compared_with=OTHER, approval=True)
    assert (decision.promoted, decision.moved, decision.awaiting) == (False, False, True)
    assert decision.reason == (
        f"{VERSION} is awaiting approval: all 2 gates hold; "
        "champion stays where it is until a person approves."
    )
    assert registry.aliases()["champion"] == OTHER
    waiting = registry.state().awaiting["champion"]
    assert (waiting.version, waiting.expected, waiting.reason) == (VERSION, OTHER, decision.reason)
    assert Store(artifacts).has(Registry(artifacts, "b").resolve(VERSION).ref)
    assert waiting.judgement.startswith("judgement/")
    assert (artifacts / waiting.report).read_text() == "<p>a report</p>"
    before = told(artifacts)
    assert decide_on(artifacts, VERSION, "pass", "pass", compared_with=OTHER, approval=True).awaiting
    assert told(artifacts) == before  # the same run again asks for nothing new


def test_what_needs_approval_and_fails_a_gate_does_not_await_it(artifacts: Path) -> None:
    decision = decide_on(artifacts, VERSION, "pass", "fail", approval=True)
    assert not decision.awaiting
    assert decision.reason.startswith("Not promoted, because gate 1 said fail")
    assert Registry(artifacts, "b").state().awaiting == {}


def test_a_champion_does_not_await_its_own_approval(artifacts: Path) -> None:
    decide_on(artifacts, VERSION, "pass")
    decision = decide_on(artifacts, VERSION, "pass", compared_with=VERSION, approval=True)
    assert (decision.promoted, decision.moved, decision.awaiting) == (True, False, False)


def test_a_dry_run_marks_nothing_and_refuses_nothing(artifacts: Path) -> None:
    decision = decide_on(artifacts, VERSION, "pass", approval=True, dry_run=True)
    assert not decision.awaiting
    assert "would await approval" in decision.reason
    assert told(artifacts) == []
    decide_on(artifacts, OTHER, "pass")
    assert not decide_on(artifacts, VERSION, "pass", compared_with=None, dry_run=True).promoted
    assert len(told(artifacts)) == 1


def test_a_newer_candidate_takes_the_place_of_one_that_awaits_and_the_history_says_so(
    artifacts: Path,
) -> None:
    decide_on(artifacts, OTHER, "pass", approval=True)
    decide_on(artifacts, VERSION, "pass", approval=True)
    registry = Registry(artifacts, "b")
    assert registry.state().awaiting["champion"].version == VERSION
    assert [(kind, candidate) for _, kind, _, _, candidate in told(artifacts)] == [
        ("await", OTHER), ("withdraw", OTHER), ("await", VERSION),
    ]  # fmt: skip
    assert f"replaced by {VERSION}" in registry.history()[1].reason


def test_a_version_judged_again_and_refused_no_longer_awaits(artifacts: Path) -> None:
    decide_on(artifacts, OTHER, "pass", approval=True)
    decide_on(artifacts, VERSION, "fail", approval=True)
    assert Registry(artifacts, "b").state().awaiting["champion"].version == OTHER  # another one's failure
    decide_on(artifacts, OTHER, "pass", "fail", approval=True)
    assert Registry(artifacts, "b").state().awaiting == {}
    assert (
        Registry(artifacts, "b").history()[-1].reason.startswith("Judged again: Not promoted, because gate 1")
    )


def test_a_promotion_without_approval_ends_the_waiting_of_an_older_candidate(artifacts: Path) -> None:
    decide_on(artifacts, OTHER, "pass", approval=True)
    decide_on(artifacts, VERSION, "pass")
    assert Registry(artifacts, "b").state().awaiting == {}
    assert [kind for _, kind, *_ in told(artifacts)] == ["await", "promote", "withdraw"]


PROMOTE = """
import os, sys, time
from pathlib import Path
os.environ["CARRYFLOW_ARTIFACTS"] = sys.argv[1]
from tasks.promotion import Case, promote
from tests.tasks.made import backtested, gates, judged, trained
root, version = Path(sys.argv[1]), sys.argv[2]
model, tested = trained(root, version), backtested(root, version)
verdict = judged(root, "pass", tested=tested, report=version)
cases = [Case("challenger", gates("pass")), Case("champion", gates("pass"), compared_with=None)]
Path(sys.argv[3]).touch()
while not Path(sys.argv[4]).exists():
    time.sleep(0.001)
found = promote(model, tested, verdict, cases, book="b", preset="moderate")
print(*(decision.moved for decision in found))
"""


def test_two_promotions_at_once_end_with_one_champion_and_both_in_the_history(
    artifacts: Path, tmp_path: Path, start, output, wait_for
) -> None:
    both = [
        start(PROMOTE, artifacts, version, tmp_path / version, tmp_path / "go")
        for version in (VERSION, OTHER)
    ]
    for version in (VERSION, OTHER):
        wait_for(tmp_path / version)
    (tmp_path / "go").touch()
    said = sorted(output(process) for process in both)
    assert said == ["True False", "True True"]  # the challenger moves twice, the champion once
    registry = Registry(artifacts, "b")
    [won, refused] = registry.history("champion")
    assert (won.kind, refused.kind) == ("promote", "refuse")
    assert {won.after, refused.candidate} == {VERSION, OTHER}
    assert registry.aliases()["champion"] == won.after == refused.after
    assert {move.after for move in registry.history("challenger")} == {VERSION, OTHER}
    for version in (VERSION, OTHER):
        Bundles(artifacts, "b").verify(version)


KILL = """
import itertools, os, random, signal, sys, time
from pathlib import Path
os.environ["CARRYFLOW_ARTIFACTS"] = sys.argv[1]
from tasks.bundles import Bundles
from tasks.models import find_model
from tasks.promotion import Case, promote
from tasks.registry import Registry
from tasks.store import Store
from tests.tasks.made import OTHER, VERSION, backtested, gates, judged, trained

root = Path(sys.argv[1])
registry, store = Registry(root, "b"), Store(root)
runs = []
for report in "xy":
    for version in (VERSION, OTHER):
        tested = backtested(root, version)
        verdict = judged(root, "pass", tested=tested, report=report + version)
        runs.append((trained(root, version), tested, verdict))

def go(number, approval):
    now = registry.aliases()["champion"]
    promote(*runs[number], [Case("champion", gates("pass"), now, approval)], book="b", preset="moderate")

go(0, False)
chance = random.Random(0)
lengths = [1]
for kill in range(30):
    begun, say = os.pipe()
    child = os.fork()
    if child == 0:
        for number in itertools.count(kill):
            os.write(say, b".")
            go(number % 4, number % 3 == 0)
    for _ in range(chance.randint(2, 4)):
        os.read(begun, 1)
    time.sleep(chance.uniform(0.0, 0.06))
    os.kill(child, signal.SIGKILL)
    os.close(begun), os.close(say)
    os.waitpid(child, 0)
    champion = registry.current("champion")  # reading verifies that aliases, what awaits and history agree
    text = find_model(store, "champion", "b").read_text()
    assert text == f"weights of {champion.version}", text
    for version in registry.state().versions:
        Bundles(root, "b").verify(version)
    for waiting in registry.state().awaiting.values():
        assert (root / waiting.report).is_file()
    lengths.append(len(registry.history()))
go(0, False)
print(lengths[-1] > 15, len(lengths))
"""


def test_killed_at_random_moments_the_champion_is_always_whole(artifacts: Path, start, output) -> None:
    assert output(start(KILL, artifacts)) == "True 31"  # it was at work when it was killed
