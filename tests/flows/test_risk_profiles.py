"""The risk profile a person names is the one that is traded: what no flag says is the named preset's."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.trading import PRESETS, TradingConfig

AGGRESSIVE = PRESETS["aggressive"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command would start a flow with."""
    found: dict[str, Any] = {}
    for name in ("run_train", "run_data_to_model", "run_backtest"):
        monkeypatch.setattr(f"flows.launch.{name}", lambda **parameters: found.update(parameters))
    return found


def trained_for(asked: dict[str, Any]) -> TradingConfig:
    """The profile that the flow hands to the training."""
    config = asked["advanced"].training_config(seed=0, num_episodes=1, preset=asked["preset"])
    assert not config.sample_random_config
    return config.trading


def test_a_replay_under_a_preset_with_one_field_changed_keeps_the_others(carryflow, asked) -> None:
    assert carryflow("backtest", "--data", "x", "--preset", "aggressive", "--max-leverage", 2).code == 0
    assert asked["preset"] == "custom"
    assert asked["advanced"].training.trading == AGGRESSIVE.model_copy(update={"leverage": 2.0})


def test_a_profile_by_set_is_replayed_as_one_by_flags(carryflow, asked) -> None:
    words = ("--preset", "aggressive", "--set", "training.trading.max_positions=4")
    assert carryflow("backtest", "--data", "x", *words).code == 0
    assert asked["preset"] == "custom"
    assert asked["advanced"].training.trading == AGGRESSIVE.model_copy(update={"max_positions": 4})


def test_a_replay_without_a_preset_named_takes_the_defaults_the_help_tells(carryflow, asked) -> None:
    assert carryflow("backtest", "--data", "x", "--max-leverage", 2).code == 0
    assert asked["advanced"].training.trading == TradingConfig(leverage=2.0)


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (("train", "--preset", "aggressive", "--max-leverage", 2), {"leverage": 2.0}),
        (("train", "--preset", "aggressive", "--fixed-config"), {}),
        (("run", "--preset", "aggressive", "--set", "training.sample_random_config=false"), {}),
    ],
)
def test_a_training_for_a_preset_is_one_for_all_of_it(carryflow, asked, words, changed) -> None:
    assert carryflow(*words, "--data", "x").code == 0
    assert trained_for(asked) == AGGRESSIVE.model_copy(update=changed)


def test_a_policy_for_every_profile_is_the_same_training_whatever_is_said_of_one(carryflow, asked) -> None:
    assert carryflow("train", "--data", "x", "--preset", "aggressive").code == 0
    drawn = asked["advanced"].training_config(seed=0, num_episodes=1, preset="aggressive")
    assert drawn == asked["advanced"].training_config(seed=0, num_episodes=1, preset="moderate")


def test_the_flows_hand_the_preset_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import train as flow
    from schemas.params import Advanced

    seen: dict[str, Any] = {}
    monkeypatch.setattr(flow, "call", lambda step, *inputs, **rest: seen.update(rest))
    advanced = Advanced.model_validate({"training": {"sample_random_config": False}})
    flow.train.fn("x", preset="aggressive", advanced=advanced)
    assert seen["training"].trading == AGGRESSIVE
