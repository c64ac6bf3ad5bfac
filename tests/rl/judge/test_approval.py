"""What a decision becomes where a person has the last word, and what makes it void."""

from __future__ import annotations

import pytest

from rl.judge.approval import hold_for_approval, outrun, what_changed
from rl.judge.gates import conclude
from schemas.promotion import Gate
from schemas.registry import Awaiting

HOLDS = Gate(name="beats cash", value=1.0, threshold=0.0, verdict="pass", reason="It does.")
FAILS = HOLDS.model_copy(update={"verdict": "fail"})
AWAITING = Awaiting(
    version="v", expected="old", judgement="judgement/0123456789abcdef", report="r", time="t", reason="x"
)


def held(gate: Gate = HOLDS, *, points_already: bool = False, dry_run: bool = False):
    decided = conclude("v", "champion", "moderate", [gate], points_already=points_already, dry_run=dry_run)
    return decided, hold_for_approval(decided, points_already=points_already, dry_run=dry_run)


def test_a_promotion_becomes_a_question_with_every_gate_still_listed():
    decided, asked = held()
    assert (asked.promoted, asked.moved, asked.awaiting) == (False, False, True)
    assert asked.gates == decided.gates
    assert "v is awaiting approval" in asked.reason


@pytest.mark.parametrize(("gate", "already"), [(FAILS, False), (HOLDS, True)])
def test_a_refusal_and_a_version_already_there_need_no_approval(gate, already):
    decided, asked = held(gate, points_already=already)
    assert asked == decided


def test_a_dry_run_asks_nobody():
    _, asked = held(dry_run=True)
    assert (asked.promoted, asked.awaiting) == (False, False)
    assert "would await approval" in asked.reason


def test_gates_against_an_earlier_champion_say_so():
    decided, _ = held()
    said = outrun(decided, compared_with=None, now="new")
    assert (said.promoted, said.moved, said.awaiting, said.gates) == (False, False, False, decided.gates)
    assert "compare it with no version, and champion was moved to new meanwhile" in said.reason


@pytest.mark.parametrize(
    ("now", "damage", "said"),
    [
        ("old", [], []),
        ("new", [], ["it was compared with old, and the alias points at new now"]),
        (None, [], ["it was compared with old, and the alias points at no version now"]),
        ("old", ["the report is gone"], ["the report is gone"]),
        ("new", ["b"], ["it was compared with old, and the alias points at new now", "b"]),
    ],
)
def test_what_changed_is_listed_in_words(now, damage, said):
    assert what_changed(AWAITING, now=now, damage=damage) == said
