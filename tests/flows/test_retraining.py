"""What the last state of a retrain says to whoever reads it in the morning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.retraining import one_at_a_time, retrain_words
from schemas.promotion import PromotionDecision
from tasks.locks import try_lock
from tasks.turns import RUNNING, TurnedAway


def decision(alias: str, reason: str, promoted: bool = False) -> dict[str, Any]:
    made = PromotionDecision(
        version="0" * 12, alias=alias, preset="moderate", promoted=promoted, moved=promoted, reason=reason,
        gates=(),
    )  # fmt: skip
    return made.model_dump(mode="json")


def test_the_message_says_what_was_promoted_why_and_when_the_next_run_is() -> None:
    told = {
        "challenger": decision("challenger", "Promoted: every gate holds.", promoted=True),
        "champion": decision("champion", "Not promoted, because there is insufficient evidence."),
    }
    assert retrain_words(told, "desk", "2026-11-26 04:30 UTC").splitlines() == [
        "Book desk, version 000000000000.",
        "Challenger: Promoted: every gate holds.",
        "Champion: Not promoted, because there is insufficient evidence.",
        "Next run: 2026-11-26 04:30 UTC.",
    ]
    assert retrain_words(told, "desk", "").endswith("No next run is scheduled.")


def test_a_pipeline_runs_in_its_books_turn_and_gives_it_back(artifacts: Path) -> None:
    ran: list[str] = []

    @one_at_a_time
    def pipeline(data: str, book: str = "default") -> dict[str, Any]:
        assert try_lock(artifacts / "books" / book / "locks" / RUNNING) is None, "the turn is ours"
        ran.append(data)
        return {"decisions": {}}

    for _ in range(2):
        assert pipeline("x") == {"decisions": {}}
    assert ran == ["x", "x"]


def test_turned_away_it_does_nothing_and_says_why(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import flows.retraining

    def busy(*_: Any, **__: Any) -> Any:
        raise TurnedAway(None)

    monkeypatch.setattr(flows.retraining, "retrain_turn", busy)

    @one_at_a_time
    def pipeline(book: str = "default") -> dict[str, Any]:
        raise AssertionError("it ran")

    result = pipeline()
    assert set(result) == {"skipped"} and "another one waits for its turn" in result["skipped"]
