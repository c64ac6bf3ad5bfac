"""What may be searched: refused in words, or read back as it was typed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.errors import ConfigError
from schemas.sweep import DEFAULT_SPACE, Range, SweepConfig, base_recipe, parse_range, typed, with_params
from schemas.training import Recipe


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({}, "there is nothing to search"),
        ({"lerning_rate": {"low": 1e-4, "high": 1e-3}}, "lerning_rate is no field of a recipe"),
        ({"seed": {"low": 0, "high": 9}}, "seed cannot be searched. Every trial has the same seeds"),
        ({"num_episodes": {"low": 10, "high": 99}}, "num_episodes cannot be searched. Every trial may train"),
        (
            {"episode_hours": {"low": 24, "high": 99}},
            "episode_hours cannot be searched. It moves the windows",
        ),
        ({"trading": {"low": 1, "high": 2}}, "trading cannot be searched"),
        ({"eval_every": {"low": 1, "high": 2}}, "eval_every cannot be searched"),
        (
            {"gamma": {"low": 0.9, "high": 1.1}},
            "gamma cannot be 1.1: input should be less than or equal to 1",
        ),
        ({"learning_rate": {"low": -1, "high": 1}}, "learning_rate cannot be -1"),
        ({"pair_dropout": {"choices": [0, 1]}}, "pair_dropout cannot be 1"),
        ({"n_epochs": {"low": 1, "high": 2.5}}, "n_epochs is a whole number, which 2.5 is not"),
        ({"anneal": {"low": 0, "high": 1}}, "anneal is a switch: its choices are 0 and 1"),
        ({"anneal": {"choices": [0, 2]}}, "anneal is a switch: its choices are 0 and 1"),
        ({"gamma": {"low": 0.99, "high": 0.9}}, "low (0.99) has to be below high (0.9)"),
        ({"gamma": {"choices": [0.9, 0.9]}}, "choices are two or more different numbers"),
        ({"gamma": {"choices": [0.9, 0.99], "low": 0.5}}, "give choices, or low and high, and not both"),
        ({"carry_hours": {"low": 0, "high": 99, "log": True}}, "a logarithm needs low above 0"),
        ({"gamma": {"lo": 0.9, "high": 0.99}}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_words(space, said) -> None:
    with pytest.raises(ValidationError) as refused:
        SweepConfig.model_validate({"space": space})
    assert said in refused.value.errors()[0]["msg"]


@pytest.mark.parametrize("rungs", [[0.0], [1.0], [0.5, 0.25], [0.5, 0.5]])
def test_rungs_rise_inside_of_the_training(rungs) -> None:
    with pytest.raises(ValidationError, match="rungs rise, each above 0 and below 1"):
        SweepConfig.model_validate({"rungs": rungs})


def test_the_recipe_as_it_stands_lies_in_the_default_space() -> None:
    recipe = Recipe()
    for name, values in DEFAULT_SPACE.items():
        assert values.holds(getattr(recipe, name)), name


@pytest.mark.parametrize("values", [*DEFAULT_SPACE.values(), Range(low=1e-7, high=0.1 + 0.2, log=True)])
def test_a_range_is_read_back_as_it_is_told(values) -> None:
    assert parse_range(f"gamma={values.as_typed()}") == ("gamma", values)


@pytest.mark.parametrize(
    "text",
    ["gamma", "=1,2", "gamma=", "gamma=1:2:3", "gamma=a,b", "gamma=1:2:log:log", "gamma=2:1", "gamma=1"],
)
def test_what_is_no_range_is_refused_by_name_of_the_flag(text) -> None:
    with pytest.raises(ConfigError, match=r"^--search: '"):
        parse_range(text)


def test_whole_numbers_and_switches_become_what_the_recipe_holds() -> None:
    assert typed({"n_epochs": 3.0, "anneal": 0.0, "clip": 0.1}) == {
        "n_epochs": 3,
        "anneal": False,
        "clip": 0.1,
    }
    varied = with_params(Recipe(), {"n_epochs": 3.0, "gamma": 0.9})
    assert varied == Recipe(n_epochs=3, gamma=0.9)
    assert type(varied.n_epochs) is int


def test_validation_is_looked_at_no_later_than_at_the_first_rung() -> None:
    config = SweepConfig.model_validate({"rungs": [0.25, 0.5]})
    assert config.rung_episodes(400) == (100, 200)
    assert base_recipe(Recipe(), config, 400).eval_every == 100
    assert base_recipe(Recipe(), config, 4000).eval_every == Recipe().eval_every
    assert base_recipe(Recipe(), SweepConfig(rungs=()), 400).eval_every == Recipe().eval_every
