"""The judgement weighs, applies the gates of both aliases, and knows what it must look up to do so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.evidence import Evidence
from schemas.judgement import Judgement
from schemas.promotion import PromotionDecision, PromotionPolicy
from schemas.stress import ACCIDENTS, STRESSES
from tasks import show
from tasks.cache import Cached
from tasks.openings import record_opening
from tasks.promotion import promote_judged
from tasks.registry import Registry
from tasks.store import Store
from tasks.verdicts import last_judgement, read_gates
from tests.rl.judge.test_stress_gates import dealt, outcome, symbols
from tests.tasks.candidate import END, START, TRIAL, Candidate, candidate, without_pages
from tests.tasks.made import OTHER, VERSION, gate, judgement, kept


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    return without_pages(monkeypatch)


def evidence(judged: Cached) -> Evidence:
    return Evidence.model_validate_json((judged.path / "evidence.json").read_text(encoding="utf-8"))


def missed(judged: Cached) -> list[str]:
    return [gate.name for gate in read_gates(judged.path).champion if gate.verdict == "fail"]


def promoted(made: Candidate, judged: Cached, **more: Any) -> dict[str, PromotionDecision]:
    decided = promote_judged(made.model, made.tested, judged.ref, book="b", preset="moderate", **more)
    return {decision.alias: decision for decision in decided}


def crown(root: Path, version: str = OTHER, days: float = 1.0) -> None:
    """Let another version reign since some days."""
    kept(root, version)
    since = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.moves.utc_now", lambda: since)
        Registry(root, "b").move("champion", version, reason="it reigns")


def test_a_candidate_that_misses_nothing_becomes_challenger_and_champion(artifacts: Path) -> None:
    made = candidate(artifacts)
    judged = made.judge()
    assert missed(judged) == []
    decided = promoted(made, judged)
    assert [(alias, one.moved) for alias, one in decided.items()] == [
        ("challenger", True),
        ("champion", True),
    ]
    assert Registry(artifacts, "b").aliases() == {"challenger": VERSION, "champion": VERSION}
    found = read_gates(judged.path)
    assert decided["champion"].gates == found.champion
    assert set(found.challenger) < set(found.champion)


WORSE: dict[str, dict[str, Any]] = {
    "beats cash": {"result": {"return_pct": -0.1}},
    "carry, not noise": {"result": {"split": {"funding": 10.0, "fees": -20.0}}},
    "drawdown": {"result": {"max_drawdown_pct": 11.0}},
    "no liquidation": {"result": {"liquidations": 1.0}},
    "enough trades": {"result": {"trades": 1.0}},
    "out of sample": {"overlap_hours": 5},
    "audit": {"audit": False},
    "over greedy": {"greedy_pct": 0.06},
    "over cash": {"daily_pct": 0.0, "greedy_pct": -0.1},
    "not one lucky coin": {"stress": {"concentration": symbols(60.0, 10.0)}},
    "placebo": {"stress": {"placebo": dealt(0.3)}},
    "drift": {"drift": {"psi": 4.5}},
    **{
        f"stress: {name}": {
            "stress": {
                "outcomes": tuple(
                    outcome(n, (-11.0 if n in ACCIDENTS else -2.0) if n == name else 0.2) for n in STRESSES
                )
            }
        }
        for name in STRESSES
    },
}
ALSO = {"over cash": ["deflated Sharpe"]}  # who earns nothing has no Sharpe ratio to be believed


@pytest.mark.parametrize("name", WORSE)
def test_a_gate_that_is_missed_keeps_the_champion_out_and_the_decision_says_so_in_words(
    artifacts: Path, name: str
) -> None:
    made = candidate(artifacts, **WORSE[name])
    judged = made.judge()
    assert missed(judged) == [name, *ALSO.get(name, [])]
    decided = promoted(made, judged)
    [reason] = [gate.reason for gate in read_gates(judged.path).champion if gate.name == name]
    assert reason.rstrip(".")[1:] in decided["champion"].reason
    assert not decided["champion"].promoted
    basic = [gate.name for gate in read_gates(judged.path).challenger]
    assert decided["challenger"].promoted == (name not in basic)
    assert Registry(artifacts, "b").aliases()["champion"] is None


def test_too_few_blocks_are_insufficient_evidence(artifacts: Path) -> None:
    made = candidate(artifacts)
    judged = made.judge(PromotionPolicy(min_blocks=61))
    assert missed(judged) == ["enough evidence"]
    assert "insufficient evidence: the test window has" in promoted(made, judged)["champion"].reason


def test_without_stress_tests_nobody_becomes_champion(artifacts: Path) -> None:
    made = candidate(artifacts)
    judged = made.judge(stressed=None)
    assert missed(judged) == ["stress"]
    decided = promoted(made, judged)
    assert (decided["challenger"].promoted, decided["champion"].promoted) == (True, False)


def test_a_champion_that_needs_approval_waits_and_the_challenger_does_not(artifacts: Path) -> None:
    made = candidate(artifacts)
    decided = promoted(made, made.judge(), require_approval=True)
    assert (decided["challenger"].moved, decided["champion"].awaiting) == (True, True)
    assert Registry(artifacts, "b").state().awaiting["champion"].version == VERSION


def test_the_same_question_is_answered_from_the_store_also_after_the_promotion(artifacts: Path) -> None:
    made = candidate(artifacts)
    first = made.judge()
    promoted(made, first)
    again = made.judge()
    assert (again.ref, again.hit) == (first.ref, True)  # nobody is its own rival
    decided = promoted(made, again)
    assert [one.moved for one in decided.values()] == [False, False]
    assert all("already" in one.reason for one in decided.values())


def opened(root: Path, trial: str, days: float = 0.0) -> None:
    start, end = START + timedelta(days=days), END + timedelta(days=days)
    record_opening(
        root, "b", data="d", window=[start.isoformat(), end.isoformat()], version=trial, trial=trial,
        config="c", purpose="promotion", result={},
        daily_sharpe={"moderate": {"sharpe": 0.1 + len(trial) / 100, "days": 60.0}},
    )  # fmt: skip


def test_every_other_trial_opened_on_these_hours_is_counted_and_judges_anew(artifacts: Path) -> None:
    made = candidate(artifacts)
    opened(artifacts, TRIAL)
    alone = made.judge()
    assert evidence(alone).trials == 1
    opened(artifacts, "long after it", days=90.0)
    assert made.judge().hit
    opened(artifacts, "another")
    judged = made.judge()
    assert judged.ref != alone.ref
    assert evidence(judged).trials == 2
    assert evidence(judged).variance_source == "trials"


def test_the_reigning_champion_has_to_be_beaten_on_days_that_neither_has_seen(artifacts: Path) -> None:
    crown(artifacts)
    made = candidate(artifacts, champion=(OTHER, -0.02))
    judged = made.judge()
    assert missed(judged) == []
    names = [gate.name for gate in read_gates(judged.path).champion]
    assert "over the champion" in names and "over greedy" not in names
    assert read_gates(judged.path).compared_with == OTHER
    decided = promoted(made, judged)
    assert decided["champion"].moved and Registry(artifacts, "b").aliases()["champion"] == VERSION


def test_who_is_no_better_than_the_champion_stays_challenger(artifacts: Path) -> None:
    crown(artifacts)
    made = candidate(artifacts, champion=(OTHER, 0.03))
    judged = made.judge()
    assert missed(judged) == ["over the champion"]
    decided = promoted(made, judged)
    assert f"over the champion {OTHER}" in decided["champion"].reason
    assert Registry(artifacts, "b").aliases() == {"challenger": VERSION, "champion": OTHER}


def test_a_champion_that_has_reigned_too_long_need_only_be_matched(artifacts: Path) -> None:
    crown(artifacts, days=91.5)
    made = candidate(artifacts, champion=(OTHER, 0.029))
    policy = PromotionPolicy(non_inferiority_margin_pct=50.0)
    judged = made.judge(policy)
    assert missed(judged) == []
    [aged] = [g for g in read_gates(judged.path).champion if g.name == "not worse than the champion"]
    assert "has reigned 91 days" in aged.reason


def test_a_champion_that_the_backtest_did_not_replay_is_not_beaten_by_default(artifacts: Path) -> None:
    crown(artifacts)
    judged = candidate(artifacts, champion=("ffffffffffff", -1.0)).judge()  # another one reigned then
    assert missed(judged) == ["unseen by both", "over the champion"]


def test_a_champion_crowned_between_judgement_and_promotion_stops_it(artifacts: Path) -> None:
    made = candidate(artifacts)
    judged = made.judge()
    crown(artifacts)
    decided = promoted(made, judged)
    assert "moved to fedcba987654 meanwhile" in decided["champion"].reason
    assert Registry(artifacts, "b").aliases() == {"challenger": VERSION, "champion": OTHER}


def test_an_old_judgement_of_the_challenger_alone_is_read_and_decides_on_it(artifacts: Path) -> None:
    made = candidate(artifacts)
    old = judgement(artifacts, [gate("beats cash"), gate("audit", "fail")], tested=made.tested)
    [decision] = promote_judged(made.model, made.tested, old, book="b", preset="moderate")
    assert (decision.alias, decision.promoted) == ("challenger", False)
    last = last_judgement(Store(artifacts), VERSION, "b")
    assert last is not None and last.gates is not None
    assert [g.name for g in last.gates] == ["beats cash", "audit"]
    assert last.gates_of("champion") == last.gates


def test_the_last_judgement_tells_the_gates_of_each_alias_and_each_gate_once(artifacts: Path) -> None:
    made = candidate(artifacts, stress={"placebo": dealt(0.3)})
    promoted(made, made.judge())
    last = last_judgement(Store(artifacts), VERSION, "b")
    assert last is not None and last.gates is not None
    challengers, champions = last.gates_of("challenger"), last.gates_of("champion")
    assert challengers is not None and all(g.verdict == "pass" for g in challengers)
    assert champions is not None and [g.name for g in champions if g.verdict == "fail"] == ["placebo"]
    assert len(last.gates) == len({g.name for g in last.gates}) == len(champions)


def test_a_replay_has_evidence_and_no_decision(artifacts: Path, pages: list[dict[str, Any]]) -> None:
    judged = candidate(artifacts).judge(audited=None, trained=None, stressed=None)
    assert evidence(judged).source == "replayed window"
    [told] = pages
    assert (told["stress"], told["decisions"]) == (None, [])
    assert told["evidence"] == evidence(judged)


def test_the_report_is_told_all_gates_evidence_stress_and_what_is_refused(
    artifacts: Path, pages: list[dict[str, Any]]
) -> None:
    judged = candidate(artifacts, stress={"placebo": dealt(0.3)}).judge()
    [told] = pages
    found = read_gates(judged.path)
    assert (told["gates"], told["champion_gates"]) == (found.challenger, found.champion)
    assert told["stress"].placebo == dealt(0.3)
    assert [decision.alias for decision in told["decisions"]] == ["champion"]


def test_the_run_page_shows_what_is_proven_and_every_gate_with_its_reason(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, str] = {}
    monkeypatch.setattr("tasks.ui.markdown", lambda key, text, description: shown.update({key: text}))
    monkeypatch.setattr("tasks.ui.picture", lambda path, alt: "")
    made = candidate(artifacts, stress={"placebo": dealt(0.3)})
    judged = made.judge()
    show.judgement(judged)
    page = shown["evidence"]
    assert "1 trial opened on these hours" in page and "Over greedy, day by day" in page
    for one in read_gates(judged.path).champion:
        assert page.count(f"| {one.name} |") == 1
        assert f"- **{one.name}** ({one.verdict}): {one.reason}" in page
    promoted(made, judged)
    assert "# Challenger: promoted" in shown["promotion"]
    assert "# Champion: not promoted" in shown["promotion"]


def test_gates_are_asked_of_whom_they_are_asked_of() -> None:
    both, own = gate("both"), gate("own")
    found = Judgement(challenger=(both,), champion=(both, own))
    assert found.asked() == [(both, ("challenger", "champion")), (own, ("champion",))]


FIT: dict[str, Any] = {
    "preset": "moderate", "policy": "champion", "runs": 1, "return_pct": -1.2, "max_drawdown_pct": 1.3,
    "final_nlv": 9_880.0, "trades": 4.0, "split": {"funding": 90.0, "fees": -40.0}, "hours": 1440,
}  # fmt: skip


def test_a_run_says_whether_the_champion_beside_it_is_still_fit_to_reign(artifacts: Path) -> None:
    crown(artifacts)
    judged = candidate(artifacts, champion=(OTHER, 0.02), champion_result=FIT).judge()
    review = read_gates(judged.path).review
    assert review is not None and not review.retire
    assert review.reason == f"{OTHER} stays: its recent window misses no gate."
    assert {gate.name for gate in review.gates} == {
        "drawdown", "no liquidation", "not behind cash", "carry, not noise"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("daily_pct", "change", "missed"),
    [(-0.05, {}, "not behind cash"), (0.02, {"liquidations": 1.0}, "no liquidation")],
)
def test_a_champion_that_fails_beside_a_candidate_is_called_retirable_in_words(
    artifacts: Path, pages: list[dict[str, Any]], daily_pct: float, change: dict[str, Any], missed: str
) -> None:
    crown(artifacts)
    judged = candidate(artifacts, champion=(OTHER, daily_pct), champion_result=FIT | change).judge()
    review = read_gates(judged.path).review
    assert review is not None and review.retire
    assert [gate.name for gate in review.gates if gate.verdict == "fail"] == [missed]
    assert review.reason.startswith(f"{OTHER} can be retired, and hold is what follows.")
    assert pages[-1]["review"] == review
    assert review.reason in show.evidence_markdown(read_gates(judged.path), None)


def test_without_a_champion_nobody_is_reviewed(artifacts: Path) -> None:
    assert read_gates(candidate(artifacts).judge().path).review is None
