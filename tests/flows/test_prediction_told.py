"""What the terminal tells of a prediction."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flows.cli.prediction import print_prediction
from schemas.prediction import Choice, Prediction, PresetDecision
from schemas.trading import PRESETS

HOLD = Choice(action=0, name="hold", kind="hold", probability=0.4)


def entry(action: int, symbol: str, size: str, probability: float) -> Choice:
    return Choice.model_validate(
        {
            "action": action, "name": f"enter {symbol} (a / b) {size}", "kind": "enter", "symbol": symbol,
            "long_exchange": "a", "short_exchange": "b", "size": size, "probability": probability,
        }
    )  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], decision: Choice, *choices: Choice) -> list[str]:
    made = PresetDecision(
        preset="moderate", config=PRESETS["moderate"], decision=decision, value=0.1, equity=10_000.0,
        choices=tuple(sorted(choices, key=lambda choice: -choice.probability)),
    )  # fmt: skip
    now = datetime(2025, 7, 8, 9, tzinfo=UTC)
    print_prediction(
        Prediction(
            version="0123456789ab", model="challenger", hour=now, newest_row=now, holdings="Nothing is held.",
            fills="It fills later.", presets=(made,),
        )
    )  # fmt: skip
    return capsys.readouterr().out.splitlines()


def test_a_decision_that_is_not_the_likeliest_action_says_why(capsys) -> None:
    large, small = entry(21, "BTC", "large", 0.2), entry(1, "BTC", "small", 0.15)
    lines = told(capsys, large, HOLD, large, small, entry(2, "ETH", "small", 0.25))
    assert [line for line in lines if line.startswith("Decided")] == [
        "Decided: enter BTC (a / b) large (0.2000), though hold alone has 0.4000: an entry is taken from "
        "0.083 an hour on and has 0.6000; then its pair (0.3500), then the size."
    ]


def test_an_entry_whose_pair_has_less_is_said_to_be_passed_over(capsys) -> None:
    large, small, other = (
        entry(21, "BTC", "large", 0.2),
        entry(1, "BTC", "small", 0.15),
        entry(2, "ETH", "small", 0.3),
    )
    lines = told(capsys, large, large, small, other, HOLD.model_copy(update={"probability": 0.35}))
    [line] = [line for line in lines if line.startswith("Decided")]
    assert "though hold alone has 0.3500" in line
    lines = told(capsys, large, large, small, other, HOLD.model_copy(update={"probability": 0.1}))
    [line] = [line for line in lines if line.startswith("Decided")]
    assert "though enter ETH (a / b) small alone has 0.3000" in line


def test_a_decision_that_is_the_likeliest_action_is_not_explained(capsys) -> None:
    large = entry(21, "BTC", "large", 0.6)
    assert not [line for line in told(capsys, large, HOLD, large) if line.startswith("Decided")]
    assert not [line for line in told(capsys, HOLD, HOLD) if line.startswith("Decided")]
